//! Decoded value of a key. Text that will be shown is printable.

use std::sync::Arc;

use leasehold_lock::{KeyValue, LeaseId};
use leasehold_records::{
    AdminActionRecord, ControlKey, HoldMark, HostControl, HostRecord, JobControl, JobRecord,
    RunKey, RunRecord, UnixMs, printable,
};

use super::queue_entry::QueueEntry;
use super::scope::{KeyKind, KeyScope};

/// A running host, and the lease of its record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LiveHost {
    pub(crate) record: HostRecord,
    pub(crate) lease: LeaseId,
}

/// Decoded value of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum StoreItem {
    Entry(Arc<str>, Arc<QueueEntry>),
    Host(Arc<LiveHost>),
    Job(Arc<JobRecord>),
    Run(RunKey, Arc<RunRecord>),
    Deed(Arc<AdminActionRecord>),
    Hold(ControlKey, Arc<HoldMark>),
}

impl StoreItem {
    /// Decodes the value of a key; `None` for a key that is not shown or a value that cannot be read. `seen` is the
    /// moment at which it appeared, if that was seen.
    pub(crate) fn read(scope: &KeyScope, key: &KeyValue, seen: Option<UnixMs>) -> Option<Self> {
        match scope.classify(&key.key) {
            KeyKind::Entry(lock) => Some(Self::Entry(lock, QueueEntry::read(key, seen).into())),
            KeyKind::Host(_) => {
                let mut record = HostRecord::from_json(&key.value).ok()?;
                clean(&mut record.host);
                clean(&mut record.version);
                record.jobs.iter_mut().for_each(clean);
                let lease = key.lease;
                Some(Self::Host(LiveHost { record, lease }.into()))
            }
            KeyKind::Job(..) => {
                let mut record = JobRecord::from_json(&key.value).ok()?;
                let (job, host) = (&mut record.job, &mut record.host);
                clean_all([job, host, &mut record.lock, &mut record.detail]);
                if let Some(progress) = &mut record.progress {
                    clean(&mut progress.message);
                }
                Some(Self::Job(record.into()))
            }
            KeyKind::Run(at) => {
                let mut record = RunRecord::from_json(&key.value).ok()?;
                let (job, host) = (&mut record.job, &mut record.host);
                clean_all([job, host, &mut record.lock, &mut record.detail]);
                let lines = record.output.lines().map(printable::line);
                record.output = lines.collect::<Vec<_>>().join("\n");
                Some(Self::Run(at, record.into()))
            }
            KeyKind::Deed => {
                let mut record = AdminActionRecord::from_json(&key.value).ok()?;
                clean_all([&mut record.by, &mut record.whom, &mut record.why]);
                record.job.iter_mut().for_each(clean);
                record.host.iter_mut().for_each(clean);
                Some(Self::Deed(record.into()))
            }
            KeyKind::Hold(at) => {
                let mut mark = read_mark(&at, &key.value)?;
                clean_all([&mut mark.by, &mut mark.why]);
                Some(Self::Hold(at, mark.into()))
            }
            KeyKind::Nothing => None,
        }
    }
}

/// Decodes the pause or the drain under a key.
fn read_mark(key: &ControlKey, value: &[u8]) -> Option<HoldMark> {
    match key {
        ControlKey::Host(_) => Some(HostControl::from_json(value).ok()?.drain?.mark),
        ControlKey::All | ControlKey::Job(_) => JobControl::from_json(value).ok()?.pause,
        ControlKey::Stop(..) | ControlKey::Trigger(..) => None,
    }
}

fn clean(text: &mut String) {
    *text = printable::line(text);
}

fn clean_all<const N: usize>(texts: [&mut String; N]) {
    texts.into_iter().for_each(clean);
}
