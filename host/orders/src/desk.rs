//! [`OrderDesk`]: a connection for writing orders in the name of one operator.

use std::time::{Duration, SystemTime};

use leasehold_lock::{Batch, KeyValue, Kv, LeaseId, Locks, Revision};
use leasehold_records::{
    AdminAction, AdminActionRecord, HoldMark, JobRecord, Root, UnixMs, printable,
};

use crate::error::OrderError;

/// Time for which the record of an action is kept.
const KEEP: Duration = Duration::from_hours(7 * 24);

/// A connection for writing orders, in the name of one operator and with one reason.
pub struct OrderDesk {
    locks: Locks,
    root: Root,
    by: String,
    why: String,
}

impl OrderDesk {
    /// Returns a desk for this operator, as user@machine. The reason may be empty.
    pub fn new(locks: Locks, root: Root, by: String, why: &str) -> Self {
        Self {
            locks,
            root,
            by,
            why: printable::line(why.trim()),
        }
    }

    /// Returns the prefix of all keys.
    pub const fn root(&self) -> &Root {
        &self.root
    }

    /// Returns the store's plain keys.
    pub fn kv(&self) -> Kv {
        self.locks.kv()
    }

    /// Returns the store's client.
    pub const fn locks(&self) -> &Locks {
        &self.locks
    }

    /// Returns the operator, as user@machine.
    pub fn by(&self) -> &str {
        &self.by
    }

    pub(crate) fn why(&self) -> &str {
        &self.why
    }

    /// Returns a mark of this operator, as of now.
    pub(crate) fn mark(&self, until: Option<UnixMs>) -> HoldMark {
        HoldMark {
            by: self.by.clone(),
            why: self.why.clone(),
            at_unix_ms: now(),
            until_unix_ms: until,
        }
    }

    /// Returns the record of an action of this operator, as of now.
    pub(crate) fn action(&self, action: AdminAction) -> AdminActionRecord {
        AdminActionRecord::of_order(action, self.by.clone(), self.why.clone(), now())
    }

    /// Reads the record of one key, and the revision of its last change; none if there is none.
    ///
    /// # Errors
    ///
    /// The store cannot be read.
    pub async fn read(&self, key: &str) -> Result<(Option<KeyValue>, Revision), OrderError> {
        let found = self.kv().get(key).await;
        let found = found.map_err(|error| OrderError::unread(&self.root, key, &error))?;
        let revision = found
            .as_ref()
            .map_or(Revision::NONE, |found| found.mod_revision);
        Ok((found, revision))
    }

    /// Reads the records of a job on all its hosts, or of all jobs.
    pub(crate) async fn jobs(&self, job: Option<&str>) -> Result<Vec<JobRecord>, OrderError> {
        let prefix = job.map_or_else(|| self.root.jobs(), |job| self.root.job(job, ""));
        let kv = self.kv();
        let found = kv.scan(&prefix, Vec::new, |jobs, key| {
            jobs.extend(JobRecord::from_json(&key.value));
        });
        let found = found.await;
        Ok(found
            .map_err(|error| OrderError::unread(&self.root, &prefix, &error))?
            .found)
    }

    /// Carries out writes and records the action, if the last change of `key` was at `revision`. Returns true if it
    /// was.
    pub(crate) async fn commit(
        &self,
        (key, revision): (&str, Revision),
        mut batch: Batch,
        action: &AdminActionRecord,
    ) -> Result<bool, OrderError> {
        let write = async {
            let lease = self.locks.lease_for(KEEP).await?;
            let note = self.root.admin_action(action.at_unix_ms, mark());
            batch.put(&note, &action.to_json(), lease);
            self.kv().commit_if(key, revision, batch).await
        };
        write
            .await
            .map_err(|error| OrderError::unwritten(&self.root, &error))
    }

    /// Carries out more writes of an action that is recorded already.
    pub(crate) async fn write(&self, batch: Batch) -> Result<(), OrderError> {
        let written = self.kv().commit(batch).await;
        written.map_err(|error| OrderError::unwritten(&self.root, &error))?;
        Ok(())
    }

    /// Grants a lease for an order that ends with it.
    pub(crate) async fn lease_for(&self, keep: Duration) -> Result<LeaseId, OrderError> {
        let lease = self.locks.lease_for(keep).await;
        lease.map_err(|error| OrderError::unwritten(&self.root, &error))
    }
}

pub(crate) fn now() -> UnixMs {
    UnixMs::from_system(SystemTime::now())
}

/// Returns a number that distinguishes two keys of the same millisecond.
pub(crate) fn mark() -> u32 {
    let nanos = SystemTime::UNIX_EPOCH
        .elapsed()
        .map_or(0, |time| time.subsec_nanos());
    nanos ^ std::process::id().rotate_left(16)
}
