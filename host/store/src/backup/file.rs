//! A backup as it is read: checked as a whole before any of it is used.

use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sha2::{Digest as _, Sha256};

use super::error::BackupError;
use super::layout::{
    BLOCK, BackupHeader, CHANGE_HEAD_BYTES, FORMAT, HEADER_BYTES, LEASE_BYTES, SUM_BYTES, is_backup,
};
use crate::change::KeyChange;
use crate::disk::change_bytes;

/// Bytes read at a time.
const BUFFER_BYTES: usize = 64 << 10;

/// The mark of etcd's own file, and its position.
const BBOLT_MAGIC: [u8; 4] = 0xED0C_DAED_u32.to_le_bytes();
const BBOLT_MAGIC_AT: usize = 16;

/// Content of a backup, in numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackupSummary {
    /// The revision of the store when the backup was taken.
    pub revision: i64,
    /// The time when it was taken, in Unix milliseconds by the store's clock.
    pub taken_unix_ms: u64,
    /// The number of keys.
    pub keys: u64,
    /// The number of keys among them that belong to a lease.
    pub leased_keys: u64,
    /// The number of leases.
    pub leases: u64,
    /// The length of the file.
    pub bytes: u64,
}

/// Reads a backup through, and returns what it holds.
///
/// # Errors
///
/// [`BackupError`] when the file cannot be read, is damaged, or is of another kind or a later format.
pub fn inspect_backup(path: &Path) -> Result<BackupSummary, BackupError> {
    BackupFile::open(path)?.read_through(drop)
}

/// A backup whose checksum is right.
pub(super) struct BackupFile {
    path: PathBuf,
    content: BufReader<File>,
    pub(super) header: BackupHeader,
    length: u64,
}

impl BackupFile {
    /// Opens a file, and checks its kind, its format and its checksum.
    pub(super) fn open(path: &Path) -> Result<Self, BackupError> {
        let failed = |source| BackupError::read(path, source);
        let file = File::open(path).map_err(failed)?;
        let length = file.metadata().map_err(failed)?.len();
        let mut content = BufReader::with_capacity(BUFFER_BYTES, file);
        let mut head = Vec::new();
        let most = HEADER_BYTES as u64;
        content
            .by_ref()
            .take(most)
            .read_to_end(&mut head)
            .map_err(failed)?;
        if !is_backup(&head) {
            return Err(BackupError::NotABackup {
                path: path.to_owned(),
                found: describe_foreign(&head),
            });
        }
        let cut = || BackupError::damaged(path, "it is cut short");
        let head = head.first_chunk().ok_or_else(cut)?;
        let header = match BackupHeader::decode(head) {
            (_, Some(header)) => header,
            (found, None) if found > FORMAT => {
                return Err(BackupError::NewerFormat {
                    path: path.to_owned(),
                    found,
                    known: FORMAT,
                });
            }
            (found, None) => {
                return Err(BackupError::damaged(
                    path,
                    format!("it has no format {found}"),
                ));
            }
        };
        let covered = length.checked_sub(SUM_BYTES as u64).ok_or_else(cut)?;
        if !covered.is_multiple_of(BLOCK) {
            return Err(cut());
        }
        content.seek(SeekFrom::Start(0)).map_err(failed)?;
        check_sum(&mut content, covered, path)?;
        content.seek(SeekFrom::Start(most)).map_err(failed)?;
        Ok(Self {
            path: path.to_owned(),
            content,
            header,
            length,
        })
    }

    /// Reads all of it, and passes each key's change on.
    pub(super) fn read_through(
        mut self,
        mut take: impl FnMut(Arc<KeyChange>),
    ) -> Result<BackupSummary, BackupError> {
        for _ in 0..self.header.leases {
            let mut lease = [0; LEASE_BYTES];
            self.fill(&mut lease)?;
        }
        let mut leased_keys = 0;
        for number in 0..self.header.keys {
            let change = self.change(number)?;
            leased_keys += u64::from(change.lease() != 0);
            take(Arc::new(change));
        }
        let path = &self.path;
        let failed = |source| BackupError::read(path, source);
        let at = self.content.stream_position().map_err(failed)?;
        if at.next_multiple_of(BLOCK) != self.length - SUM_BYTES as u64 {
            return Err(BackupError::damaged(path, "it has more than it announces"));
        }
        Ok(BackupSummary {
            revision: self.header.revision,
            taken_unix_ms: self.header.taken_unix_ms,
            keys: self.header.keys,
            leased_keys,
            leases: self.header.leases,
            bytes: self.length,
        })
    }

    fn change(&mut self, number: u64) -> Result<KeyChange, BackupError> {
        let mut head = [0; CHANGE_HEAD_BYTES];
        self.fill(&mut head)?;
        let [
            r0,
            r1,
            r2,
            r3,
            r4,
            r5,
            r6,
            r7,
            s0,
            s1,
            s2,
            s3,
            l0,
            l1,
            l2,
            l3,
        ] = head;
        let revision = i64::from_le_bytes([r0, r1, r2, r3, r4, r5, r6, r7]);
        let sub = u32::from_le_bytes([s0, s1, s2, s3]);
        let length = u32::from_le_bytes([l0, l1, l2, l3]);
        let no_form = |path: &Path| BackupError::damaged(path, format!("key {number} has no form"));
        if u64::from(length) > self.length {
            return Err(no_form(&self.path));
        }
        let mut bytes = vec![0; length as usize];
        self.fill(&mut bytes)?;
        change_bytes::decode((revision, sub), &bytes, |key| key.into())
            .filter(|change| change.is_put() && revision <= self.header.revision)
            .ok_or_else(|| no_form(&self.path))
    }

    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), BackupError> {
        self.content
            .read_exact(bytes)
            .map_err(|source| BackupError::read(&self.path, source))
    }
}

/// Compares the checksum with the bytes before it.
fn check_sum(content: &mut impl Read, covered: u64, path: &Path) -> Result<(), BackupError> {
    let failed = |source| BackupError::read(path, source);
    let mut sum = Sha256::new();
    let mut left = covered;
    let mut buffer = vec![0; BUFFER_BYTES];
    while left > 0 {
        let most = usize::try_from(left).map_or(BUFFER_BYTES, |left| left.min(BUFFER_BYTES));
        let piece = &mut buffer[..most];
        content.read_exact(piece).map_err(failed)?;
        sum.update(&*piece);
        left -= most as u64;
    }
    let mut found = [0; SUM_BYTES];
    content.read_exact(&mut found).map_err(failed)?;
    if sum.finalize().as_slice() == found {
        Ok(())
    } else {
        Err(BackupError::damaged(
            path,
            "its checksum does not fit its content",
        ))
    }
}

fn describe_foreign(head: &[u8]) -> &'static str {
    let mark = head.get(BBOLT_MAGIC_AT..BBOLT_MAGIC_AT + BBOLT_MAGIC.len());
    if mark == Some(&BBOLT_MAGIC) {
        "it is a snapshot of an etcd; restore it with `etcdutl snapshot restore` (3.4: `etcdctl snapshot restore`)"
    } else if head.is_empty() {
        "it is empty"
    } else {
        "it does not begin as one does"
    }
}
