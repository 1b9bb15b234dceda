//! Recovery of the log that an earlier process left: its records, or a refusal when it does not belong to the file.
//!
//! This file must never write to a log that holds records.

use redb::StorageBackend;

use super::batch_bytes;
use super::error::DiskError;
use super::interface::CommitBatch;
use super::load::LogPosition;
use super::location::DiskLocation;
use super::log::{self, CommitLog, GenerationStamp};

pub(super) fn lay_out(location: &DiskLocation, log: &dyn StorageBackend) -> Result<(), DiskError> {
    CommitLog::lay_out(log).map_err(|cause| DiskError::io(&location.log(), "write to", cause))
}

/// Reads the records that a crash left in the log. A log that was closed in order may be missing: it held none.
pub(super) fn read_log(
    location: &DiskLocation,
    log: &dyn StorageBackend,
    logged: &LogPosition,
    stamp: Option<GenerationStamp>,
) -> Result<Vec<CommitBatch>, DiskError> {
    let damaged = |damage| DiskError::LogCorrupt {
        location: location.log(),
        damage,
    };
    let has_stamps = logged.mark.generation > 0;
    let found = match stamp {
        Some(stamp) if !stamp.fits(logged.mark.id) => {
            return Err(mismatch(location, Some(logged), stamp));
        }
        None if has_stamps => log::LogContent::Missing,
        _ => CommitLog::read(log, logged.mark.id, logged.last)
            .map_err(|cause| DiskError::io(&location.log(), "read", cause))?,
    };
    match found {
        log::LogContent::Records(records) => records
            .iter()
            .map(|record| {
                batch_bytes::decode(record).ok_or_else(|| damaged("a record has no form".into()))
            })
            .collect(),
        log::LogContent::Missing if !logged.open => {
            lay_out(location, log)?;
            Ok(Vec::new())
        }
        log::LogContent::Missing => Err(damaged(
            "the store was not closed in order, and this is not the log with its last writes"
                .into(),
        )),
        log::LogContent::Damaged(damage) => Err(damaged(damage)),
    }
}

/// Error for a file and a log of different generations. The file's is unknown in a new store and in format 2.
pub(super) fn mismatch(
    location: &DiskLocation,
    logged: Option<&LogPosition>,
    stamp: GenerationStamp,
) -> DiskError {
    let of_log = stamp.mark.generation;
    let difference = match logged.map(|logged| logged.mark.generation) {
        None => format!("the file is empty or of format 1, and the log has generation {of_log}"),
        Some(0) => format!("the file is of format 2, and the log has generation {of_log}"),
        Some(of_file) if of_file == of_log => format!(
            "both have generation {of_log}, of two different stores or of two lives after one backup"
        ),
        Some(of_file) => format!(
            "the file has generation {of_file} and the log has generation {of_log}, so one of them is older"
        ),
    };
    let closed = logged.is_some_and(|logged| !logged.open);
    DiskError::Mismatch {
        file: location.file(),
        log: location.log(),
        difference,
        remedy: if closed {
            "restore both files from one backup; or, as the file was closed in order and is whole by itself, \
             move the log away to go on from the moment it was closed"
        } else {
            "restore both files from one backup, or move both away to begin with an empty store"
        },
    }
}
