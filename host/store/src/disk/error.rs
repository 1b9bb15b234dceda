//! Errors of the disk. Their messages name the failure, the location and the remedy.
//!
//! This file must never decide if the store goes on after an error.

use std::io;

use super::location::DiskLocation;

/// A refusal or failure of the disk. No acknowledged write is lost by any of these.
#[derive(Debug, thiserror::Error)]
pub enum DiskError {
    /// Another process has it open.
    #[error(
        "{location} is in use: another process has it open (or this one has, a second time); stop that process, or choose another directory"
    )]
    InUse {
        /// The directory.
        location: String,
    },
    /// The file is not a store. It was not touched.
    #[error(
        "{location} is not a store: {found}; nothing was written to it: move it away, or choose another directory"
    )]
    NotAStore {
        /// The file.
        location: String,
        /// The content found instead.
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
    /// The file is a store whose content is contradictory.
    #[error(
        "{location} is damaged: {damage}; keep a copy and check the disk, then restore a backup of the whole directory, or move it away to begin with an empty store"
    )]
    Corrupt {
        /// The file.
        location: String,
        /// The contradiction.
        damage: String,
    },
    /// The log lacks records, or does not belong to the file beside it. Going on without it would reuse revisions,
    /// and so fencing tokens, that were given out already.
    #[error(
        "{location} is damaged: {damage}; keep a copy of the whole directory and check the disk, then restore a backup of the whole directory, or move it away to begin with an empty store"
    )]
    LogCorrupt {
        /// The file with the log.
        location: String,
        /// The missing or contradictory records.
        damage: String,
    },
    /// The file and the log are of different times or stores. Going on would drop acknowledged writes.
    #[error("{file} and {log} do not belong together: {difference}; no data was changed: {remedy}")]
    Mismatch {
        /// The file.
        file: String,
        /// The log.
        log: String,
        /// The difference between the two.
        difference: String,
        /// The remedy.
        remedy: &'static str,
    },
    /// The disk, a quota or a limit on the size of files is exhausted.
    #[error("no space to {doing} {location}: {cause}; free some space")]
    OutOfSpace {
        /// The file or directory.
        location: String,
        /// The operation, as in "to write to".
        doing: &'static str,
        /// The system's error.
        cause: io::Error,
    },
    /// The system refused or failed for any other reason.
    #[error("failed to {doing} {location}: {cause}; check its permissions and the disk")]
    Io {
        /// The file or directory.
        location: String,
        /// The operation, as in "to write to".
        doing: &'static str,
        /// The system's error.
        cause: io::Error,
    },
    /// An earlier commit failed. Until the disk is opened again its content is unknown.
    #[error(
        "nothing more is written to {location}, because an earlier write failed: it has to be opened anew once what failed then is well"
    )]
    Stopped {
        /// The file.
        location: String,
    },
}

impl DiskError {
    /// Returns true if freeing space, and nothing else, would have helped.
    pub const fn is_out_of_space(&self) -> bool {
        matches!(self, Self::OutOfSpace { .. })
    }

    /// Converts the system's error from an operation on a location.
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
            // Reads never go beyond the length that the file's own structure gives.
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

    /// Converts redb's error from an operation on a file.
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

/// Error of a medium that could not be opened at all.
impl From<io::Error> for DiskError {
    fn from(cause: io::Error) -> Self {
        Self::io(&DiskLocation::Medium.whole(), "open", cause)
    }
}
