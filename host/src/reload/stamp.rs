//! A stamp: what tells, without reading it, that a file is not the one it was.
//!
//! Two equal stamps mean an unchanged file as far as the file system tells. Must never read contents.

use std::fs::{File, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::time::{Duration, SystemTime};

/// The identity and age of a file. Symbolic links are followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Stamp {
    /// The stamp of what is at `path`; `None` when nothing is there or it cannot be looked at.
    pub(crate) fn of(path: &Path) -> Option<Self> {
        std::fs::metadata(path).ok().map(|meta| Self::from(&meta))
    }

    /// The stamp of an open file.
    pub(crate) fn of_file(file: &File) -> io::Result<Self> {
        file.metadata().map(|meta| Self::from(&meta))
    }

    /// How long ago the file was last changed in any way; nothing when that lies ahead of `now`.
    pub(crate) fn age(&self, now: SystemTime) -> Duration {
        let (seconds, nanos) = self.changed;
        let since = u64::try_from(seconds).unwrap_or(0);
        let at = SystemTime::UNIX_EPOCH + Duration::new(since, u32::try_from(nanos).unwrap_or(0));
        now.duration_since(at).unwrap_or_default()
    }
}

impl From<&Metadata> for Stamp {
    fn from(meta: &Metadata) -> Self {
        Self {
            device: meta.dev(),
            inode: meta.ino(),
            size: meta.size(),
            modified: (meta.mtime(), meta.mtime_nsec()),
            changed: (meta.ctime(), meta.ctime_nsec()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_was_written_replaced_or_linked_anew_has_another_stamp() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        assert_eq!(Stamp::of(&path), None);
        std::fs::write(&path, "one").unwrap();
        let first = Stamp::of(&path).unwrap();
        assert_eq!(Stamp::of(&path), Some(first));
        std::fs::write(&path, "three").unwrap();
        let second = Stamp::of(&path).unwrap();
        assert_ne!(first, second);
        std::fs::write(dir.path().join("b"), "three").unwrap();
        std::fs::rename(dir.path().join("b"), &path).unwrap();
        assert_ne!(Stamp::of(&path), Some(second));
        assert_eq!(second.age(SystemTime::UNIX_EPOCH), Duration::ZERO);
    }
}
