//! The mock's store: keys, revisions, the holder that may write, and writes still under way.
//!
//! A write of a former holder changes nothing, nor does one whose compare fails.

use std::collections::BTreeMap;

use crate::error::GuardError;
use crate::types::Entry;

/// Bounds of a real host with the default limits.
const LONGEST_KEY: usize = 4 * 1024;
const LARGEST_VALUE: usize = 512 * 1024;
const LARGEST_REPLY: usize = 4 * 1024 * 1024;
const MOST_ENTRIES: u32 = 1_000;

/// A write that was carried out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Write {
    /// The token under which it was sent.
    pub token: u64,
    /// The key.
    pub key: String,
    /// The value written; none when the key was deleted.
    pub value: Option<Vec<u8>>,
    /// The store's revision after it.
    pub revision: u64,
}

/// A write requested by a job.
#[derive(Debug, Clone)]
pub(super) struct WriteRequest {
    pub(super) key: String,
    /// None to delete.
    pub(super) value: Option<Vec<u8>>,
    /// The revision to compare with, where there is one.
    pub(super) expected: Option<u64>,
}

/// Result of a write.
#[derive(Debug, Clone, Copy)]
pub(super) struct WriteDone {
    pub(super) revision: u64,
    /// True if the key existed before.
    pub(super) existed: bool,
}

#[derive(Debug, Default)]
pub(super) struct Store {
    entries: BTreeMap<String, (Vec<u8>, u64)>,
    revision: u64,
    /// The token of the present holder.
    pub(super) token: u64,
    pub(super) granted: Vec<String>,
    pub(super) history: Vec<Write>,
    /// With the token under which each was sent.
    under_way: Vec<(u64, WriteRequest)>,
}

impl Store {
    pub(super) fn new(token: u64) -> Self {
        Self {
            token,
            ..Self::default()
        }
    }

    pub(super) fn allowed(&self, job: &str, key: &str) -> Result<(), GuardError> {
        if key.len() > LONGEST_KEY {
            return Err(GuardError::TooLarge);
        }
        let mut granted = self.granted.iter();
        if granted.any(|prefix| key.starts_with(prefix.as_str())) {
            return Ok(());
        }
        Err(GuardError::Denied(format!(
            "the key {key:?} is below no granted prefix {:?}: add its prefix to `kv` in [jobs.{job}.allow], \
             and in a test to `Host::allow_kv`",
            self.granted
        )))
    }

    pub(super) fn check_size(request: &WriteRequest) -> Result<(), GuardError> {
        let size = request.value.as_ref().map_or(0, Vec::len);
        if size > LARGEST_VALUE {
            return Err(GuardError::TooLarge);
        }
        Ok(())
    }

    pub(super) fn get(&self, key: &str) -> Option<Entry> {
        let found = self.entries.get(key);
        found.map(|(value, revision)| entry(key, value, *revision))
    }

    pub(super) fn list(&self, prefix: &str, limit: u32) -> Result<Vec<Entry>, GuardError> {
        let below = self.entries.iter();
        let below = below.filter(|(key, _)| key.starts_with(prefix));
        let below = below.take(limit.min(MOST_ENTRIES + 1) as usize);
        let found: Vec<Entry> = below
            .map(|(key, (value, revision))| entry(key, value, *revision))
            .collect();
        // A list shorter than `limit` would look complete.
        if found.len() > MOST_ENTRIES as usize {
            return Err(GuardError::TooLarge);
        }
        let sizes = found
            .iter()
            .map(|entry| entry.key.len() + entry.value.len());
        if sizes.sum::<usize>() > LARGEST_REPLY {
            return Err(GuardError::TooLarge);
        }
        Ok(found)
    }

    /// Carries out a write of the present holder.
    pub(super) fn commit(&mut self, request: WriteRequest) -> Result<WriteDone, GuardError> {
        let current = self
            .entries
            .get(&request.key)
            .map(|&(_, revision)| revision);
        let existed = current.is_some();
        if let Some(expected) = request.expected
            && expected != current.unwrap_or(0)
        {
            return Err(GuardError::Conflict);
        }
        match &request.value {
            Some(value) => self.set(&request.key, value),
            None => self.remove(&request.key),
        }
        self.history.push(Write {
            token: self.token,
            key: request.key,
            value: request.value,
            revision: self.revision,
        });
        Ok(WriteDone {
            revision: self.revision,
            existed,
        })
    }

    pub(super) fn send_late(&mut self, request: WriteRequest) {
        self.under_way.push((self.token, request));
    }

    /// Applies the writes under way, whose senders no longer wait for an answer.
    pub(super) fn deliver(&mut self) {
        for (token, request) in std::mem::take(&mut self.under_way) {
            if token == self.token {
                // Nothing receives the error of a compare that fails.
                let _ = self.commit(request);
            }
        }
    }

    pub(super) fn set(&mut self, key: &str, value: &[u8]) {
        self.revision += 1;
        self.entries
            .insert(key.to_owned(), (value.to_vec(), self.revision));
    }

    pub(super) fn remove(&mut self, key: &str) {
        if self.entries.remove(key).is_some() {
            self.revision += 1;
        }
    }

    pub(super) fn value(&self, key: &str) -> Option<Vec<u8>> {
        self.entries.get(key).map(|(value, _)| value.clone())
    }

    pub(super) fn keys(&self) -> Vec<String> {
        self.entries.keys().cloned().collect()
    }
}

fn entry(key: &str, value: &[u8], mod_revision: u64) -> Entry {
    Entry {
        key: key.to_owned(),
        value: value.to_vec(),
        mod_revision,
    }
}
