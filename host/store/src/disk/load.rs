//! Reading redb's file: the rows that the store needs, and the superfluous ones.
//!
//! This file must never write.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use redb::{
    Database, ReadOnlyTable, ReadTransaction, ReadableDatabase, ReadableTable, TableHandle,
};

use super::change_bytes;
use super::error::DiskError;
use super::interface::DiskImage;
use super::location::DiskLocation;
use super::log::GenerationMark;
use super::tables::{CHANGES, FORMAT, LEASES, META, meta, row_bytes};
use crate::change::{KeyChange, SharedKey};

/// Content of a file.
pub(super) enum FileContent {
    /// Nothing was ever committed to it.
    New,
    /// A store, with the position of its log if its format has one.
    Store(Option<LogPosition>),
}

/// Position up to which the log was applied to the file. A file of format 1 has none: it had no log.
pub(super) struct LogPosition {
    /// The generation; its number is 0 in format 2, which had none.
    pub(super) mark: GenerationMark,
    /// The last record that was applied.
    pub(super) last: u64,
    /// True if the log may hold more.
    pub(super) open: bool,
}

/// Content of a store's file.
pub(super) struct LoadedStore {
    /// The image that the store goes on with. Its term is that of the previous opening.
    pub(super) image: DiskImage,
    /// Rows that a compaction made superfluous and a crash left behind, oldest first; not in the image.
    pub(super) superfluous: Vec<(i64, u32)>,
    /// Bytes in use, the superfluous rows included.
    pub(super) used: u64,
}

/// Returns the kind of the file's content.
pub(super) fn inspect(
    database: &Database,
    location: &DiskLocation,
) -> Result<FileContent, DiskError> {
    let reader = Reader::new(database, location)?;
    if !reader.is_store()? {
        return Ok(FileContent::New);
    }
    // Before anything else is read: a newer format may have changed all the rest.
    let format = reader.number(meta::FORMAT)?;
    match format {
        1 => Ok(FileContent::Store(None)),
        ..=FORMAT => Ok(FileContent::Store(Some(LogPosition {
            mark: GenerationMark {
                id: reader.number(meta::LOG)?,
                generation: match format {
                    2 => 0,
                    _ => reader.number(meta::GENERATION)?,
                },
            },
            last: reader.number(meta::LOGGED)?,
            open: reader.number(meta::OPEN)? != 0,
        }))),
        _ => Err(DiskError::NewerFormat {
            location: location.file(),
            found: format,
            known: FORMAT,
        }),
    }
}

/// Reads all rows of a store's file.
pub(super) fn load(database: &Database, location: &DiskLocation) -> Result<LoadedStore, DiskError> {
    Reader::new(database, location)?.store()
}

const DOING: &str = "read";

struct Reader<'a> {
    location: &'a DiskLocation,
    transaction: ReadTransaction,
}

impl<'a> Reader<'a> {
    fn new(database: &Database, location: &'a DiskLocation) -> Result<Self, DiskError> {
        let transaction = database
            .begin_read()
            .map_err(|error| DiskError::redb(location, DOING, error))?;
        Ok(Self {
            location,
            transaction,
        })
    }

    /// Returns true if it is a store, false if it is empty.
    fn is_store(&self) -> Result<bool, DiskError> {
        let tables: Vec<String> = self
            .transaction
            .list_tables()
            .map_err(|error| self.failed(error))?
            .map(|table| table.name().to_owned())
            .collect();
        if tables.iter().any(|name| name == META.name()) {
            return Ok(true);
        }
        match tables.first() {
            None => Ok(false),
            Some(name) => Err(DiskError::NotAStore {
                location: self.location.file(),
                found: format!("it is a database of another kind (it has a table \"{name}\")"),
            }),
        }
    }

