//! The durable disk: one redb file, and a log before it that takes one write and one sync for each batch.
//!
//! A batch that fits goes into the log (see [`super::log`]). The log's batches go into the file in four cases: the
//! log is full; before a batch that the log cannot take; at closing; at opening, after a crash. They go in one
//! transaction, which also stores the number of the last record. So after closing the file alone is complete, and
//! the two together always are. Both carry the generation of that transaction, so that an older one of the two, put
//! beside a newer one, is refused.
//!
//! A transaction is redb's one-phase commit with immediate durability. New pages and the header that names them are
//! written together, followed by a single sync. At the next opening, checksums show if all of it arrived; if not,
//! the header's other half, with the state before, is still whole. Two-phase commit would sync twice, to defend
//! against values crafted to forge those checksums; a client that can write to the store gains nothing by them.
//! Quick repair would sync twice as well, to avoid reading the file through after a crash, and it is read through at
//! every opening anyway.
//!
//! This file must never report a batch durable before it is synced, nor write after an error.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use redb::backends::FileBackend;
use redb::{Database, Table, WriteTransaction};

use super::batch_bytes;
use super::catch_panic::catch_panic;
use super::directory::{StoreFiles, sync};
use super::error::DiskError;
use super::interface::{CommitBatch, Disk, DiskImage};
use super::load::{FileContent, LoadedStore, inspect, load};
use super::location::DiskLocation;
use super::log::{self, CommitLog, GenerationMark};
use super::medium::{MeasuredMedium, MediumContent};
use super::recovery::{lay_out, mismatch, read_log};
use super::rows::{batch_row_bytes, durably, remove_rows, write_batches, write_numbers};
use super::tables::{CHANGES, FORMAT, LEASES, META, meta};
use super::times::DiskTimes;
use crate::options::StoreMedia;

/// Bytes of the file that redb caches. The store's own data is all in memory already; redb needs the few pages on
/// the way to the newest rows, and room for one transaction.
const CACHE: usize = 16 << 20;

/// Superfluous rows removed in one transaction. Each rewrites the pages it touches beside the old ones, and a large
/// compaction must not need as much space again as it frees. It takes some tens of milliseconds.
const ROWS_PER_DROP: usize = 10_000;

const DOING: &str = "write to";

/// The store's two files.
pub(crate) struct FileDisk {
    location: DiskLocation,
    /// `None` after a failed write: the content of the disk is then unknown, and nothing more is written.
    database: Option<Database>,
    log: CommitLog,
    /// Batches in the log that are not in the file.
    pending: Vec<CommitBatch>,
    /// Bytes of their rows.
    pending_bytes: u64,
    /// A batch's bytes, kept to be used again.
    payload: Vec<u8>,
    /// The file's length in bytes.
    length: Arc<AtomicU64>,
    /// Bytes of rows in the file.
    used: u64,
    /// Rows dropped in one transaction.
    pub(super) rows_per_drop: usize,
    times: Arc<DiskTimes>,
}

impl FileDisk {
    /// Opens the data in a directory, which is created if missing.
    ///
    /// # Errors
    /// It is in use, is not a store, is damaged or of a newer format, or the system fails.
    pub(crate) fn open(directory: &Path) -> Result<(Self, DiskImage), DiskError> {
        let location = DiskLocation::Directory(directory.to_owned());
        let (file, log, changed_directories) = StoreFiles::open(directory)?.split();
        let failed = |error| DiskError::redb(&location, "open", error);
        let media = StoreMedia {
            data: Box::new(FileBackend::new(file).map_err(failed)?),
            log: Box::new(FileBackend::new(log).map_err(failed)?),
        };
        let opened = Self::open_at(location, media)?;
        sync(&changed_directories)?;
        Ok(opened)
    }

    /// Opens the data on given media. Unless they lock themselves, no other process may use them meanwhile.
    ///
    /// # Errors
    /// The same as for [`FileDisk::open`].
    pub(crate) fn open_media(media: StoreMedia) -> Result<(Self, DiskImage), DiskError> {
        Self::open_at(DiskLocation::Medium, media)
    }

    /// Counts the durations of its work there from now on.
    pub(crate) fn timed(mut self, times: &Arc<DiskTimes>) -> Self {
        self.times = Arc::clone(times);
        self
    }

