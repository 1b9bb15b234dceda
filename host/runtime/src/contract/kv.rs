//! `fenced-kv`: storage below the granted prefixes.
//!
//! The gate is checked before and after every await: a reply that arrives after the deadline is
//! not returned to the guest. A key that no grant covers is refused, and so is a write under shared locks.

use leasehold_config::Remedy;
use leasehold_lock::Revision;

use super::super::host_state::HostState;
use super::super::kv::{KvEntry, KvError};
use super::wit::fenced_kv;
use super::wit::types::GuardError;

type Answer<T> = wasmtime::Result<Result<T, GuardError>>;

/// The longest key, in bytes.
const LONGEST_KEY: usize = 4 * 1024;
/// Largest number of entries in one listing. A guest that requests more gets `too-large` if more exist, because a
/// shorter list would look complete.
const MOST_ENTRIES: u32 = 1_000;

impl fenced_kv::Host for HostState {
    async fn get(&mut self, key: String) -> Answer<Option<fenced_kv::Entry>> {
        self.gate.set_name("fenced-kv.get");
        if let Err(refusal) = self.allowed(&key) {
            return Ok(Err(refusal));
        }
        let answer = self.authority.kv().get(&key).await;
        self.gate.still()?;
        Ok(self
            .fits(answer, |entry| entry.iter().map(size).sum())
            .map(|entry| entry.map(lower)))
    }

    async fn list_prefix(&mut self, prefix: String, limit: u32) -> Answer<Vec<fenced_kv::Entry>> {
        self.gate.set_name("fenced-kv.list-prefix");
        if let Err(refusal) = self.allowed(&prefix) {
            return Ok(Err(refusal));
        }
        if limit == 0 {
            return Ok(Ok(Vec::new()));
        }
        let asked = limit.min(MOST_ENTRIES + 1);
        let most_bytes = self.limits.host_call_bytes;
        let answer = self.authority.kv().list(&prefix, asked, most_bytes).await;
        self.gate.still()?;
        let most = MOST_ENTRIES as usize;
        let answer = answer.and_then(|entries| {
            if entries.len() > most {
                return Err(KvError::TooLarge);
            }
            Ok(entries)
        });
        let answer = self.fits(answer, |entries| entries.iter().map(size).sum());
        Ok(answer.map(|entries| entries.into_iter().map(lower).collect()))
    }

    async fn put(&mut self, key: String, value: Vec<u8>) -> Answer<u64> {
        self.gate.set_name("fenced-kv.put");
        if let Err(refusal) = self.writable(&key, &value) {
            return Ok(Err(refusal));
        }
        let answer = self.authority.kv().put(&key, value).await;
        self.gate.still()?;
        Ok(lower_write(answer))
    }

    async fn delete(&mut self, key: String) -> Answer<bool> {
        self.gate.set_name("fenced-kv.delete");
        if let Err(refusal) = self.may_write(&key) {
            return Ok(Err(refusal));
        }
        let answer = self.authority.kv().delete(&key).await;
        self.gate.still()?;
        Ok(answer.map_err(GuardError::from))
    }

    async fn compare_and_put(
        &mut self,
        key: String,
        expected_mod_revision: u64,
        value: Vec<u8>,
    ) -> Answer<u64> {
        self.gate.set_name("fenced-kv.compare-and-put");
        if let Err(refusal) = self.writable(&key, &value) {
            return Ok(Err(refusal));
        }
        // A revision that no store reaches matches no key.
        let Ok(expected) = Revision::try_from(expected_mod_revision) else {
            return Ok(Err(KvError::Conflict.into()));
        };
        let kv = self.authority.kv();
        let answer = kv.compare_and_put(&key, expected, value).await;
        self.gate.still()?;
        Ok(lower_write(answer))
    }

    async fn compare_and_delete(&mut self, key: String, expected_mod_revision: u64) -> Answer<()> {
        self.gate.set_name("fenced-kv.compare-and-delete");
        if let Err(refusal) = self.may_write(&key) {
            return Ok(Err(refusal));
        }
        // A revision that no store reaches matches no key.
        let Ok(expected) = Revision::try_from(expected_mod_revision) else {
            return Ok(Err(KvError::Conflict.into()));
        };
        let kv = self.authority.kv();
        let answer = kv.compare_and_delete(&key, expected).await;
        self.gate.still()?;
        Ok(answer.map_err(GuardError::from))
    }
}

impl HostState {
    fn allowed(&self, key: &str) -> Result<(), GuardError> {
        if key.len() > LONGEST_KEY {
            return Err(GuardError::TooLarge);
        }
        let granted = &self.grants.kv;
        if granted
            .iter()
            .any(|prefix| key.starts_with(prefix.as_str()))
        {
            return Ok(());
        }
        let remedy = Remedy::Extend {
            element: "its prefix".to_owned(),
            key: "kv",
        };
        let remedy = remedy.for_source(&self.job);
        Err(GuardError::Denied(format!(
            "the key {key:?} is below no granted prefix {granted:?}: {remedy}"
        )))
    }

    /// Refuses writes under shared locks alone, which keep no other writer away, unless they are allowed.
    fn may_write(&self, key: &str) -> Result<(), GuardError> {
        self.allowed(key)?;
        if !self.authority.is_shared() || self.grants.kv_shared {
            return Ok(());
        }
        let remedy = Remedy::WriteShared.for_source(&self.job);
        Err(GuardError::Denied(format!(
            "the run holds its lock shared, and others write the key {key:?} at the same time: take the lock \
             exclusively, or {remedy}"
        )))
    }

    fn writable(&self, key: &str, value: &[u8]) -> Result<(), GuardError> {
        self.may_write(key)?;
        if value.len() as u64 > self.limits.kv_value_bytes {
            return Err(GuardError::TooLarge);
        }
        Ok(())
    }

    /// Checks the size of a reply, which counts against the bytes of one host call, like arguments.
    fn fits<T>(
        &self,
        answer: Result<T, KvError>,
        size: impl Fn(&T) -> u64,
    ) -> Result<T, GuardError> {
        let reply = answer.map_err(GuardError::from)?;
        if size(&reply) > self.limits.host_call_bytes {
            return Err(GuardError::TooLarge);
        }
        Ok(reply)
    }
}

fn size(entry: &KvEntry) -> u64 {
    (entry.key.len() + entry.value.len()) as u64
}

fn lower(entry: KvEntry) -> fenced_kv::Entry {
    fenced_kv::Entry {
        key: entry.key,
        value: entry.value,
        mod_revision: entry.mod_revision.as_u64(),
    }
}

/// Returns the answer to a write as guests read it.
fn lower_write(answer: Result<Revision, KvError>) -> Result<u64, GuardError> {
    Ok(answer?.as_u64())
}
