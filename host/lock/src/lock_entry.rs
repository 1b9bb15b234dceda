//! [`LockEntry`]: our entry in the queue of one lock.

use leasehold_ids::{LeaseId, LockMode};

/// Our entry in the queue of one lock: the lock's name, the entry's key and its mode.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LockEntry {
    name: String,
    prefix: String,
    key: String,
    mode: LockMode,
}

impl LockEntry {
    /// The entry of `mode` in the queue of the lock called `name`, on `lease`.
    pub(crate) fn new(name: &str, mode: LockMode, lease: LeaseId) -> Self {
        let prefix = format!("{name}/");
        let key = format!("{prefix}{}", mode.entry_name(lease));
        Self {
            name: name.to_owned(),
            prefix,
            key,
            mode,
        }
    }

    /// The name of the lock, as in the request.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The key of the entry.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// The way the entry takes part in the lock.
    pub const fn mode(&self) -> LockMode {
        self.mode
    }

    /// The begin of the keys of all entries of the lock.
    pub(crate) fn prefix(&self) -> &str {
        &self.prefix
    }
}