    fn open_at(location: DiskLocation, media: StoreMedia) -> Result<(Self, DiskImage), DiskError> {
        let (medium, content) = MeasuredMedium::prepare(media.data)
            .map_err(|cause| DiskError::io(&location.file(), "read", cause))?;
        if content == MediumContent::Foreign {
            return Err(DiskError::NotAStore {
                location: location.file(),
                found: "it does not begin as a store's file does".to_owned(),
            });
        }
        let length = medium.length();
        let (database, found) = catch_panic(&location, || {
            let database = Database::builder()
                .set_cache_size(CACHE)
                .create_with_backend(medium)
                .map_err(|error| DiskError::redb(&location, "open", error))?;
            let found = inspect(&database, &location)?;
            Ok((database, found))
        })?;
        let logged = match &found {
            FileContent::Store(Some(logged)) => Some(logged),
            FileContent::New | FileContent::Store(None) => None,
        };
        let stamp = CommitLog::stamp_of(&*media.log)
            .map_err(|cause| DiskError::io(&location.log(), "read", cause))?;
        let pending = if let Some(logged) = logged {
            read_log(&location, &*media.log, logged, stamp)?
        } else {
            if let Some(stamp) = stamp.filter(|stamp| !stamp.is_first()) {
                return Err(mismatch(&location, None, stamp));
            }
            lay_out(&location, &*media.log)?;
            Vec::new()
        };
        let (mark, last) = logged.map_or((GenerationMark::NONE, 0), |logged| {
            (logged.mark, logged.last)
        });
        let mut disk = Self {
            location,
            database: Some(database),
            log: CommitLog::new(media.log, mark, stamp, last + pending.len() as u64),
            pending,
            pending_bytes: 0,
            payload: Vec::new(),
            length,
            used: 0,
            rows_per_drop: ROWS_PER_DROP,
            times: Arc::default(),
        };
        let image = match found {
            FileContent::New => disk.create()?,
            FileContent::Store(_) => disk.resume()?,
        };
        Ok((disk, image))
    }

    /// Sets the numbers of a store that is made of a backup, once its changes are written.
    pub(super) fn set_numbers(&mut self, image: &DiskImage) -> Result<(), DiskError> {
        self.apply_log(|numbers| write_numbers(numbers, image))
    }

    /// Closes the files as dropping does, and reports a failure.
    pub(super) fn close_in_order(mut self) -> Result<(), DiskError> {
        self.apply_log(|numbers| numbers.insert(meta::OPEN, 0).map(drop).map_err(Into::into))
    }

    /// Makes a new store durable.
    fn create(&mut self) -> Result<DiskImage, DiskError> {
        let image = DiskImage::fresh();
        self.begin_generation(|transaction| {
            transaction.open_table(CHANGES)?;
            transaction.open_table(LEASES)?;
            let mut numbers = transaction.open_table(META)?;
            numbers.insert(meta::FORMAT, FORMAT)?;
            write_numbers(&mut numbers, &image)?;
            numbers.insert(meta::LOGGED, 0)?;
            numbers.insert(meta::OPEN, 1)?;
            Ok(0)
        })?;
        Ok(image)
    }

    /// Applies the records that a crash left in the log, counts one more opening, and drops the rows that the last
    /// compaction left. Nothing is written before the file was read through: a damaged file stays as it is.
    fn resume(&mut self) -> Result<DiskImage, DiskError> {
        let mut loaded = self.load()?;
        let term = loaded.image.term.saturating_add(1);
        let left = !self.pending.is_empty();
        self.apply_log(|numbers| {
            numbers.insert(meta::TERM, term)?;
            numbers.insert(meta::FORMAT, FORMAT)?;
            numbers.insert(meta::OPEN, 1)?;
            Ok(())
        })?;
        if left {
            loaded = self.load()?;
        }
        let LoadedStore {
            mut image,
            superfluous,
            used,
        } = loaded;
        image.term = term;
        self.used = used;
        self.drop_rows(&superfluous)?;
        Ok(image)
    }

    fn load(&mut self) -> Result<LoadedStore, DiskError> {
        let Some(database) = self.database.take() else {
            return Err(self.stopped());
        };
        let (database, loaded) = catch_panic(&self.location, || {
            load(&database, &self.location).map(|loaded| (database, loaded))
        })?;
        self.database = Some(database);
        Ok(loaded)
    }

    /// Writes the log's batches to redb; the log then begins anew. `also` runs in the same transaction.
    fn apply_log(
        &mut self,
        also: impl FnOnce(&mut Table<'_, &'static str, u64>) -> Result<(), redb::Error>,
    ) -> Result<(), DiskError> {
        let pending = std::mem::take(&mut self.pending);
        self.pending_bytes = 0;
        let last = self.log.last();
        self.begin_generation(|transaction| {
            let grown = write_batches(transaction, &pending, &[])?;
            let mut numbers = transaction.open_table(META)?;
            numbers.insert(meta::LOGGED, last)?;
            also(&mut numbers)?;
            Ok(grown)
        })
    }

    /// Runs one transaction that begins a generation. Its mark is in the log before and after it is in the file.
    fn begin_generation(
        &mut self,
        work: impl FnOnce(&WriteTransaction) -> Result<i64, redb::Error>,
    ) -> Result<(), DiskError> {
        if self.database.is_none() {
            return Err(self.stopped());
        }
        let announced = self.log.announce();
        let mark = self.close_on_error(announced)?;
        self.transact(|transaction| {
            let grown = work(transaction)?;
            let mut numbers = transaction.open_table(META)?;
            numbers.insert(meta::LOG, mark.id)?;
            numbers.insert(meta::GENERATION, mark.generation)?;
            Ok(grown)
        })?;
        let confirmed = self.log.confirm();
        self.close_on_error(confirmed)
    }

