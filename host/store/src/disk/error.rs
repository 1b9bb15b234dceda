//! What can go wrong with a disk, in words that say what failed, where, and what to do about it.
//!
//! This file must never decide whether to go on after an error.

use std::io;

use super::location::Place;

/// What the disk refused or failed at. Nothing that was acknowledged earlier is lost by any of these.
#[derive(Debug, thiserror::Error)]
pub enum DiskError {
    /// Somebody else has it open.
    #[error(
        "{place} is in use: another process has it open (or this one has, a second time); stop that process, or choose another directory"
    )]
    InUse {
        /// The directory.
        place: String,
    },
    /// There is something else where the store should be. It was not touched.
    #[error(
        "{place} is not a store: {found}; nothing was written to it: move it away, or choose another directory"
    )]
    NotAStore {
        /// The file.
        place: String,
        /// What was found instead.
        found: String,
    },
    /// A later version of this program wrote it. It was left as it is.
    #[error(
        "{place} has format {found}, and this program knows formats up to {known}; it was left as it is: use the program that wrote it, or a newer one"
    )]
    NewerFormat {
        /// The file.
        place: String,
        /// The format it has.
        found: u64,
        /// The newest format this program reads.
        known: u64,
    },
    /// It was a store, and what is on it cannot be true.
    #[error(
        "{place} is damaged: {what}; keep a copy and check the disk, then restore a backup of the whole directory, or move it away to begin with an empty store"
    )]
    Corrupt {
        /// The file.
        place: String,
        /// What cannot be true.
        what: String,
    },
    /// The log does not hold what it must, or does not belong to the file beside it. Going on without it would
    /// bring back revisions, and so fencing tokens, that were given out already.
    #[error(
        "{place} is damaged: {what}; keep a copy of the whole directory and check the disk, then restore a backup of the whole directory, or move it away to begin with an empty store"
    )]
    LogCorrupt {
        /// The file with the log.
        place: String,
        /// What cannot be true.
        what: String,
    },
    /// The file and the log are of different times or stores. Going on would drop writes that were acknowledged.
    #[error("{file} and {log} do not belong together: {what}; no data was changed: {remedy}")]
    Mismatch {
        /// The file.
        file: String,
        /// The log.
        log: String,
        /// How the two differ.
        what: String,
        /// The remedy.
        remedy: &'static str,
    },
    /// The disk, a quota or a limit on the size of files is exhausted.
    #[error("no space to {doing} {place}: {cause}; free some space")]
    OutOfSpace {
        /// The file or directory.
        place: String,
        /// What was being done, as in "to write to".
        doing: &'static str,
        /// What the system said.
        cause: io::Error,
    },
    /// The system refused or failed for any other reason.
    #[error("failed to {doing} {place}: {cause}; check its permissions and the disk")]
    Io {
        /// The file or directory.
        place: String,
        /// What was being done, as in "to write to".
        doing: &'static str,
        /// What the system said.
        cause: io::Error,
    },
    /// An earlier commit failed. Until the disk is opened anew nobody knows what is on it.
    #[error(
        "nothing more is written to {place}, because an earlier write failed: it has to be opened anew once what failed then is well"
    )]
    Stopped {
        /// The file.
        place: String,
    },
}

impl DiskError {
    /// Whether freeing space, and nothing else, would have helped.
    pub const fn is_out_of_space(&self) -> bool {
        matches!(self, Self::OutOfSpace { .. })
    }

    /// What the system said while something was done with a place.
    pub(super) fn io(place: &str, doing: &'static str, cause: io::Error) -> Self {
        let place = place.to_owned();
        match cause.kind() {
            io::ErrorKind::StorageFull
            | io::ErrorKind::QuotaExceeded
            | io::ErrorKind::FileTooLarge => Self::OutOfSpace {
                place,
                doing,
                cause,
            },
            // Nothing here reads where the file's own structure did not say there was something.
            io::ErrorKind::UnexpectedEof => Self::Corrupt {
                place,
                what: "it ends before its data does".to_owned(),
            },
            io::ErrorKind::InvalidData => Self::Corrupt {
                place,
                what: cause.to_string(),
            },
            _ => Self::Io {
                place,
                doing,
                cause,
            },
        }
    }

    /// What redb said while something was done with a file.
    pub(super) fn redb(place: &Place, doing: &'static str, cause: impl Into<redb::Error>) -> Self {
        let file = place.file();
        match cause.into() {
            redb::Error::Io(cause) => Self::io(&file, doing, cause),
            redb::Error::DatabaseAlreadyOpen => Self::InUse {
                place: place.whole(),
            },
            redb::Error::PreviousIo | redb::Error::DatabaseClosed => Self::Stopped { place: file },
            redb::Error::Corrupted(what) => Self::Corrupt { place: file, what },
            other @ (redb::Error::UpgradeRequired(_)
            | redb::Error::TableTypeMismatch { .. }
            | redb::Error::TableIsMultimap(_)
            | redb::Error::TypeDefinitionChanged { .. }
            | redb::Error::TableDoesNotExist(_)) => Self::NotAStore {
                place: file,
                found: format!("it is a database of another kind ({other})"),
            },
            other => Self::Io {
                place: file,
                doing,
                cause: io::Error::other(other.to_string()),
            },
        }
    }
}

/// A medium that could not be handed in at all.
impl From<io::Error> for DiskError {
    fn from(cause: io::Error) -> Self {
        Self::io(&Place::Medium.whole(), "open", cause)
    }
}
