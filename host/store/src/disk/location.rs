//! Names of the disk and of its files in messages.

use std::path::PathBuf;

/// Name of redb's file in the directory.
pub(super) const FILE: &str = "store.redb";

/// Name of the log beside it.
pub(super) const LOG: &str = "store.log";

/// Location of a disk.
#[derive(Debug, Clone)]
pub(super) enum DiskLocation {
    /// A directory.
    Directory(PathBuf),
    /// A medium that the caller opened.
    Medium,
}

impl DiskLocation {
    /// Returns the name of the file with the data.
    pub(super) fn file(&self) -> String {
        match self {
            Self::Directory(path) => path.join(FILE).display().to_string(),
            Self::Medium => self.whole(),
        }
    }

    /// Returns the name of the file with the log.
    pub(super) fn log(&self) -> String {
        match self {
            Self::Directory(path) => path.join(LOG).display().to_string(),
            Self::Medium => "the store's log".to_owned(),
        }
    }

    /// Returns the name of the whole store.
    pub(super) fn whole(&self) -> String {
        match self {
            Self::Directory(path) => format!("the store in {}", path.display()),
            Self::Medium => "the store's medium".to_owned(),
        }
    }
}
