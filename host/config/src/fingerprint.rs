//! File fingerprint: identity, size and times, which show without reading a file that it has changed.
//!
//! Two equal fingerprints mean an unchanged file, as far as the file system reports it. Contents are never read.

use std::fs::{File, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use crate::config::files_of;

/// Identity and age of a file. Symbolic links are followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fingerprint {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Fingerprint {
    /// Returns the fingerprint of the file at `path`; `None` when nothing is there or it cannot be read.
    pub fn of(path: &Path) -> Option<Self> {
        std::fs::metadata(path).ok().map(|meta| Self::from(&meta))
    }

    /// Returns the fingerprint of an open file.
    pub fn of_file(file: &File) -> io::Result<Self> {
        file.metadata().map(|meta| Self::from(&meta))
    }

    /// Returns the size of the file, in bytes.
    pub const fn size_bytes(&self) -> u64 {
        self.size
    }

    /// Returns the time since the last change of any kind; zero when the change lies after `now`.
    pub fn age(&self, now: SystemTime) -> Duration {
        let (seconds, nanos) = self.changed;
        let since = u64::try_from(seconds).unwrap_or(0);
        let at = SystemTime::UNIX_EPOCH + Duration::new(since, u32::try_from(nanos).unwrap_or(0));
        now.duration_since(at).unwrap_or_default()
    }
}

impl From<&Metadata> for Fingerprint {
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

/// Fingerprints of a configuration: of its one file, or of every file in its folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigFingerprint(Vec<(PathBuf, Option<Fingerprint>)>);

impl ConfigFingerprint {
    /// Returns the fingerprints of the configuration at `path`; `None` when nothing is there.
    pub fn of(path: &Path) -> Option<Self> {
        Fingerprint::of(path)?;
        let stamped = |file: PathBuf| {
            let fingerprint = Fingerprint::of(&file);
            (file, fingerprint)
        };
        // A folder that cannot be read for now has no files to compare; reading it reports the error.
        let files = files_of(path).unwrap_or_default();
        Some(Self(files.into_iter().map(stamped).collect()))
    }

    /// Returns the files that are new or differ from those of `known`.
    pub fn news<'a>(
        &'a self,
        known: Option<&'a Self>,
    ) -> impl Iterator<Item = (&'a Path, Fingerprint)> {
        let is_known = move |file: &(PathBuf, Option<Fingerprint>)| {
            known.is_some_and(|known| known.0.contains(file))
        };
        let news = self.0.iter().filter(move |file| !is_known(file));
        news.filter_map(|(path, fingerprint)| Some((path.as_path(), (*fingerprint)?)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_written_replaced_or_linked_anew_has_another_stamp() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        assert_eq!(Fingerprint::of(&path), None);
        std::fs::write(&path, "one").unwrap();
        let first = Fingerprint::of(&path).unwrap();
        assert_eq!(Fingerprint::of(&path), Some(first));
        std::fs::write(&path, "three").unwrap();
        let second = Fingerprint::of(&path).unwrap();
        assert_ne!(first, second);
        std::fs::write(dir.path().join("b"), "three").unwrap();
        std::fs::rename(dir.path().join("b"), &path).unwrap();
        assert_ne!(Fingerprint::of(&path), Some(second));
        assert_eq!(second.age(SystemTime::UNIX_EPOCH), Duration::ZERO);
    }

    #[test]
    fn folder_with_a_new_changed_or_deleted_file_has_another_stamp() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("conf.d");
        assert_eq!(ConfigFingerprint::of(&folder), None);
        std::fs::create_dir(&folder).unwrap();
        let mut known = ConfigFingerprint::of(&folder);
        assert!(known.is_some());
        let write = |name: &str, text: &str| std::fs::write(folder.join(name), text).unwrap();
        let steps: [&dyn Fn(); 4] = [
            &|| write("a.toml", "1"),
            &|| write("b.toml", "1"),
            &|| write("a.toml", "two"),
            &|| std::fs::remove_file(folder.join("b.toml")).unwrap(),
        ];
        for step in steps {
            step();
            let now = ConfigFingerprint::of(&folder);
            assert_ne!(now, known);
            known = now;
        }
        write("notes.txt", "no configuration");
        write(".a.toml.swp", "an editor's");
        write(".hidden.toml", "an editor's");
        assert_eq!(ConfigFingerprint::of(&folder), known);
    }
}
