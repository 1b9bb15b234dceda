//! A file that appears under its name as a whole or not at all.
//!
//! It is written beside its place under another name, synced, and then renamed. This file must never replace a file
//! unless it is allowed to.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::io::Errno;

/// A file under its temporary name. It is removed when this value is dropped, unless it was put in place.
pub(super) struct PartFile {
    file: File,
    part: PathBuf,
    place: PathBuf,
    is_placed: bool,
}

impl PartFile {
    /// Creates an empty file beside `place`, readable by its owner alone.
    pub(super) fn create(place: &Path) -> io::Result<Self> {
        let Some(name) = place.file_name() else {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "it has no file name",
            ));
        };
        let mut part = std::ffi::OsString::from(".");
        part.push(name);
        part.push(format!(".{}.part", std::process::id()));
        let part = place.with_file_name(part);
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&part)?;
        Ok(Self {
            file,
            part,
            place: place.to_owned(),
            is_placed: false,
        })
    }

    /// Returns the temporary name.
    pub(super) fn path(&self) -> &Path {
        &self.part
    }

    /// Appends bytes.
    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes)
    }

    /// Makes the content durable.
    pub(super) fn sync(&self) -> io::Result<()> {
        self.file.sync_all()
    }

    /// Gives the file its name, durably. Fails if the name is taken, unless it may be replaced.
    pub(super) fn put_in_place(mut self, may_replace: bool) -> io::Result<()> {
        if may_replace {
            std::fs::rename(&self.part, &self.place)?;
        } else {
            match renameat_with(CWD, &self.part, CWD, &self.place, RenameFlags::NOREPLACE) {
                // Not every file system can refuse to replace; a link never replaces.
                Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => {
                    std::fs::hard_link(&self.part, &self.place)?;
                    std::fs::remove_file(&self.part)?;
                }
                renamed => renamed?,
            }
        }
        self.is_placed = true;
        let folder = self
            .place
            .parent()
            .filter(|path| !path.as_os_str().is_empty());
        File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
    }
}

impl Drop for PartFile {
    fn drop(&mut self) {
        if !self.is_placed {
            let _ = std::fs::remove_file(&self.part);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_file_appears_whole_and_replaces_only_when_allowed() {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join("backup");
        let write = |text: &[u8], may_replace| {
            let mut part = PartFile::create(&place).unwrap();
            part.write(text).unwrap();
            part.sync().unwrap();
            part.put_in_place(may_replace)
        };
        write(b"one", false).unwrap();
        let refused = write(b"two", false).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(std::fs::read(&place).unwrap(), b"one");
        write(b"three", true).unwrap();
        assert_eq!(std::fs::read(&place).unwrap(), b"three");
        let mode = std::fs::metadata(&place).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        // Nothing else is left, not even of one that was given up.
        drop(PartFile::create(&place).unwrap());
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
