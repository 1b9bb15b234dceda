//! Orders of an operator to hosts: what the commands that write them share.
//!
//! - [`OrderArgs`], [`OrderDesk`]: the connection, the operator and the reason; writing with a record of the action.
//! - `seen`: waiting until the hosts show an order. `until`: times in arguments. `sentence`: lists of hosts and runs.
//! - `halting`: runs under way, and requests to end them. `run_end`: ending those of one job. `hold`: writing a hold.

pub(crate) mod halting;
pub(crate) mod hold;
pub(crate) mod run_end;
pub(crate) mod seen;
pub(crate) mod sentence;
pub(crate) mod until;

use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use clap::Args;
use leasehold_lock::{Batch, KeyValue, Kv, LeaseId, Revision, StoreError};
use leasehold_records::{
    AdminAction, AdminActionRecord, HoldMark, JobRecord, Root, UnixMs, printable,
};

use crate::config_place;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::known_hosts::unknown_host;
use crate::known_jobs::unknown_job;
use crate::record_reader::{RecordReader, is_denied, unread};

/// Time for which the record of an action is kept.
const KEEP: Duration = Duration::from_hours(7 * 24);

/// Arguments of every command that writes an order.
#[derive(Args)]
pub(crate) struct OrderArgs {
    /// The reason, for the record and for those who ask later.
    #[arg(
        long,
        value_name = "TEXT",
        default_value = "",
        hide_default_value = true
    )]
    pub(crate) why: String,
    /// The configuration, a file or a folder, for its [store]. [default: as for `status`]
    #[arg(short, long, visible_alias = "config-file", value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
}

/// A connection for writing orders, in the name of one operator.
pub(crate) struct OrderDesk {
    pub(crate) reader: RecordReader,
    by: String,
    why: String,
}

impl OrderDesk {
    /// Reads the configuration and connects.
    pub(crate) async fn open(args: &OrderArgs) -> Result<Self, Failure> {
        Ok(Self {
            reader: RecordReader::open(&config_place::find(args.config.as_deref())?).await?,
            by: leasehold_tui::operator(),
            why: printable::line(args.why.trim()),
        })
    }

    pub(crate) fn root(&self) -> &Root {
        &self.reader.root
    }

    pub(crate) fn kv(&self) -> Kv {
        self.reader.locks.kv()
    }

    pub(crate) fn by(&self) -> &str {
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

    /// Fails if neither the configuration nor the store has this job.
    pub(crate) async fn know_job(&self, job: &str) -> Result<(), Failure> {
        let configured = self.reader.config.jobs();
        let unknown = unknown_job(&self.kv(), self.root(), configured, job).await;
        match unknown.map_err(|error| unread(&error))? {
            Some(failure) => Err(failure),
            None => Ok(()),
        }
    }

    /// Fails if the store has no trace of this host.
    pub(crate) async fn know_host(&self, host: &str) -> Result<(), Failure> {
        let unknown = unknown_host(&self.kv(), self.root(), host).await;
        unknown.map_err(|error| unread(&error))?.map_or(Ok(()), Err)
    }

    /// Reads the record of one key, and the revision of its last change; none if there is none.
    pub(crate) async fn read(&self, key: &str) -> Result<(Option<KeyValue>, Revision), Failure> {
        let found = self.kv().get(key).await;
        let found = found.map_err(|error| self.describe_unread(&error))?;
        let revision = found
            .as_ref()
            .map_or(Revision::NONE, |found| found.mod_revision);
        Ok((found, revision))
    }

    /// Reads the records of a job on all its hosts, or of all jobs.
    pub(crate) async fn jobs(&self, job: Option<&str>) -> Result<Vec<JobRecord>, Failure> {
        let prefix = job.map_or_else(|| self.root().jobs(), |job| self.root().job(job, ""));
        let kv = self.kv();
        let found = kv.scan(&prefix, Vec::new, |jobs, key| {
            jobs.extend(JobRecord::from_json(&key.value));
        });
        let found = found.await;
        Ok(found.map_err(|error| self.describe_unread(&error))?.found)
    }

    /// Carries out writes and records the action, if the last change of `key` was at `revision`. Returns true if it was.
    pub(crate) async fn commit(
        &self,
        (key, revision): (&str, Revision),
        mut batch: Batch,
        action: &AdminActionRecord,
    ) -> Result<bool, Failure> {
        let write = async {
            let lease = self.reader.locks.lease_for(KEEP).await?;
            let note = self.root().admin_action(action.at_unix_ms, mark());
            batch.put(&note, &action.to_json(), lease);
            self.kv().commit_if(key, revision, batch).await
        };
        write.await.map_err(|error| self.describe_unwritten(&error))
    }

    /// Carries out more writes of an action that is recorded already.
    pub(crate) async fn write(&self, batch: Batch) -> Result<(), Failure> {
        let written = self.kv().commit(batch).await;
        written.map_err(|error| self.describe_unwritten(&error))?;
        Ok(())
    }

    /// Grants a lease for an order that ends with it.
    pub(crate) async fn lease_for(&self, keep: Duration) -> Result<LeaseId, Failure> {
        let lease = self.reader.locks.lease_for(keep).await;
        lease.map_err(|error| self.describe_unwritten(&error))
    }

    /// The failure of a command that could not read orders or records.
    pub(crate) fn describe_unread(&self, error: &StoreError) -> Failure {
        if is_denied(error) {
            self.describe_denial("its user may not read the orders")
        } else {
            unread(error)
        }
    }

    fn describe_denial(&self, denial: &str) -> Failure {
        let root = self.root();
        let text = format!(
            "the store refused the order: {denial}; grant it readwrite on {}, {} and {}",
            root.control(),
            root.triggers(),
            root.admin_actions()
        );
        Failure::of_line(Exit::Store, &text)
    }

    /// The failure of an order that was not written, or may not have been.
    fn describe_unwritten(&self, error: &StoreError) -> Failure {
        if is_denied(error) {
            return self.describe_denial("its user may not write it");
        }
        let text = if error.is_unknown() {
            format!("the order may or may not have been written: {error}")
        } else {
            format!("the order was not written: {error}")
        };
        Failure::of_line(Exit::Store, &text)
    }

    /// Closes the connection, whatever the result.
    pub(crate) async fn close<T>(self, result: Result<T, Failure>) -> Result<T, Failure> {
        self.reader.locks.close().await;
        result
    }
}

/// The failure of an order that others overtook.
pub(crate) fn overtaken(what: &str) -> Failure {
    let text = format!("{what} was changed by another operator at the same time; try again");
    Failure::of_line(Exit::Store, &text)
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
