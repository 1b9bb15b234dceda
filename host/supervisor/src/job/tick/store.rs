//! The record of ticks in the store: how it is read, and how a holder of the lock writes it.

use leasehold_lock::{Fence, FencedError, Grant, Kv, Revision, StoreError, Token};
use leasehold_records::HostRecord;

use crate::job::clocks::LivingHost;

/// The record of one job, as far as ticks need it. A model of the store stands in for tests.
pub(crate) trait TickReader {
    /// Returns the record as it is.
    fn read(&self) -> impl Future<Output = Result<Option<RecordVersion>, StoreError>> + Send;
    /// Returns the living hosts, as they recorded themselves.
    fn hosts(&self) -> impl Future<Output = Result<Vec<LivingHost>, StoreError>> + Send;
}

/// The store for a holder of the lock: [`TickReader`] and writes.
pub(crate) trait TickStore: TickReader {
    /// Writes the record if the lock is ours and the record's last change was at `expected`.
    fn write_fenced(
        &self,
        expected: Revision,
        json: Vec<u8>,
    ) -> impl Future<Output = Result<(), FencedError>> + Send;
    /// Returns true if the lock entry under this key still has this token.
    fn entry_exists(
        &self,
        entry: &str,
        token: Token,
    ) -> impl Future<Output = Result<bool, StoreError>> + Send;
    /// Writes the record if its last change was at `expected`. Returns true if it was.
    fn write(
        &self,
        expected: Revision,
        json: Vec<u8>,
    ) -> impl Future<Output = Result<bool, StoreError>> + Send;
}

/// The record's value and the revision of its last change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RecordVersion {
    pub(crate) json: Vec<u8>,
    pub(crate) revision: Revision,
}

/// The record in the store.
pub(crate) struct StoredTicks {
    pub(crate) kv: Kv,
    pub(crate) key: String,
    /// The prefix of all hosts.
    pub(crate) hosts: String,
}

/// The record in the store, as a holder of the lock uses it.
pub(crate) struct HeldTicks<'a> {
    pub(crate) stored: StoredTicks,
    pub(crate) fence: Fence,
    /// The lock to give back with the write of a mark, in one transaction.
    pub(crate) leaves: Option<&'a Grant>,
}

impl TickReader for StoredTicks {
    async fn read(&self) -> Result<Option<RecordVersion>, StoreError> {
        let found = self.kv.get(&self.key).await?;
        Ok(found.map(|found| RecordVersion {
            json: found.value,
            revision: found.mod_revision,
        }))
    }

    async fn hosts(&self) -> Result<Vec<LivingHost>, StoreError> {
        let found = self.kv.list(&self.hosts, 0).await?;
        let hosts = found.iter().filter_map(|found| {
            let record = HostRecord::from_json(&found.value).ok()?;
            Some(LivingHost {
                host: record.host,
                started: record.started_unix_ms,
                write_revision: found.mod_revision,
                create_revision: found.create_revision,
            })
        });
        Ok(hosts.collect())
    }
}

impl TickReader for HeldTicks<'_> {
    async fn read(&self) -> Result<Option<RecordVersion>, StoreError> {
        self.stored.read().await
    }

    async fn hosts(&self) -> Result<Vec<LivingHost>, StoreError> {
        self.stored.hosts().await
    }
}

impl TickStore for HeldTicks<'_> {
    async fn write_fenced(&self, expected: Revision, json: Vec<u8>) -> Result<(), FencedError> {
        let StoredTicks { kv, key, .. } = &self.stored;
        let put = kv.compare_and_put_fenced(&self.fence, key, expected, &json);
        put.await.map(drop)
    }

    async fn entry_exists(&self, entry: &str, token: Token) -> Result<bool, StoreError> {
        let found = self.stored.kv.get(entry).await?;
        Ok(found.is_some_and(|found| Token::from(found.create_revision) == token))
    }

    async fn write(&self, expected: Revision, json: Vec<u8>) -> Result<bool, StoreError> {
        let StoredTicks { kv, key, .. } = &self.stored;
        if let Some(grant) = self.leaves
            && grant.put_and_release(key, expected, &json).await?
        {
            return Ok(true);
        }
        // The lock is lost, or the record has changed: marking compares the record alone.
        kv.compare_and_put(key, expected, &json).await
    }
}
