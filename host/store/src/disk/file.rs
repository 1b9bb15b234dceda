//! The durable disk: one redb file, one write transaction and one sync for each batch.
//!
//! A transaction is redb's one-phase commit with immediate durability: new pages and the header that names
//! them go out together, followed by a single sync; checksums tell at the next opening whether all of it
//! arrived, and if not the header's other half, with the state before, is still whole. Two-phase commit would
//! sync twice to defend against values crafted to forge those checksums, which whoever can write to the store
//! gains nothing by; quick repair would sync twice as well, to save reading the file through after a crash,
//! and it is read through at every opening anyway. A file that has to grow is synced once more for that, each
//! time to twice its length.
//!
//! This file must never report a batch durable before redb has synced it, nor write after an error.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use redb::backends::FileBackend;
use redb::{Database, StorageBackend, Table, WriteTransaction};

use super::caught::caught;
use super::load::{Found, LEASE_BYTES, Loaded, load};
use super::medium::{Content, Medium};
use super::place::{Held, Place, sync};
use super::tables::{CHANGES, FORMAT, LEASES, META, meta, row};
use super::{Batch, Disk, DiskError, Image, record};

/// How much of the file redb keeps in memory, in bytes. The store's own data is all in memory already; redb
/// needs the few pages on the way to the newest rows, and room for one transaction.
const CACHE: usize = 16 << 20;

/// How many superfluous rows go in one transaction: each rewrites the pages it touches beside the old ones, and
/// a large compaction must not need as much space again as it frees. It is some tens of milliseconds' work.
const DROPS: usize = 10_000;

const DOING: &str = "write to";

/// A store's file.
pub(crate) struct FileDisk {
    place: Place,
    /// Nothing once a commit failed: then nobody knows what is on the disk, and nothing more is written.
    database: Option<Database>,
    /// The file's length in bytes.
    length: Arc<AtomicU64>,
    /// Bytes of rows in the file.
    used: u64,
    /// How many rows are dropped in one transaction.
    pub(super) drops: usize,
}

impl FileDisk {
    /// Opens the data in a directory, which is made if it is missing.
    ///
    /// # Errors
    /// It is in use, is no store, is damaged or of a newer format, or the system fails.
    pub(crate) fn open(directory: &Path) -> Result<(Self, Image), DiskError> {
        let place = Place::Directory(directory.to_owned());
        let (file, named_in) = Held::take(directory)?.split();
        let backend =
            FileBackend::new(file).map_err(|error| DiskError::redb(&place, "open", error))?;
        let opened = Self::at(place, Box::new(backend))?;
        sync(&named_in)?;
        Ok(opened)
    }

    /// Opens the data on a given medium. Unless the medium locks itself, nobody else may use it meanwhile.
    ///
    /// # Errors
    /// As for [`FileDisk::open`].
    pub(crate) fn on(media: Box<dyn StorageBackend>) -> Result<(Self, Image), DiskError> {
        Self::at(Place::Medium, media)
    }

    fn at(place: Place, backend: Box<dyn StorageBackend>) -> Result<(Self, Image), DiskError> {
        let (medium, content) =
            Medium::take(backend).map_err(|cause| DiskError::io(&place.file(), "read", cause))?;
        if content == Content::Foreign {
            return Err(DiskError::NotAStore {
                place: place.file(),
                found: "it does not begin as a store's file does".to_owned(),
            });
        }
        let length = medium.length();
        let (database, found) = caught(&place, || {
            let database = Database::builder()
                .set_cache_size(CACHE)
                .create_with_backend(medium)
                .map_err(|error| DiskError::redb(&place, "open", error))?;
            let found = load(&database, &place)?;
            Ok((database, found))
        })?;
        let mut disk = Self {
            place,
            database: Some(database),
            length,
            used: 0,
            drops: DROPS,
        };
        let image = match found {
            Found::New => disk.begin()?,
            Found::Store(loaded) => disk.resume(loaded)?,
        };
        Ok((disk, image))
    }

    /// Makes a new store durable.
    fn begin(&mut self) -> Result<Image, DiskError> {
        let image = Image::fresh();
        self.transact(|transaction| {
            transaction.open_table(CHANGES)?;
            transaction.open_table(LEASES)?;
            let mut numbers = transaction.open_table(META)?;
            numbers.insert(meta::FORMAT, FORMAT)?;
            numbers.insert(meta::CLUSTER, image.cluster)?;
            numbers.insert(meta::MEMBER, image.member)?;
            numbers.insert(meta::TERM, image.term)?;
            numbers.insert(meta::REVISION, image.revision.cast_unsigned())?;
            numbers.insert(meta::COMPACTED, image.compacted.cast_unsigned())?;
            Ok(0)
        })?;
        Ok(image)
    }

    /// Counts one more opening, and drops what the last compaction could not.
    fn resume(&mut self, loaded: Loaded) -> Result<Image, DiskError> {
        let Loaded {
            mut image,
            superfluous,
            used,
        } = loaded;
        self.used = used;
        image.term = image.term.saturating_add(1);
        self.transact(|transaction| {
            let mut numbers = transaction.open_table(META)?;
            numbers.insert(meta::TERM, image.term)?;
            Ok(0)
        })?;
        self.drop_rows(&superfluous)?;
        Ok(image)
    }

