//! The journal: the one key with the intended values of the others.
//!
//! It holds no relative change ("minus 5"): only absolute balances can be written twice.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Value of the journal's key, as JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Journal {
    /// Number of accounts that the ledger was opened with.
    pub(crate) accounts: u32,
    /// Their sum then and ever since.
    pub(crate) total: u64,
    /// Completed transfers.
    pub(crate) transfers: u64,
    /// The transfer that is being made, if any.
    pub(crate) pending: Option<Intent>,
}

impl Journal {
    /// Marks the pending transfer as complete.
    pub(crate) fn settle(&mut self) {
        self.pending = None;
        self.transfers += 1;
    }
}

/// One transfer, written down before it touches an account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Intent {
    pub(crate) amount: u64,
    pub(crate) from: Change,
    pub(crate) to: Change,
}

/// One account's part in a transfer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Change {
    pub(crate) account: u32,
    /// The revision at which the old balance was read: the write goes through only there.
    pub(crate) read_at: u64,
    /// The new balance.
    pub(crate) balance: u64,
}

/// A completed transfer, for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Transfer {
    /// 1 for the first transfer of the ledger.
    pub(crate) number: u64,
    pub(crate) intent: Intent,
}

impl fmt::Display for Transfer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Intent { amount, from, to } = &self.intent;
        write!(
            f,
            "transfer {}: {amount} from account {} to account {}",
            self.number, from.account, to.account
        )
    }
}
