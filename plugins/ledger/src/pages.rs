//! The ledger's keys in the store: names, reads and writes.
//!
//! Every write compares a revision, and changes one key in a call, but for founding a ledger.

use leasehold_job::{Entry, GuardError, Kv};

use crate::config::Plan;
use crate::error::{BookError, while_};
use crate::journal::{Change, Journal};

/// The names of a ledger's keys.
#[derive(Debug, Clone)]
pub(crate) struct Keys {
    pub(crate) prefix: String,
}

impl Keys {
    fn journal(&self) -> String {
        format!("{}journal", self.prefix)
    }

    fn accounts(&self) -> String {
        format!("{}account/", self.prefix)
    }

    /// Padded, so that the order of the keys is the order of the numbers.
    fn account(&self, number: u32) -> String {
        format!("{}account/{number:04}", self.prefix)
    }
}

/// Balance of an account, and the revision at which it was read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Account {
    pub(crate) balance: u64,
    pub(crate) revision: u64,
}

/// Writes a new balance at the revision where the intent read the old one. The same balance there
/// already is as good: while an intent is pending, no other writer changes its accounts.
pub(crate) fn apply(store: Kv, keys: &Keys, change: &Change) -> Result<u64, BookError> {
    let key = keys.account(change.account);
    match store.compare_and_put(&key, change.read_at, change.balance.to_string()) {
        Ok(revision) => Ok(revision),
        Err(GuardError::Conflict) => {
            let found = store.get(&key).map_err(while_("reading an account"))?;
            match found.as_ref().and_then(balance) {
                Some(Account { balance, revision }) if balance == change.balance => Ok(revision),
                _ => Err(BookError::Corrupt(format!(
                    "{key} was changed by another writer; the pending transfer sets it to {}",
                    change.balance
                ))),
            }
        }
        Err(source) => Err(while_("writing an account")(source)),
    }
}

/// Creates the accounts, then the journal: as long as there is none, nothing has been moved.
pub(crate) fn found_ledger(
    store: Kv,
    keys: &Keys,
    plan: &Plan,
) -> Result<(Journal, u64), BookError> {
    for number in 0..plan.accounts {
        match store.compare_and_put(&keys.account(number), 0, plan.initial.to_string()) {
            // It exists already: an earlier founder was stopped.
            Ok(_) | Err(GuardError::Conflict) => {}
            Err(source) => return Err(while_("creating an account")(source)),
        }
    }
    let journal = Journal {
        accounts: plan.accounts,
        total: plan.total,
        transfers: 0,
        pending: None,
    };
    let revision = write_journal(store, keys, 0, &journal)?;
    Ok((journal, revision))
}

/// Reads all accounts; fails unless they are the ones of the journal and add up to its total.
pub(crate) fn audited_accounts(
    store: Kv,
    keys: &Keys,
    journal: &Journal,
) -> Result<Vec<Account>, BookError> {
    // One more than the journal counts, so that a surplus is found.
    let entries = store
        .list(&keys.accounts(), journal.accounts.saturating_add(1))
        .map_err(while_("reading the accounts"))?;
    let expected = (0..journal.accounts).map(|number| keys.account(number));
    if !entries.iter().map(|entry| entry.key.clone()).eq(expected) {
        return Err(BookError::Corrupt(format!(
            "there must be the {} accounts it was opened with, and no other",
            journal.accounts
        )));
    }
    let accounts = entries
        .iter()
        .map(|entry| {
            balance(entry)
                .ok_or_else(|| BookError::Corrupt(format!("{} is not a number", entry.key)))
        })
        .collect::<Result<Vec<_>, _>>()?;
    let sum = accounts
        .iter()
        .try_fold(0_u64, |sum, account| sum.checked_add(account.balance));
    if sum == Some(journal.total) {
        Ok(accounts)
    } else {
        let sum = sum.map_or_else(|| "too much to add up".to_owned(), |sum| sum.to_string());
        Err(BookError::Corrupt(format!(
            "the accounts hold {sum}, and must hold {}",
            journal.total
        )))
    }
}

/// Reads the journal and the revision of it; none when the ledger was never founded.
pub(crate) fn read_journal(store: Kv, keys: &Keys) -> Result<Option<(Journal, u64)>, BookError> {
    let key = keys.journal();
    let Some(entry) = store.get(&key).map_err(while_("reading the journal"))? else {
        return Ok(None);
    };
    let journal = serde_json::from_slice(&entry.value)
        .map_err(|error| BookError::Corrupt(format!("{key} is not a journal: {error}")))?;
    Ok(Some((journal, entry.mod_revision)))
}

/// Writes the journal if it is still at a revision; returns the new one.
pub(crate) fn write_journal(
    store: Kv,
    keys: &Keys,
    expected: u64,
    journal: &Journal,
) -> Result<u64, BookError> {
    let text = serde_json::to_string(journal)
        .map_err(|error| BookError::Corrupt(format!("the journal cannot be written: {error}")))?;
    store
        .compare_and_put(&keys.journal(), expected, &text)
        .map_err(while_("writing the journal"))
}

fn balance(entry: &Entry) -> Option<Account> {
    Some(Account {
        balance: entry.text().ok()?.parse().ok()?,
        revision: entry.mod_revision,
    })
}
