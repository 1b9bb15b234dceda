//! The files of a store that is made of a backup.
//!
//! They are written in a directory of their own and closed; then the file with the data is moved to its place. So
//! there is a whole store or none. The caller checks, under the claim, that no store is replaced.

use std::path::Path;
use std::sync::Arc;

use super::change_bytes;
use super::directory::{DirectoryClaim, sync};
use super::error::DiskError;
use super::file::FileDisk;
use super::interface::{CommitBatch, Disk as _, DiskImage};
use super::location::FILE;
use super::tables::row_bytes;
use crate::change::{KeyChange, RevisionChanges};

/// Name of the directory in which the files are written.
pub(crate) const RESTORING: &str = "restoring";

/// Bytes of rows in one transaction.
const BATCH_BYTES: u64 = 8 << 20;

/// Writes a store with this content, whose changes are sorted by revision and position, into a claimed directory that has
/// no store.
///
/// # Errors
/// The system fails.
pub(crate) fn write_restored(
    directory: &Path,
    image: &DiskImage,
    _claim: &DirectoryClaim,
) -> Result<(), DiskError> {
    let workplace = directory.join(RESTORING);
    clear(&workplace)?;
    let (mut disk, _) = FileDisk::open(&workplace)?;
    let (mut batch, mut bytes) = (CommitBatch::default(), 0);
    for changes in image.changes.chunk_by(|a, b| a.revision == b.revision) {
        let rows = changes.iter();
        bytes += rows
            .map(|change| row_bytes(change_bytes::encoded_length(change)))
            .sum::<u64>();
        batch.revisions.push(Arc::new(revision_of(changes)));
        if bytes > BATCH_BYTES {
            disk.commit(&std::mem::take(&mut batch))?;
            bytes = 0;
        }
    }
    disk.commit(&batch)?;
    disk.set_numbers(image)?;
    // Closed in order, the file is whole without its log.
    disk.close_in_order()?;
    let (from, to) = (workplace.join(FILE), directory.join(FILE));
    std::fs::rename(&from, &to)
        .map_err(|cause| DiskError::io(&from.display().to_string(), "move", cause))?;
    clear(&workplace)?;
    sync(&[directory.to_owned()])
}

fn revision_of(changes: &[Arc<KeyChange>]) -> RevisionChanges {
    RevisionChanges {
        number: changes.first().map_or(0, |change| change.revision),
        changes: changes.into(),
    }
}

fn clear(workplace: &Path) -> Result<(), DiskError> {
    match std::fs::remove_dir_all(workplace) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(DiskError::io(
            &workplace.display().to_string(),
            "clear",
            error,
        )),
        _ => Ok(()),
    }
}
