//! Refusals of backups and restores.

use std::io;
use std::path::{Path, PathBuf};

use crate::disk::DiskError;

/// Error reading or restoring a backup.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// The file cannot be read.
    #[error("cannot read the backup {}: {source}", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's error.
        #[source]
        source: io::Error,
    },
    /// The file is not a backup of an embedded store.
    #[error("{} is not a backup of an embedded store: {found}", .path.display())]
    NotABackup {
        /// The file.
        path: PathBuf,
        /// Its content, and the remedy.
        found: &'static str,
    },
    /// The file is of a later version of this program.
    #[error(
        "the backup {} has format {found}, and this version of leasehold reads format {known}; use a later version",
        .path.display()
    )]
    NewerFormat {
        /// The file.
        path: PathBuf,
        /// Its format.
        found: u64,
        /// The format that is known.
        known: u64,
    },
    /// The file is not as it was written.
    #[error(
        "the backup {} is damaged: {damage}; nothing of it is used",
        .path.display()
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// The damage.
        damage: String,
    },
    /// The directory of the new store has entries.
    #[error(
        "{} is not empty (it has {entry:?}); a store is restored into an empty or missing directory only: move the \
         old data away, and keep it until the restored store runs",
        .directory.display()
    )]
    NotEmpty {
        /// The directory.
        directory: PathBuf,
        /// One of its entries.
        entry: String,
    },
    /// The directory cannot be read or prepared.
    #[error("cannot prepare {} for the restored store: {source}", .directory.display())]
    Directory {
        /// The directory.
        directory: PathBuf,
        /// The system's error.
        #[source]
        source: io::Error,
    },
    /// The clock is behind the backup's.
    #[error(
        "the clock of this machine shows {now_unix_ms} (Unix milliseconds), and the backup was taken at \
         {taken_unix_ms}: a restored store begins at a revision made from the clock, and this one may bring tokens \
         back; set the clock right, or give the old store's last revision with --above-revision"
    )]
    ClockBehind {
        /// The time of this machine.
        now_unix_ms: u64,
        /// The time of the backup.
        taken_unix_ms: u64,
    },
    /// The revision of the backup is beyond the one that the clock gives.
    #[error(
        "the backup is at revision {revision}, and the clock gives {clock} only: a restored store that begins there \
         would bring tokens back; set the clock right, or give this revision or the old store's last one with \
         --above-revision"
    )]
    RevisionAhead {
        /// The revision of the backup.
        revision: i64,
        /// The revision made from the clock.
        clock: i64,
    },
    /// The given revision is below the backup's.
    #[error(
        "--above-revision {above} is below the backup's own revision {revision}: the old store went on from there, so \
         its last revision was {revision} or more, and tokens up to it would come back"
    )]
    AboveTooLow {
        /// The given revision.
        above: i64,
        /// The revision of the backup.
        revision: i64,
    },
    /// The given revision is above the one that the clock gives.
    #[error(
        "--above-revision {above} is above the revision that the clock gives ({clock}), which no store has come to by \
         now: a later restore would begin below it and bring tokens back; set the clock right, or give a lower one"
    )]
    AboveTooHigh {
        /// The given revision.
        above: i64,
        /// The revision made from the clock.
        clock: i64,
    },
    /// The new store cannot be written.
    #[error(transparent)]
    Disk(#[from] DiskError),
}

impl BackupError {
    pub(super) fn read(path: &Path, source: io::Error) -> Self {
        Self::Read {
            path: path.to_owned(),
            source,
        }
    }

    pub(super) fn damaged(path: &Path, damage: impl Into<String>) -> Self {
        Self::Damaged {
            path: path.to_owned(),
            damage: damage.into(),
        }
    }
}
