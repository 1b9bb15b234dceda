//! The book: opening it, making a transfer, and completing one that was left behind.
//!
//! A book is not used after an error: the content of the store is then unknown until it is read again.
//! Therefore [`Book::transfer`] takes the book and returns it only on success.

use leasehold_job::Kv;

use crate::config::Plan;
use crate::dice::Dice;
use crate::error::BookError;
use crate::journal::{Change, Intent, Journal, Transfer};
use crate::pages::{self, Account, Keys};

/// An open ledger with no transfer pending, and its accounts as they are in the store.
#[derive(Debug)]
pub(crate) struct Book {
    keys: Keys,
    journal: Journal,
    journal_revision: u64,
    accounts: Vec<Account>,
}

/// The most that one transfer moves: small, so that money keeps circulating.
const MOST_AT_ONCE: u64 = 20;

impl Book {
    /// Opens the ledger, founding it if there is none; completes a transfer left behind, which is
    /// returned too, and checks that the accounts add up.
    pub(crate) fn open(store: Kv, plan: &Plan) -> Result<(Self, Option<Transfer>), BookError> {
        let keys = Keys {
            prefix: plan.prefix.clone(),
        };
        let (mut journal, mut journal_revision) = match pages::read_journal(store, &keys)? {
            Some(found) => found,
            None => pages::found_ledger(store, &keys, plan)?,
        };

        let mut recovered = None;
        if let Some(intent) = journal.pending.clone() {
            pages::apply(store, &keys, &intent.from)?;
            pages::apply(store, &keys, &intent.to)?;
            journal.settle();
            journal_revision = pages::write_journal(store, &keys, journal_revision, &journal)?;
            recovered = Some(Transfer {
                number: journal.transfers,
                intent,
            });
        }

        let accounts = pages::audited_accounts(store, &keys, &journal)?;
        let book = Self {
            keys,
            journal,
            journal_revision,
            accounts,
        };
        Ok((book, recovered))
    }

    /// Sum of all accounts.
    pub(crate) const fn total(&self) -> u64 {
        self.journal.total
    }

    /// Makes one transfer: intent, debit, `between`, credit, settled. Four writes, and after each
    /// of them a successor can continue.
    pub(crate) fn transfer(
        mut self,
        store: Kv,
        between: impl FnOnce(),
    ) -> Result<(Self, Transfer), BookError> {
        let intent = self.next_intent();
        self.journal.pending = Some(intent.clone());
        self.write_journal(store)?;

        self.apply(store, &intent.from)?;
        between();
        self.apply(store, &intent.to)?;

        self.journal.settle();
        self.write_journal(store)?;
        let number = self.journal.transfers;
        Ok((self, Transfer { number, intent }))
    }

    /// Chooses the next transfer; always the same for the same state.
    fn next_intent(&self) -> Intent {
        let count = self.accounts.len();
        let mut dice = Dice(self.journal.transfers);
        let mut from = dice.below(count);
        // The total is not zero, so some account holds something.
        while self.accounts[from].balance == 0 {
            from = (from + 1) % count;
        }
        let to = (from + 1 + dice.below(count - 1)) % count;
        let most = usize::try_from(self.accounts[from].balance.min(MOST_AT_ONCE)).unwrap_or(1);
        let amount = 1 + dice.below(most) as u64;
        Intent {
            amount,
            from: self.change(from, |balance| balance - amount),
            to: self.change(to, |balance| balance + amount),
        }
    }

    fn change(&self, index: usize, new: impl FnOnce(u64) -> u64) -> Change {
        let Account { balance, revision } = self.accounts[index];
        Change {
            account: u32::try_from(index).unwrap_or(u32::MAX),
            read_at: revision,
            balance: new(balance),
        }
    }

    fn apply(&mut self, store: Kv, change: &Change) -> Result<(), BookError> {
        let revision = pages::apply(store, &self.keys, change)?;
        self.accounts[change.account as usize] = Account {
            balance: change.balance,
            revision,
        };
        Ok(())
    }

    fn write_journal(&mut self, store: Kv) -> Result<(), BookError> {
        self.journal_revision =
            pages::write_journal(store, &self.keys, self.journal_revision, &self.journal)?;
        Ok(())
    }
}