    /// After a failed write to the log its content is unknown, so nothing may follow.
    fn close_on_error<T>(&mut self, written: io::Result<T>) -> Result<T, DiskError> {
        written.map_err(|cause| {
            self.close();
            DiskError::io(&self.location.log(), DOING, cause)
        })
    }

    /// Commits through the log. Returns false when the batch is larger than an empty log.
    fn append(&mut self, batch: &CommitBatch) -> Result<bool, DiskError> {
        self.payload.clear();
        batch_bytes::encode(batch, &mut self.payload);
        if !CommitLog::could_take(self.payload.len()) {
            return Ok(false);
        }
        if !self.log.has_room(self.payload.len()) {
            self.apply_log(|_| Ok(()))?;
        }
        let record = &mut self.log;
        let appended = (self.times.log_record).time(|| record.append(&self.payload));
        self.close_on_error(appended)?;
        self.pending_bytes += batch_row_bytes(batch);
        self.pending.push(batch.clone());
        Ok(true)
    }

    /// Commits to redb, after the batches in the log.
    fn commit_to_file(&mut self, batch: &CommitBatch) -> Result<(), DiskError> {
        if !self.pending.is_empty() {
            self.apply_log(|_| Ok(()))?;
        }
        let mut dropped = batch.dropped.clone();
        dropped.sort_unstable();
        let (now, later) = dropped
            .split_at_checked(self.rows_per_drop)
            .unwrap_or((&dropped, &[]));
        let batch = std::slice::from_ref(batch);
        self.begin_generation(|transaction| write_batches(transaction, batch, now))?;
        self.drop_rows(later)
    }

    /// Closes the file. The bytes that redb then writes only save the next opening a repair.
    fn close(&mut self) {
        let database = self.database.take();
        let _ = catch_panic(&self.location, || {
            drop(database);
            Ok(())
        });
    }

    fn stopped(&self) -> DiskError {
        DiskError::Stopped {
            location: self.location.file(),
        }
    }

    /// Drops rows, oldest first. Of a key that was put and then deleted the delete must be dropped last, or a crash
    /// between two transactions would restore the key.
    fn drop_rows(&mut self, rows: &[(i64, u32)]) -> Result<(), DiskError> {
        for rows in rows.chunks(self.rows_per_drop) {
            self.transact(|transaction| remove_rows(&mut transaction.open_table(CHANGES)?, rows))?;
        }
        Ok(())
    }

    /// Runs one transaction and makes it durable; `work` returns the bytes by which the rows grew.
    fn transact(
        &mut self,
        work: impl FnOnce(&WriteTransaction) -> Result<i64, redb::Error>,
    ) -> Result<(), DiskError> {
        let Some(database) = self.database.take() else {
            return Err(self.stopped());
        };
        // On an error the database is closed with the closure: nothing of the batch is written after that.
        let (database, grown) = catch_panic(&self.location, || {
            let times = &self.times.file_transaction;
            times
                .time(|| durably(&database, work))
                .map_err(|error| DiskError::redb(&self.location, DOING, error))
                .map(|grown| (database, grown))
        })?;
        self.used = self.used.saturating_add_signed(grown);
        self.database = Some(database);
        Ok(())
    }
}

/// Closing applies the batches in the log. A failure does no harm: the next opening applies them.
impl Drop for FileDisk {
    fn drop(&mut self) {
        if self.database.is_some() {
            let _ = self
                .apply_log(|numbers| numbers.insert(meta::OPEN, 0).map(drop).map_err(Into::into));
        }
        self.close();
    }
}

impl Disk for FileDisk {
    /// Commits in one record of the log, or in one redb transaction. More rows to drop than fit in a transaction
    /// follow in others. The compaction itself is in the first: rows that a crash leaves behind are ignored when the
    /// file is read, and dropped then.
    fn commit(&mut self, batch: &CommitBatch) -> Result<(), DiskError> {
        if self.database.is_none() {
            return Err(self.stopped());
        }
        if batch.is_empty() && batch.dropped.is_empty() {
            return Ok(());
        }
        if batch_bytes::has_form(batch) && self.append(batch)? {
            return Ok(());
        }
        self.commit_to_file(batch)
    }

    /// Moves pages to the front of the file and shortens it. Each step is a transaction: a crash leaves the data
    /// intact.
    fn defragment(&mut self) -> Result<(), DiskError> {
        let Some(mut database) = self.database.take() else {
            return Err(self.stopped());
        };
        let compacted = catch_panic(&self.location, || {
            database
                .compact()
                .map_err(|error| DiskError::redb(&self.location, DOING, error))?;
            Ok(database)
        })?;
        self.database = Some(compacted);
        Ok(())
    }

    fn size(&self) -> (u64, u64) {
        (
            self.length.load(Ordering::Relaxed) + log::LENGTH,
            self.used + self.pending_bytes,
        )
    }
}
