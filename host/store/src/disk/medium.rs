//! The medium under redb: its length is known without a call, and its content is checked before redb opens it.
//!
//! This file must never change a byte of a file that another program may have written.

use std::io;
use std::ops::Bound;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use redb::{BackendError, StorageBackend};

/// The first bytes of redb's files.
const MAGIC: [u8; 9] = *b"redb\x1a\x0a\xa9\x0d\x0a";

/// Bytes at the start that redb writes before its first commit; all others are zero until then.
const HEADER: usize = 320;

/// Bytes inspected at a time.
const BLOCK: usize = 64 * 1024;

/// Upper limit for a new redb file, which is a little over 1 MiB long; a longer file without redb's first bytes is
/// not one.
const LONGEST_NEW: u64 = 16 * 1024 * 1024;

/// A medium and its length.
#[derive(Debug)]
pub(super) struct MeasuredMedium {
    inner: Box<dyn StorageBackend>,
    length: Arc<AtomicU64>,
}

/// Content of a medium before redb opens it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum MediumContent {
    /// Empty, or redb's file. The rest is checked by redb.
    Usable,
    /// Other data.
    Foreign,
}

impl MeasuredMedium {
    /// Inspects a medium before redb does, and clears the rest of an interrupted creation.
    ///
    /// redb gives a new file its length first and its first bytes last. A crash between the two leaves a file that
    /// redb refuses as foreign for ever. Such a file holds nothing but zeros and a part of redb's header, so
    /// emptying it loses nothing.
    pub(super) fn prepare(inner: Box<dyn StorageBackend>) -> io::Result<(Self, MediumContent)> {
        let length = inner.len()?;
        let mut content = MediumContent::Usable;
        if length > 0 && !begins(&*inner, length)? {
            if was_never_finished(&*inner, length)? {
                inner.set_len(0)?;
            } else {
                content = MediumContent::Foreign;
            }
        }
        let length = Arc::new(AtomicU64::new(inner.len()?));
        Ok((Self { inner, length }, content))
    }

    /// Returns the length as it changes, in bytes.
    pub(super) fn length(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.length)
    }
}

/// Returns true if it begins as redb's files do.
fn begins(medium: &dyn StorageBackend, length: u64) -> io::Result<bool> {
    let mut first = MAGIC.map(|_| 0);
    if length < first.len() as u64 {
        return Ok(false);
    }
    medium.read(0, &mut first)?;
    Ok(first == MAGIC)
}

/// Returns true if the file can only be an interrupted creation by redb.
fn was_never_finished(medium: &dyn StorageBackend, length: u64) -> io::Result<bool> {
    if !length.is_multiple_of(4096) || length > LONGEST_NEW {
        return Ok(false);
    }
    let mut block = vec![0; BLOCK];
    let mut at = 0;
    while at < length {
        let size = usize::try_from(length - at).map_or(BLOCK, |left| left.min(BLOCK));
        let block = &mut block[..size];
        medium.read(at, block)?;
        if at == 0 {
            let magic_or_zero = block
                .iter()
                .zip(MAGIC)
                .all(|(&byte, m)| byte == 0 || byte == m);
            if !magic_or_zero {
                return Ok(false);
            }
            block[..HEADER].fill(0);
        }
        if block.iter().any(|&byte| byte != 0) {
            return Ok(false);
        }
        at += size as u64;
    }
    Ok(true)
}

impl StorageBackend for MeasuredMedium {
    fn len(&self) -> io::Result<u64> {
        self.inner.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.inner.read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.inner.set_len(len)?;
        self.length.store(len, Ordering::Relaxed);
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        self.inner.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.inner.write(offset, data)
    }

    fn close(&self) -> io::Result<()> {
        self.inner.close()
    }

    fn try_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.inner.try_lock_range(start, end)
    }

    fn try_lock_shared_range(
        &self,
        start: Bound<u64>,
        end: Bound<u64>,
    ) -> Result<bool, BackendError> {
        self.inner.try_lock_shared_range(start, end)
    }

    fn lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.inner.lock_range(start, end)
    }

    fn lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.inner.lock_shared_range(start, end)
    }

    fn unlock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.inner.unlock_range(start, end)
    }

    fn query_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.inner.query_lock_range(start, end)
    }
}
