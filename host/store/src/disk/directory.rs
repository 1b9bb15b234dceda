//! The directory and the files in it: created if missing, and held by one process at a time.
//!
//! This file must never write to a file whose bytes are not the store's, nor shorten one.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::Advice;

use super::error::DiskError;
use super::location::{DiskLocation, FILE, LOG};

/// A directory held by this process, also while the files in it are closed.
///
/// The lock on the file ends when the file is closed. After a failed write the file is closed and opened again, and
/// in between no other process may begin to write: this store still answers renewals of leases.
#[derive(Debug)]
pub(crate) struct DirectoryClaim {
    _locked: File,
}

impl DirectoryClaim {
    /// Creates the directory unless it exists, and claims it until the claim is dropped.
    ///
    /// # Errors
    /// Another process has claimed it, or the directory can be neither created nor opened.
    pub(crate) fn take(directory: &Path) -> Result<Self, DiskError> {
        make(directory)?;
        let failed = |cause| DiskError::io(&directory.display().to_string(), "open", cause);
        let locked = File::open(directory).map_err(failed)?;
        match locked.try_lock() {
            Err(TryLockError::WouldBlock) => Err(DiskError::InUse {
                location: DiskLocation::Directory(directory.to_owned()).whole(),
            }),
            // On a file system without locks, redb decides.
            Ok(()) | Err(TryLockError::Error(_)) => Ok(Self { _locked: locked }),
        }
    }
}

/// The open files, and the directories that must become durable with them.
#[derive(Debug)]
pub(super) struct StoreFiles {
    /// Locked until they are closed.
    pub(super) file: File,
    pub(super) log: File,
    /// Directories that may have a new entry.
    changed_directories: Vec<PathBuf>,
}

impl StoreFiles {
    /// Creates the directory (0700) and empty files (0600) unless they exist, and locks the files.
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

    /// Returns the files, and the directories whose entries must be synced once the files have their content.
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
    // redb locks it as well, but only when it begins to read; the bytes inspected before that must not be another
    // process's work in progress. On a file system without locks, redb decides.
    match file.try_lock() {
        Err(TryLockError::WouldBlock) => {
            return Err(DiskError::InUse {
                location: DiskLocation::Directory(directory.to_owned()).whole(),
            });
        }
        Ok(()) | Err(TryLockError::Error(_)) => {}
    }
    // After a failed write the page cache may hold data that never reached the disk, and a store that reads it
    // builds on data that a crash loses. So the file is read from the disk itself.
    file.sync_data().map_err(failed)?;
    let _ = rustix::fs::fadvise(&file, 0, None, Advice::DontNeed);
    Ok(file)
}

/// Creates a directory and its missing parents. Returns it and all directories that got a new entry.
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

/// Makes the entries of directories durable: without it a power cut may delete a whole new file.
pub(super) fn sync(directories: &[PathBuf]) -> Result<(), DiskError> {
    for path in directories {
        File::open(path)
            .and_then(|directory| directory.sync_all())
            .or_else(|error| match error.kind() {
                // A directory may be searchable and writable, but not readable.
                io::ErrorKind::PermissionDenied => Ok(()),
                _ => Err(error),
            })
            .map_err(|cause| {
                DiskError::io(&path.display().to_string(), "sync the directory", cause)
            })?;
    }
    Ok(())
}
