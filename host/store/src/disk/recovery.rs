//! The log that an earlier process left: read back, or refused beside a file that it does not belong to.
//!
//! This file must never write to a log that holds records.

use redb::StorageBackend;

use super::batch_bytes;
use super::error::DiskError;
use super::interface::Batch;
use super::load::Logged;
use super::location::Place;
use super::log::{self, Log, Stamp};

pub(super) fn lay_out(place: &Place, log: &dyn StorageBackend) -> Result<(), DiskError> {
    Log::lay_out(log).map_err(|cause| DiskError::io(&place.log(), "write to", cause))
}

/// What a crash left in the log. One that was closed in order may be missing: then nothing is missing with it.
pub(super) fn read_log(
    place: &Place,
    log: &dyn StorageBackend,
    logged: &Logged,
    stamp: Option<Stamp>,
) -> Result<Vec<Batch>, DiskError> {
    let damaged = |what| DiskError::LogCorrupt {
        place: place.log(),
        what,
    };
    let has_stamps = logged.mark.generation > 0;
    let found = match stamp {
        Some(stamp) if !stamp.fits(logged.mark.id) => {
            return Err(mismatch(place, Some(logged), stamp));
        }
        None if has_stamps => log::Found::Missing,
        _ => Log::read(log, logged.mark.id, logged.last)
            .map_err(|cause| DiskError::io(&place.log(), "read", cause))?,
    };
    match found {
        log::Found::Records(records) => records
            .iter()
            .map(|record| {
                batch_bytes::decode(record).ok_or_else(|| damaged("a record has no form".into()))
            })
            .collect(),
        log::Found::Missing if !logged.open => {
            lay_out(place, log)?;
            Ok(Vec::new())
        }
        log::Found::Missing => Err(damaged(
            "the store was not closed in order, and this is not the log with its last writes"
                .into(),
        )),
        log::Found::Damaged(what) => Err(damaged(what)),
    }
}

/// A file and a log of different generations, the file's being unknown in a new store and in format 2.
pub(super) fn mismatch(place: &Place, logged: Option<&Logged>, stamp: Stamp) -> DiskError {
    let of_log = stamp.mark.generation;
    let what = match logged.map(|logged| logged.mark.generation) {
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
        file: place.file(),
        log: place.log(),
        what,
        remedy: if closed {
            "restore both files from one backup; or, as the file was closed in order and is whole by itself, \
             move the log away to go on from the moment it was closed"
        } else {
            "restore both files from one backup, or move both away to begin with an empty store"
        },
    }
}
