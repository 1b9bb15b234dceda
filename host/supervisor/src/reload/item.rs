//! An item: one source of a job, as it was last looked at, and how far its newest version has come.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::version::Version;
use leasehold_config::fingerprint::Stamp;
use leasehold_config::plugin_file::sidecar;
use leasehold_config::{Config, Job};

/// Where a job comes from. Configured jobs come first wherever two want the same.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Key {
    /// A table of the configuration, by the job's name.
    Configured(String),
    /// A file in the plugins' folder.
    Dropped(PathBuf),
}

/// What a version is made from.
#[derive(Clone, Debug)]
pub(super) enum Source {
    Configured(Box<Job>),
    /// With the configuration whose policy and defaults hold.
    Dropped(Arc<Config>, PathBuf),
}

impl Source {
    pub(super) fn plugin(&self) -> &Path {
        match self {
            Self::Configured(job) => job.plugin(),
            Self::Dropped(_, path) => path,
        }
    }

    /// The files that decide, as they are now.
    pub(super) fn look(&self) -> Seen {
        Seen {
            plugin: Stamp::of(self.plugin()),
            sidecar: match self {
                Self::Configured(_) => None,
                Self::Dropped(_, path) => Stamp::of(&sidecar(path)),
            },
        }
    }

    /// Whether the same files would make the same of it.
    pub(super) fn is_like(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Configured(ours), Self::Configured(theirs)) => ours == theirs,
            (Self::Dropped(ours, _), Self::Dropped(theirs, _)) => Arc::ptr_eq(ours, theirs),
            _ => false,
        }
    }
}

/// The files of an item, as they were when somebody looked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) plugin: Option<Stamp>,
    pub(super) sidecar: Option<Stamp>,
}

/// One source of a job.
#[derive(Debug)]
pub(super) struct Item {
    pub(super) source: Source,
    /// What the newest version, or the newest refusal, was made from; `None` when it is to be made anew.
    pub(super) seen: Option<Seen>,
    /// Whether a version is being made.
    pub(super) loading: bool,
    /// The newest version that could be used.
    pub(super) version: Option<Version>,
    /// The last thing people were told about it, so that it is told once.
    pub(super) told: Option<String>,
}

impl Item {
    pub(super) const fn new(source: Source) -> Self {
        Self {
            source,
            seen: None,
            loading: false,
            version: None,
            told: None,
        }
    }
}
