//! Owner of an entry: a job of a host, another client, or an administrative hold.
//!
//! Text from the store is made printable here and nowhere else. A label is shown, never the key.

use std::sync::Arc;

use leasehold_lock::{KeyValue, LeaseId};
use leasehold_records::{HolderRecord, printable};

/// Longest name taken from another client's value, in characters.
const LONGEST_NAME: usize = 64;
/// Longest text taken from the value of an administrative hold, in characters.
const LONGEST_TEXT: usize = 512;

/// The holder or waiter of an entry. Entries with equal owners belong to one actor, which waits for itself if one is
/// behind the other.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum EntryOwner {
    /// A job on one host.
    Job {
        /// The job.
        job: Arc<str>,
        /// Its host.
        host: Arc<str>,
    },
    /// A client without a readable record; identified by its lease.
    Other {
        /// The lease.
        lease: LeaseId,
        /// Its value, if that is text.
        said: Arc<str>,
    },
    /// A key without a lease, which exists until it is deleted.
    Hold {
        /// The last part of its key.
        name: Arc<str>,
        /// Its value: the operator's text.
        said: Arc<str>,
    },
}

impl EntryOwner {
    /// Reads the owner from an entry of a queue.
    pub(crate) fn read(entry: &KeyValue) -> Self {
        if let Ok(record) = HolderRecord::from_json(&entry.value) {
            return Self::Job {
                job: printable::line(&record.job).into(),
                host: printable::line(&record.host).into(),
            };
        }
        if entry.lease.is_none() {
            let name = entry.key.rsplit('/').next().unwrap_or_default();
            let name = printable::line(name).into();
            let said = printable::bytes(&entry.value);
            let said = said.chars().take(LONGEST_TEXT).collect::<String>().into();
            return Self::Hold { name, said };
        }
        let said = std::str::from_utf8(&entry.value).unwrap_or_default();
        let said: String = said.chars().take(LONGEST_NAME).collect();
        Self::Other {
            lease: entry.lease,
            said: printable::line(&said).into(),
        }
    }

    /// Label on the screen.
    pub(crate) fn label(&self) -> String {
        match self {
            Self::Job { job, host } => format!("{job}@{host}"),
            Self::Other { lease, said } if said.is_empty() => {
                format!("client {}", crate::text::hex_short(*lease))
            }
            Self::Other { said, .. } => said.to_string(),
            Self::Hold { name, .. } => format!("hold: {name}"),
        }
    }

    /// The host of a job.
    pub(crate) fn host(&self) -> Option<&str> {
        match self {
            Self::Job { host, .. } => Some(host),
            _ => None,
        }
    }
}
