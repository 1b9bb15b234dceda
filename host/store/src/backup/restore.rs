//! A new store made of a backup.
//!
//! Leases, and the keys that belong to them, are left out: sessions, locks and records of hosts that are alive. They
//! are of a past that their owners do not remember. History is left out too, so that a watch from before the restore
//! ends as compacted, and its client reads again.

use std::path::Path;
use std::time::SystemTime;

use super::error::BackupError;
use super::file::{BackupFile, BackupSummary};
use super::floor::{RevisionFloor, since_epoch};
use crate::disk::{self, DirectoryClaim, DiskImage};

/// A store that was restored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RestoredStore {
    /// The backup.
    pub backup: BackupSummary,
    /// The last revision of the new store: all tokens that it grants are larger.
    pub revision: i64,
}

/// Makes a new store of a backup in an empty or missing directory. A failure leaves no store there. `now` is the wall
/// time.
///
/// # Errors
///
/// [`BackupError`] when the backup is damaged, the directory is not empty, tokens could come back, or the disk fails.
pub fn restore_backup(
    path: &Path,
    directory: &Path,
    floor: RevisionFloor,
    now: SystemTime,
) -> Result<RestoredStore, BackupError> {
    let file = BackupFile::open(path)?;
    let header = file.header.clone();
    let revision = floor.resolve(header.revision, header.taken_unix_ms, now)?;
    check_empty(directory)?;
    let mut changes = Vec::new();
    let backup = file.read_through(|change| {
        if change.lease() == 0 {
            changes.push(change);
        }
    })?;
    changes.sort_unstable_by_key(|change| (change.revision, change.sub));
    let image = DiskImage {
        cluster: header.cluster,
        member: header.member,
        // The number of openings must not fall either, and rises more slowly than the clock's seconds.
        term: header.term.max(since_epoch(now).as_secs()),
        revision,
        compacted: revision,
        changes,
        ..DiskImage::default()
    };
    write_claimed(directory, &image)?;
    Ok(RestoredStore { backup, revision })
}

/// Writes the store under a claim. Another process may have made one while the backup was read, and none can from here
/// on.
pub(super) fn write_claimed(directory: &Path, image: &DiskImage) -> Result<(), BackupError> {
    let claim = DirectoryClaim::take(directory)?;
    check_empty(directory)?;
    disk::write_restored(directory, image, &claim)?;
    Ok(())
}

/// The rest of an interrupted restore does not count: it is replaced.
fn check_empty(directory: &Path) -> Result<(), BackupError> {
    let entries = match std::fs::read_dir(directory) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        entries => entries,
    };
    let failed = |source| BackupError::Directory {
        directory: directory.to_owned(),
        source,
    };
    for entry in entries.map_err(failed)? {
        let name = entry.map_err(failed)?.file_name();
        if name != disk::RESTORING {
            return Err(BackupError::NotEmpty {
                directory: directory.to_owned(),
                entry: name.to_string_lossy().into_owned(),
            });
        }
    }
    Ok(())
}
