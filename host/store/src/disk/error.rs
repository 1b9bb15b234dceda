//! What can go wrong with a disk, in words that say what failed, where, and what to do about it.
//!
//! This file must never decide whether to go on after an error.

use std::io;

use super::location::DiskLocation;

/// What the disk refused or failed at. Nothing that was acknowledged earlier is lost by any of these.
#[derive(Debug, thiserror::Error)]
pub enum DiskError {
    /// Somebody else has it open.
    #[error(
        "{location} is in use: another process has it open (or this one has, a second time); stop that process, or choose another directory"
    )]
    InUse {
        /// The directory.
        location: String,
    },
    /// There is something else where the store should be. It was not touched.
    #[error(
        "{location} is not a store: {found}; nothing was written to it: move it away, or choose another directory"
    )]
    NotAStore {
        /// The file.
        location: String,
        /// What was found instead.
        found: String,
    },
    /// A later version of this program wrote it. It was left as it is.
    #[error(
        "{location} has format {found}, and this program knows formats up to {known}; it was left as it is: use the program that wrote it, or a newer one"
    )]
    NewerFormat {
        /// The file.
        location: String,
        /// The format it has.
        found: u64,
        /// The newest format this program reads.
        known: u64,
    },
    /// It was a store, and what is on it cannot be true.
    #[error(
        "{location} is damaged: {damage}; keep a copy and check the disk, then restore a backup of the whole directory, or move it away to begin with an empty store"
    )]
    Corrupt {
        /// The file.
        location: String,
        /// What cannot be true.
        damage: String,
    },
    /// The log does not hold what it must, or does not belong to the file beside it. Going on without it would
    /// bring back revisions, and so fencing tokens, that were given out already.
    #[error(
        "{location} is damaged: {damage}; keep a copy of the whole directory and check the disk, then restore a backup of the whole directory, or move it away to begin with an empty store"
    )]
    LogCorrupt {
        /// The file with the log.
        location: String,
        /// What cannot be true.
        damage: String,
    },
    /// The file and the log are of different times or stores. Going on would drop writes that were acknowledged.
    #[error("{file} and {log} do not belong together: {difference}; no data was changed: {remedy}")]
    Mismatch {
        /// The file.
        file: String,
        /// The log.
        log: String,
        /// How the two differ.
        difference: String,
        /// The remedy.
        remedy: &'static str,
    },
    /// The disk, a quota or a limit on the size of files is exhausted.
    #[error("no space to {doing} {location}: {cause}; free some space")]
    OutOfSpace {
        /// The file or directory.
        location: String,
        /// What was being done, as in "to write to".
        doing: &'static str,
        /// What the system said.
        cause: io::Error,
    },
    /// The system refused or failed for any other reason.
    #[error("failed to {doing} {location}: {cause}; check its permissions and the disk")]
    Io {
        /// The file or directory.
        location: String,
        /// What was being done, as in "to write to".
        doing: &'static str,
        /// What the system said.
        cause: io::Error,
    },
    /// An earlier commit failed. Until the disk is opened anew nobody knows what is on it.
    #[error(
        "nothing more is written to {location}, because an earlier write failed: it has to be opened anew once what failed then is well"
    )]
    Stopped {
        /// The file.
        location: String,
    },
}

impl DiskError {
    /// Whether freeing space, and nothing else, would have helped.
    pub const fn is_out_of_space(&self) -> bool {
        matches!(self, Self::OutOfSpace { .. })
    }

    /// What the system said while something was done with a place.
    pub(super) fn io(location: &str, doing: &'static str, cause: io::Error) -> Self {
        let location = location.to_owned();
        match cause.kind() {
            io::ErrorKind::StorageFull
            | io::ErrorKind::QuotaExceeded
            | io::ErrorKind::FileTooLarge => Self::OutOfSpace {
                location,
                doing,
                cause,
            },
            // Nothing here reads where the file's own structure did not say there was something.
            io::ErrorKind::UnexpectedEof => Self::Corrupt {
                location,
                damage: "it ends before its data does".to_owned(),
            },
            io::ErrorKind::InvalidData => Self::Corrupt {
                location,
                damage: cause.to_string(),
            },
            _ => Self::Io {
                location,
                doing,
                cause,
            },
        }
    }

    /// What redb said while something was done with a file.
    pub(super) fn redb(
        location: &DiskLocation,
        doing: &'static str,
        cause: impl Into<redb::Error>,
    ) -> Self {
        let file = location.file();
        match cause.into() {
            redb::Error::Io(cause) => Self::io(&file, doing, cause),
            redb::Error::DatabaseAlreadyOpen => Self::InUse {
                location: location.whole(),
            },
            redb::Error::PreviousIo | redb::Error::DatabaseClosed => {
                Self::Stopped { location: file }
            }
            redb::Error::Corrupted(damage) => Self::Corrupt {
                location: file,
                damage,
            },
            other @ (redb::Error::UpgradeRequired(_)
            | redb::Error::TableTypeMismatch { .. }
            | redb::Error::TableIsMultimap(_)
            | redb::Error::TypeDefinitionChanged { .. }
            | redb::Error::TableDoesNotExist(_)) => Self::NotAStore {
                location: file,
                found: format!("it is a database of another kind ({other})"),
            },
            other => Self::Io {
                location: file,
                doing,
                cause: io::Error::other(other.to_string()),
            },
        }
    }
}

/// A medium that could not be handed in at all.
impl From<io::Error> for DiskError {
    fn from(cause: io::Error) -> Self {
        Self::io(&DiskLocation::Medium.whole(), "open", cause)
    }
}
