//! Opening of files that only this user and root can change.
//!
//! # Guarantees
//!
//! - Every directory on the way belongs to this user or root, and only they can write to it. In a directory
//!   with the sticky bit, such as `/tmp`, the entry must be theirs: no other user can replace it then.
//! - Each step is opened from the directory before it and judged by its own descriptor. A name that changes
//!   meanwhile changes nothing.
//! - Links are followed here, one at a time, and their targets are judged like any other path.
//!
//! Opening never waits, and only a regular file is opened for reading.
//!
//! A group may write if it is this process's own group or root's: that is how an operator shares a
//! folder. No user of this machine can write to a read-only mount, whatever its modes are.

mod refusal;
mod walk;

#[cfg(test)]
mod tests;

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{Dir, Mode, OFlags};

pub use refusal::OpenRefusal;
use walk::{End, Rule, Walk};

/// Opens a regular file that the operator named. Links may lead to any path that only this user and
/// root can change.
pub fn open(path: &Path) -> Result<File, OpenRefusal> {
    named(path, Rule::OURS).map(|(file, _)| file)
}

/// Opens the configuration. Errors show its lines, so a link out of its folder must not lead to a file that
/// some users may not read.
pub fn open_shown(path: &Path) -> Result<File, OpenRefusal> {
    let (file, left) = named(path, Rule::OURS)?;
    let mode = file.metadata().map_err(OpenRefusal::Unreadable)?;
    let is_public = std::os::unix::fs::MetadataExt::mode(&mode) & 0o004 != 0;
    match left {
        Some(target) if !is_public => Err(OpenRefusal::Hidden { target }),
        _ => Ok(file),
    }
}

/// Opens a regular file of any owner, without waiting.
pub fn open_any(path: &Path) -> Result<File, OpenRefusal> {
    named(path, Rule::ANY_OWNER).map(|(file, _)| file)
}

/// Checks that only this user and root can change which directory `path` is. Parts that do not
/// exist yet are accepted.
pub fn check_ancestors(path: &Path) -> Result<(), OpenRefusal> {
    match Walk::to(path, Rule::OURS) {
        Ok(_) => Ok(()),
        Err(refusal) if refusal.is_absence() => Ok(()),
        Err(refusal) => Err(refusal),
    }
}

/// The file at `path`, and its own path if a link led out of the folder that was named.
fn named(path: &Path, rule: Rule) -> Result<(File, Option<PathBuf>), OpenRefusal> {
    match Walk::to(path, rule)? {
        End::Entry(entry) => {
            let left = entry.left();
            entry.open().map(|file| (file, left))
        }
        End::Directory(_) => Err(OpenRefusal::Directory),
    }
}

/// A folder whose files are read by name, and only files inside it.
#[derive(Debug)]
pub struct Folder {
    fd: OwnedFd,
    path: PathBuf,
    rule: Rule,
}

impl Folder {
    /// Opens a folder into which only this user and root can put files.
    pub fn open(path: &Path) -> Result<Self, OpenRefusal> {
        Self::with(path, Rule::OURS)
    }

    /// Opens a folder of any owner.
    pub fn open_any(path: &Path) -> Result<Self, OpenRefusal> {
        Self::with(path, Rule::ANY_OWNER)
    }

    fn with(path: &Path, rule: Rule) -> Result<Self, OpenRefusal> {
        let path = if path == Path::new("") {
            Path::new(".")
        } else {
            path
        };
        match Walk::to(path, rule)? {
            End::Directory(end) => Ok(Self {
                fd: end.closed_to_others(rule)?,
                path: path.to_owned(),
                rule,
            }),
            End::Entry(_) => Err(OpenRefusal::NotADirectory),
        }
    }

    /// The names in it, in no order.
    pub fn names(&self) -> Result<Vec<OsString>, OpenRefusal> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let unreadable = |error: rustix::io::Errno| OpenRefusal::Unreadable(error.into());
        let readable = rustix::fs::openat(&self.fd, ".", flags, Mode::empty());
        let entries = readable.and_then(Dir::new).map_err(unreadable)?;
        let mut names = Vec::new();
        for entry in entries {
            let entry = entry.map_err(unreadable)?;
            let name = OsStr::from_bytes(entry.file_name().to_bytes());
            if name != "." && name != ".." {
                names.push(name.to_owned());
            }
        }
        Ok(names)
    }

    /// Opens a regular file in it.
    pub fn file(&self, name: &OsStr) -> Result<File, OpenRefusal> {
        match Walk::beneath(&self.fd, &self.path, name, self.rule)? {
            End::Entry(entry) => entry.open(),
            End::Directory(_) => Err(OpenRefusal::Directory),
        }
    }
}
