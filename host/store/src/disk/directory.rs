//! The directory and the file in it: made if missing, and held by one process at a time.
//!
//! This file must never write to a file whose bytes are not the store's, nor shorten one.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::Advice;

use super::error::DiskError;
use super::location::{DiskLocation, FILE, LOG};

/// A directory held by this process, whether or not the file in it is open.
///
/// The file's own lock goes when the file is closed, and after a failed write it is closed and opened again.
/// Between the two nobody else may begin to write: this store still answers renewals of leases meanwhile.
#[derive(Debug)]
pub(crate) struct DirectoryClaim {
    _locked: File,
}

impl DirectoryClaim {
    /// Makes the directory unless it is there, and claims it for as long as the claim lives.
    ///
    /// # Errors
    /// Another process has it, or the directory can be neither made nor opened.
    pub(crate) fn take(directory: &Path) -> Result<Self, DiskError> {
        make(directory)?;
        let failed = |cause| DiskError::io(&directory.display().to_string(), "open", cause);
        let locked = File::open(directory).map_err(failed)?;
        match locked.try_lock() {
            Err(TryLockError::WouldBlock) => Err(DiskError::InUse {
                location: DiskLocation::Directory(directory.to_owned()).whole(),
            }),
            // A file system without locks is left to redb to judge.
            Ok(()) | Err(TryLockError::Error(_)) => Ok(Self { _locked: locked }),
        }
    }
}

/// The open files, and what has to be made durable besides them.
#[derive(Debug)]
pub(super) struct StoreFiles {
    /// Locked until they are closed.
    pub(super) file: File,
    pub(super) log: File,
    /// Directories in which something may have been made.
    changed_directories: Vec<PathBuf>,
}

impl StoreFiles {
    /// Makes the directory (0700) and empty files (0600) unless they are there, and locks the files.
    pub(super) fn open(directory: &Path) -> Result<Self, DiskError> {
        let changed_directories = make(directory)?;
        let file = open(directory, FILE)?;
        let log = open(directory, LOG)?;
        Ok(Self {
            file,
            log,
            changed_directories,
        })
    }

    /// The files, and the directories whose entries must be synced once the files have their content.
    pub(super) fn split(self) -> (File, File, Vec<PathBuf>) {
        (self.file, self.log, self.changed_directories)
    }
}

fn open(directory: &Path, name: &str) -> Result<File, DiskError> {
    let path = directory.join(name);
    let failed = |cause| DiskError::io(&path.display().to_string(), "open", cause);
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(&path)
        .map_err(failed)?;
    // redb locks it as well, but only when it begins to read; what is looked at before that must not be
    // another process's work in progress. A file system without locks is left to redb to judge.
    match file.try_lock() {
        Err(TryLockError::WouldBlock) => {
            return Err(DiskError::InUse {
                location: DiskLocation::Directory(directory.to_owned()).whole(),
            });
        }
        Ok(()) | Err(TryLockError::Error(_)) => {}
    }
    // After a failed write the system's cache may hold, as if it were on the disk, what never got there.
    // Whoever reads it back builds on nothing; so what is read now comes from the disk itself.
    file.sync_data().map_err(failed)?;
    let _ = rustix::fs::fadvise(&file, 0, None, Advice::DontNeed);
    Ok(file)
}

/// Makes a directory and what is missing above it. Returns it and every directory that got a new entry.
fn make(directory: &Path) -> Result<Vec<PathBuf>, DiskError> {
    let mut changed_directories = vec![directory.to_owned()];
    changed_directories.extend(
        directory
            .ancestors()
            .take_while(|path| !path.as_os_str().is_empty() && !path.exists())
            .filter_map(Path::parent)
            .map(|parent| {
                if parent.as_os_str().is_empty() {
                    PathBuf::from(".")
                } else {
                    parent.to_owned()
                }
            }),
    );
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(directory)
        .map_err(|cause| {
            DiskError::io(
                &directory.display().to_string(),
                "make the directory",
                cause,
            )
        })?;
    Ok(changed_directories)
}

/// Makes the entries of directories durable: without it a power cut may take a whole new file away.
pub(super) fn sync(directories: &[PathBuf]) -> Result<(), DiskError> {
    for path in directories {
        File::open(path)
            .and_then(|directory| directory.sync_all())
            .or_else(|error| match error.kind() {
                // A directory may be searched and written, and yet not be readable.
                io::ErrorKind::PermissionDenied => Ok(()),
                _ => Err(error),
            })
            .map_err(|cause| {
                DiskError::io(&path.display().to_string(), "sync the directory", cause)
            })?;
    }
    Ok(())
}
