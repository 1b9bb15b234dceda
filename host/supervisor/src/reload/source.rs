//! An item: one source of a job, its files as last checked, and the state of its newest version.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::version::Version;
use leasehold_config::fingerprint::Fingerprint;
use leasehold_config::plugin_file::sidecar;
use leasehold_config::{Config, Job};

/// Origin of a job. Configured jobs have precedence over dropped-in ones.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum SourceKey {
    /// A table of the configuration, by the job's name.
    Configured(String),
    /// A file in the plugins' folder.
    Dropped(PathBuf),
}

/// Input from which a version is made.
#[derive(Clone, Debug)]
pub(super) enum SourceFiles {
    Configured(Box<Job>),
    /// A plugin file, with the configuration whose policy and defaults apply.
    Dropped(Arc<Config>, PathBuf),
}

impl SourceFiles {
    pub(super) fn plugin(&self) -> &Path {
        match self {
            Self::Configured(job) => job.plugin(),
            Self::Dropped(_, path) => path,
        }
    }

    /// Returns the files of the source as they are now.
    pub(super) fn look(&self) -> SeenFiles {
        SeenFiles {
            plugin: Fingerprint::of(self.plugin()),
            sidecar: match self {
                Self::Configured(_) => None,
                Self::Dropped(_, path) => Fingerprint::of(&sidecar(path)),
            },
        }
    }

    /// True if the same files would make the same version from both.
    pub(super) fn is_like(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Configured(ours), Self::Configured(theirs)) => ours == theirs,
            (Self::Dropped(ours, _), Self::Dropped(theirs, _)) => Arc::ptr_eq(ours, theirs),
            _ => false,
        }
    }
}

/// Files of an item, as they were at a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SeenFiles {
    pub(super) plugin: Option<Fingerprint>,
    pub(super) sidecar: Option<Fingerprint>,
}

/// One source of a job.
#[derive(Debug)]
pub(super) struct JobSource {
    pub(super) source: SourceFiles,
    /// The files of the newest version or the newest refusal; `None` when it is to be made anew.
    pub(super) seen: Option<SeenFiles>,
    /// True while a version is being made.
    pub(super) loading: bool,
    /// The newest version that could be used.
    pub(super) version: Option<Version>,
    /// The last error logged for it, so that each is logged once.
    pub(super) told: Option<String>,
}

impl JobSource {
    pub(super) const fn new(source: SourceFiles) -> Self {
        Self {
            source,
            seen: None,
            loading: false,
            version: None,
            told: None,
        }
    }
}
