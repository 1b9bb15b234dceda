//! A store in memory that can be told when and how to fail.
//!
//! It must never be kinder than etcd: a write whose answer is lost may have happened, may not have
//! happened, or may happen later.

use std::collections::BTreeMap;

use leasehold_job::{Entry, GuardError};

use crate::store::Store;

/// What befalls one write; all after it in the same session are refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The lock was lost: refused.
    Lost,
    /// The answer was lost; the write happened.
    Done,
    /// The answer was lost; the write is still on its way, see [`Fake::deliver`].
    Late,
}

#[derive(Debug, Default)]
pub(crate) struct Fake {
    entries: BTreeMap<String, (String, u64)>,
    revision: u64,
    writes: usize,
    /// Fail at this write, counted from the start of the session.
    fault: Option<(usize, Fault)>,
    late: Option<(String, u64, String)>,
    /// The late write arrives just before this write of the session.
    arrival: Option<usize>,
}

impl Fake {
    /// A new session, by a successor or the same holder again: `fault` befalls its n-th write.
    pub(crate) fn new_session(&mut self, fault: Option<(usize, Fault)>) {
        self.writes = 0;
        self.fault = fault;
        self.arrival = None;
    }

    /// A new session in which nothing fails, but the late write arrives just before its n-th write.
    pub(crate) fn new_session_overtaken_at(&mut self, write: usize) {
        self.new_session(None);
        self.arrival = Some(write);
    }

    /// Lets the late write arrive, if there is one.
    pub(crate) fn deliver(&mut self) {
        if let Some((key, expected, value)) = self.late.take() {
            // Nobody is waiting for its answer any more.
            let _ = self.commit(&key, expected, &value);
        }
    }

    /// Writes as somebody who does not care for revisions.
    pub(crate) fn overwrite(&mut self, key: &str, value: &str) {
        self.revision += 1;
        self.entries
            .insert(key.to_owned(), (value.to_owned(), self.revision));
    }

    /// Writes of this session so far.
    pub(crate) const fn writes(&self) -> usize {
        self.writes
    }

    pub(crate) fn text(&self, key: &str) -> Option<&str> {
        self.entries.get(key).map(|(value, _)| value.as_str())
    }

    fn commit(&mut self, key: &str, expected: u64, value: &str) -> Result<u64, GuardError> {
        let current = self.entries.get(key).map_or(0, |&(_, revision)| revision);
        if current != expected {
            return Err(GuardError::Conflict);
        }
        self.overwrite(key, value);
        Ok(self.revision)
    }

    fn entry(key: &str, value: &str, mod_revision: u64) -> Entry {
        Entry {
            key: key.to_owned(),
            value: value.as_bytes().to_vec(),
            mod_revision,
        }
    }
}

impl Store for Fake {
    fn get(&mut self, key: &str) -> Result<Option<Entry>, GuardError> {
        Ok(self
            .entries
            .get(key)
            .map(|(value, revision)| Self::entry(key, value, *revision)))
    }

    fn list(&mut self, prefix: &str, limit: u32) -> Result<Vec<Entry>, GuardError> {
        Ok(self
            .entries
            .iter()
            .filter(|(key, _)| key.starts_with(prefix))
            .take(limit as usize)
            .map(|(key, (value, revision))| Self::entry(key, value, *revision))
            .collect())
    }

    fn compare_and_put(
        &mut self,
        key: &str,
        expected: u64,
        value: &str,
    ) -> Result<u64, GuardError> {
        let write = self.writes;
        self.writes += 1;
        if self.arrival == Some(write) {
            self.deliver();
        }
        let unknown = || GuardError::Unavailable("the answer was lost".to_owned());
        match self.fault {
            Some((at, fault)) if write == at => match fault {
                Fault::Lost => Err(GuardError::Lost),
                Fault::Done => {
                    self.commit(key, expected, value)?;
                    Err(unknown())
                }
                Fault::Late => {
                    self.late = Some((key.to_owned(), expected, value.to_owned()));
                    Err(unknown())
                }
            },
            Some((at, _)) if write > at => Err(GuardError::Lost),
            _ => self.commit(key, expected, value),
        }
    }
}