    /// Drops rows, oldest first: of a key that was put and then deleted the delete must go last, or a crash
    /// between two transactions would bring the key back.
    fn drop_rows(&mut self, rows: &[(i64, u32)]) -> Result<(), DiskError> {
        for rows in rows.chunks(self.drops) {
            self.transact(|transaction| remove(&mut transaction.open_table(CHANGES)?, rows))?;
        }
        Ok(())
    }

    /// Runs one transaction and makes it durable; `work` says by how many bytes the rows grew.
    fn transact(
        &mut self,
        work: impl FnOnce(&WriteTransaction) -> Result<i64, redb::Error>,
    ) -> Result<(), DiskError> {
        let Some(database) = self.database.take() else {
            return Err(DiskError::Stopped {
                place: self.place.file(),
            });
        };
        // On an error the database is closed with the closure: nothing of the batch is written after that.
        let (database, grown) = caught(&self.place, || {
            durably(&database, work)
                .map_err(|error| DiskError::redb(&self.place, DOING, error))
                .map(|grown| (database, grown))
        })?;
        self.used = self.used.saturating_add_signed(grown);
        self.database = Some(database);
        Ok(())
    }
}

/// Runs one transaction. Immediate durability, one phase and no quick repair are what it begins with.
fn durably(
    database: &Database,
    work: impl FnOnce(&WriteTransaction) -> Result<i64, redb::Error>,
) -> Result<i64, redb::Error> {
    let transaction = database.begin_write()?;
    let grown = work(&transaction)?;
    transaction.commit()?;
    Ok(grown)
}

/// Closing writes what spares the next opening a repair; it does not matter whether that succeeds.
impl Drop for FileDisk {
    fn drop(&mut self) {
        let database = self.database.take();
        let _ = caught(&self.place, || {
            drop(database);
            Ok(())
        });
    }
}

impl Disk for FileDisk {
    /// Commits in one transaction, except that more rows to drop than fit in it follow in others. The
    /// compaction itself is in the first: rows that a crash leaves behind are ignored when the file is read,
    /// and dropped then.
    fn commit(&mut self, batch: &Batch) -> Result<(), DiskError> {
        if batch.is_empty() && batch.dropped.is_empty() && self.database.is_some() {
            return Ok(());
        }
        let mut dropped = batch.dropped.clone();
        dropped.sort_unstable();
        let (now, later) = dropped
            .split_at_checked(self.drops)
            .unwrap_or((&dropped, &[]));
        self.transact(|transaction| write(transaction, batch, now))?;
        self.drop_rows(later)
    }

    fn size(&self) -> (u64, u64) {
        (self.length.load(Ordering::Relaxed), self.used)
    }
}

/// Writes a batch, dropping these rows only. Gives the bytes by which the rows grew.
fn write(
    transaction: &WriteTransaction,
    batch: &Batch,
    dropped: &[(i64, u32)],
) -> Result<i64, redb::Error> {
    let mut grown = 0;
    if !batch.revisions.is_empty() || !dropped.is_empty() {
        let mut changes = transaction.open_table(CHANGES)?;
        let mut bytes = Vec::new();
        for change in batch
            .revisions
            .iter()
            .flat_map(|revision| &*revision.changes)
        {
            bytes.clear();
            record::encode(change, &mut bytes);
            let replaced = changes.insert((change.revision, change.sub), bytes.as_slice())?;
            debug_assert!(replaced.is_none(), "a revision is committed once");
            grown += row(bytes.len()).cast_signed();
        }
        grown += remove(&mut changes, dropped)?;
    }
    if !batch.granted.is_empty() || !batch.ended.is_empty() {
        let mut leases = transaction.open_table(LEASES)?;
        for (id, ttl) in &batch.granted {
            if leases.insert(id, ttl)?.is_none() {
                grown += LEASE_BYTES.cast_signed();
            }
        }
        for id in &batch.ended {
            if leases.remove(id)?.is_some() {
                grown -= LEASE_BYTES.cast_signed();
            }
        }
    }
    let mut numbers = transaction.open_table(META)?;
    if let Some(last) = batch.revisions.last() {
        numbers.insert(meta::REVISION, last.number.cast_unsigned())?;
    }
    if let Some(compacted) = batch.compacted {
        numbers.insert(meta::COMPACTED, compacted.cast_unsigned())?;
    }
    Ok(grown)
}

/// Removes rows. Gives the bytes by which the rows grew: none, or fewer than none.
fn remove(
    changes: &mut Table<'_, (i64, u32), &'static [u8]>,
    rows: &[(i64, u32)],
) -> Result<i64, redb::Error> {
    let mut grown = 0;
    for at in rows {
        if let Some(bytes) = changes.remove(at)? {
            grown -= row(bytes.value().len()).cast_signed();
        }
    }
    Ok(grown)
}
