//! Requests about the queues of locks: read them, delete entries. Putting entries there is in `enqueue`.

use etcd_client::{Compare, CompareOp, GetOptions, SortOrder, SortTarget, Txn, TxnOp};
use leasehold_ids::{LeaseId, Revision};

use crate::error::StoreError;
use crate::lock_entry::LockEntry;
use crate::queue_keys::{QueueKey, entries_of};
use crate::requests::StoreRequests;

impl StoreRequests {
    /// Deletes the entry `(key, create_revision)` and nothing else. `Ok` means that it certainly does not exist.
    pub(crate) async fn delete_entry(
        &self,
        key: &str,
        create_revision: Revision,
    ) -> Result<(), StoreError> {
        let exists = Compare::create_revision(key, CompareOp::Equal, create_revision.get());
        let txn = Txn::new()
            .when([exists])
            .and_then([TxnOp::delete(key, None)]);
        self.txn(txn).await.map(drop)
    }

    /// Deletes those of our entries that were created at `create_revision`, and nothing else, in one transaction if all
    /// of them exist. `Ok` means that none exists any more.
    pub(crate) async fn delete_entries(
        &self,
        entries: &[LockEntry],
        create_revision: Revision,
    ) -> Result<(), StoreError> {
        if let [entry] = entries {
            return self.delete_entry(entry.key(), create_revision).await;
        }
        let created = create_revision.get();
        let exist =
            |entry: &LockEntry| Compare::create_revision(entry.key(), CompareOp::Equal, created);
        let delete = |entry: &LockEntry| TxnOp::delete(entry.key(), None);
        let txn = Txn::new()
            .when(entries.iter().map(exist).collect::<Vec<_>>())
            .and_then(entries.iter().map(delete).collect::<Vec<_>>());
        if self.txn(txn).await?.succeeded {
            return Ok(());
        }
        // Another client or an operator has deleted some of them.
        for entry in entries {
            self.delete_entry(entry.key(), create_revision).await?;
        }
        Ok(())
    }

    /// Reads the names and create revisions of up to `limit` keys from `from` up to but not including `end`, in key
    /// order. Returns the revision of the reading, the keys, and true if there are more.
    pub(crate) async fn keys_between(
        &self,
        from: &str,
        end: Vec<u8>,
        limit: usize,
    ) -> Result<(Revision, Vec<QueueKey>, bool), StoreError> {
        let options = GetOptions::new()
            .with_range(end)
            .with_keys_only()
            .with_limit(i64::try_from(limit).unwrap_or(i64::MAX));
        let reply = self.read(from, Some(options)).await?;
        let Some(range) = reply.range(0) else {
            return Err(StoreError::Unknown("the reply was incomplete".into()));
        };
        let entries = range.kvs().iter().filter_map(QueueKey::read);
        Ok((reply.revision, entries.collect(), range.more()))
    }

    /// Reads the queue up to the entry born at `youngest`, oldest first.
    pub(crate) async fn queue(
        &self,
        prefix: &str,
        youngest: Revision,
    ) -> Result<(Revision, Vec<QueueKey>), StoreError> {
        let options = GetOptions::new()
            .with_prefix()
            .with_keys_only()
            .with_max_create_revision(youngest.get());
        let reply = self.read(prefix, Some(options)).await?;
        let entries = reply
            .range(0)
            .map_or_else(Vec::new, |range| entries_of(range, prefix));
        Ok((reply.revision, entries))
    }

    /// Reads the create revision of our entries: that of the first one which exists and is carried by `lease`. One
    /// transaction made all of them.
    pub(crate) async fn own_create_revision(
        &self,
        entries: &[LockEntry],
        lease: LeaseId,
    ) -> Result<Option<Revision>, StoreError> {
        for entry in entries {
            let reply = self.read(entry.key(), None).await?;
            let found = reply.range(0).and_then(|range| range.kvs().first());
            if let Some(kv) = found.filter(|kv| kv.lease() == lease.get()) {
                return Ok(Some(Revision::new(kv.create_revision())));
            }
        }
        Ok(None)
    }

    /// True if the entry `(key, create_revision)` exists.
    pub(crate) async fn entry_exists(
        &self,
        key: &str,
        create_revision: Revision,
    ) -> Result<bool, StoreError> {
        let keys_only = GetOptions::new().with_keys_only();
        let reply = self.read(key, Some(keys_only)).await?;
        let found = reply.range(0).and_then(|range| range.kvs().first());
        Ok(found.is_some_and(|kv| kv.create_revision() == create_revision.get()))
    }

    /// Reads, at one revision, the existence of the entry `(key, create_revision)` and the youngest entries ahead.
    pub(crate) async fn ahead(
        &self,
        prefix: &str,
        key: &str,
        create_revision: Revision,
    ) -> Result<(Revision, bool, Vec<QueueKey>), StoreError> {
        for limit in [2, 0] {
            // No key among these is younger, so the first of them is the entry, if it exists.
            let options = GetOptions::new()
                .with_prefix()
                .with_keys_only()
                .with_sort(SortTarget::Create, SortOrder::Descend)
                .with_max_create_revision(create_revision.get())
                .with_limit(limit);
            let reply = self.read(prefix, Some(options)).await?;
            let Some(range) = reply.range(0) else {
                continue;
            };
            let mut entries = entries_of(range, prefix);
            let exists = entries
                .pop_if(|entry| entry.create_revision == create_revision && entry.key == key)
                .is_some();
            // Keys of deeper locks may have used up the limit.
            if !entries.is_empty() || !range.more() {
                return Ok((reply.revision, exists, entries));
            }
        }
        Err(StoreError::Unknown("the reply was incomplete".into()))
    }
}
