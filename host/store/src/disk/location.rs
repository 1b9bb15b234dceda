//! Names of the disk and of its files in messages.

use std::path::PathBuf;

/// The store's file in its directory.
pub(super) const FILE: &str = "store.redb";

/// The log before it.
pub(super) const LOG: &str = "store.log";

/// What a disk is called in messages.
#[derive(Debug, Clone)]
pub(super) enum DiskLocation {
    /// A directory.
    Directory(PathBuf),
    /// Something that was handed in.
    Medium,
}

impl DiskLocation {
    /// The file with the data.
    pub(super) fn file(&self) -> String {
        match self {
            Self::Directory(path) => path.join(FILE).display().to_string(),
            Self::Medium => self.whole(),
        }
    }

    /// The file with the log.
    pub(super) fn log(&self) -> String {
        match self {
            Self::Directory(path) => path.join(LOG).display().to_string(),
            Self::Medium => "the store's log".to_owned(),
        }
    }

    /// The whole of it.
    pub(super) fn whole(&self) -> String {
        match self {
            Self::Directory(path) => format!("the store in {}", path.display()),
            Self::Medium => "the store's medium".to_owned(),
        }
    }
}