    fn store(&self) -> Result<LoadedStore, DiskError> {
        let mut image = DiskImage {
            cluster: self.number(meta::CLUSTER)?,
            member: self.number(meta::MEMBER)?,
            term: self.number(meta::TERM)?,
            revision: self.number(meta::REVISION)?.cast_signed(),
            compacted: self.number(meta::COMPACTED)?.cast_signed(),
            changes: Vec::new(),
            leases: BTreeMap::new(),
        };
        if image.cluster == 0 || image.member == 0 || image.revision < 1 {
            return Err(self.corrupt("its ids or its revision cannot be what they are"));
        }
        let mut used = 0;
        let leases = self.table(LEASES)?;
        for lease in leases.iter().map_err(|error| self.failed(error))? {
            let (id, ttl) = lease.map_err(|error| self.failed(error))?;
            image.leases.insert(id.value(), ttl.value());
            used += LEASE_ROW_BYTES;
        }

        let mut kept = Kept::new(image.compacted);
        let table = self.table(CHANGES)?;
        for change in table.iter().map_err(|error| self.failed(error))? {
            let (at, bytes) = change.map_err(|error| self.failed(error))?;
            let (revision, sub) = at.value();
            used += row_bytes(bytes.value().len());
            if revision > image.revision {
                return Err(self.corrupt(&format!(
                    "a change of revision {revision} comes after the last revision {}",
                    image.revision
                )));
            }
            let change = change_bytes::decode((revision, sub), bytes.value(), |key| kept.key(key))
                .ok_or_else(|| {
                    self.corrupt(&format!("change {sub} of revision {revision} has no form"))
                })?;
            kept.add(change);
        }
        let (changes, superfluous) = kept.split();
        image.changes = changes;
        Ok(LoadedStore {
            image,
            superfluous,
            used,
        })
    }

    fn table<K: redb::Key + 'static, V: redb::Value + 'static>(
        &self,
        table: redb::TableDefinition<'static, K, V>,
    ) -> Result<ReadOnlyTable<K, V>, DiskError> {
        self.transaction
            .open_table(table)
            .map_err(|error| self.failed(error))
    }

    fn number(&self, name: &str) -> Result<u64, DiskError> {
        let number = self
            .table(META)?
            .get(name)
            .map_err(|error| self.failed(error))?
            .map(|number| number.value());
        number.ok_or_else(|| self.corrupt(&format!("its {name} is missing")))
    }

    fn failed(&self, error: impl Into<redb::Error>) -> DiskError {
        DiskError::redb(self.location, DOING, error)
    }

    fn corrupt(&self, damage: &str) -> DiskError {
        DiskError::Corrupt {
            location: self.location.file(),
            damage: damage.to_owned(),
        }
    }
}

/// Bytes of a lease's row.
pub(super) const LEASE_ROW_BYTES: u64 = 16;

/// Changes as they are read, oldest first, divided into needed and superfluous ones.
///
/// Superseded rows at or below the compaction may still exist: a commit that compacts drops few rows itself, the
/// others go in later commits, and a crash may come between. They are harmless because this type keeps the promise
/// of [`DiskImage::changes`]. Of each key's changes at or below the compaction only the last one is kept; a delete
/// below the compaction is not kept, a delete at it is.
struct Kept {
    compacted: i64,
    /// By position in the file; `None` where superfluous.
    changes: Vec<Option<Arc<KeyChange>>>,
    /// The index of each key's last change at or below the compaction.
    last: HashMap<SharedKey, usize>,
    superfluous: Vec<(i64, u32)>,
    keys: HashSet<SharedKey>,
}

impl Kept {
    fn new(compacted: i64) -> Self {
        Self {
            compacted,
            changes: Vec::new(),
            last: HashMap::new(),
            superfluous: Vec::new(),
            keys: HashSet::new(),
        }
    }

    /// Returns the key with these bytes, one for all its changes.
    fn key(&mut self, bytes: &[u8]) -> SharedKey {
        if let Some(key) = self.keys.get(bytes) {
            return SharedKey::clone(key);
        }
        let key = SharedKey::from(bytes);
        self.keys.insert(SharedKey::clone(&key));
        key
    }

    fn add(&mut self, change: KeyChange) {
        let index = self.changes.len();
        if change.revision <= self.compacted
            && let Some(previous) = self.last.insert(SharedKey::clone(&change.key), index)
        {
            self.leave_out(previous);
        }
        self.changes.push(Some(Arc::new(change)));
    }

    fn leave_out(&mut self, index: usize) {
        if let Some(change) = self.changes.get_mut(index).and_then(Option::take) {
            self.superfluous.push((change.revision, change.sub));
        }
    }

    /// Returns the needed changes, and the rows of the superfluous ones.
    fn split(mut self) -> (Vec<Arc<KeyChange>>, Vec<(i64, u32)>) {
        for index in std::mem::take(&mut self.last).into_values() {
            let is_gone = self.changes[index]
                .as_ref()
                .is_some_and(|change| !change.is_put() && change.revision < self.compacted);
            if is_gone {
                self.leave_out(index);
            }
        }
        // The order in which they can be dropped step by step: a delete after the puts before it.
        self.superfluous.sort_unstable();
        (
            self.changes.into_iter().flatten().collect(),
            self.superfluous,
        )
    }
}
