//! The directory of the compile cache, and the checks that make it trustworthy.
//!
//! Its files are loaded as machine code, so no other user may be able to write to it. A directory
//! that another user can write to is refused.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use leasehold_config::owned;

/// Directory of the engine's machine code.
pub(crate) const CODE: &str = "code";

/// Error checking the directory of the compile cache.
#[derive(Debug, thiserror::Error)]
pub enum CacheError {
    /// It could not be made or examined.
    #[error("compile cache {}: {source}: make it writable for this user or name another directory", .path.display())]
    Unusable {
        /// The directory.
        path: PathBuf,
        /// Error from the system.
        source: io::Error,
    },
    /// It is a symbolic link or not a directory.
    #[error("compile cache {}: is a {what}, not a directory of its own: name a real directory", .path.display())]
    NotADirectory {
        /// The path.
        path: PathBuf,
        /// Kind of file that it is.
        what: &'static str,
    },
    /// Another user owns it.
    #[error("compile cache {}: belongs to user {owner}, but this process runs as user {us}, and would run code that the owner writes: name another directory", .path.display())]
    NotOurs {
        /// The directory.
        path: PathBuf,
        /// Its owner's user id.
        owner: u32,
        /// Effective user id of this process.
        us: u32,
    },
    /// Another user can replace the directory.
    #[error("compile cache {}: {fault}, so its code could be replaced: {remedy}", .path.display())]
    Exposed {
        /// The cache's directory.
        path: PathBuf,
        /// The problem with it, or with a directory above it.
        fault: String,
        /// The command to run.
        remedy: String,
    },
    /// Other users may read or write it.
    #[error("compile cache {}: mode {mode:04o} gives other users access: run `chmod 0700` on it", .path.display())]
    OpenToOthers {
        /// The directory.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
}

/// Makes the directory if it is missing, checks it and its ancestors, and returns its absolute path.
pub(crate) fn prepare(path: &Path) -> Result<PathBuf, CacheError> {
    let unusable = |source| CacheError::Unusable {
        path: path.to_owned(),
        source,
    };
    let path = &std::path::absolute(path).map_err(unusable)?;
    check_ancestors(path)?;
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent).map_err(unusable)?;
    }
    match DirBuilder::new().mode(0o700).create(path) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(unusable(error)),
    }
    check(path)?;
    Ok(path.clone())
}

/// Checks that only this user can access the directory, and that no other user can replace it.
pub(crate) fn check(path: &Path) -> Result<(), CacheError> {
    check_ancestors(path)?;
    let found = fs::symlink_metadata(path).map_err(|source| CacheError::Unusable {
        path: path.to_owned(),
        source,
    })?;
    judge(path, &found)
}

fn check_ancestors(path: &Path) -> Result<(), CacheError> {
    owned::check_ancestors(path).map_err(|refusal| {
        let (fault, remedy) = refusal.explain();
        CacheError::Exposed {
            path: path.to_owned(),
            fault,
            remedy: remedy.into_owned(),
        }
    })
}

fn judge(path: &Path, found: &fs::Metadata) -> Result<(), CacheError> {
    let path = path.to_owned();
    if !found.is_dir() {
        let what = if found.is_symlink() {
            "symbolic link"
        } else {
            "file"
        };
        return Err(CacheError::NotADirectory { path, what });
    }
    let us = rustix::process::geteuid().as_raw();
    if found.uid() != us {
        let owner = found.uid();
        return Err(CacheError::NotOurs { path, owner, us });
    }
    let mode = found.mode() & 0o7777;
    if mode & 0o077 != 0 {
        return Err(CacheError::OpenToOthers { path, mode });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    #[test]
    fn a_missing_directory_is_made_for_us_alone() {
        let root = tempfile::tempdir().unwrap();
        let made = prepare(&root.path().join("a/b")).unwrap();
        assert_eq!(fs::metadata(&made).unwrap().mode() & 0o7777, 0o700);
        assert_eq!(prepare(&made).unwrap(), made);
    }

    #[test]
    fn a_directory_that_others_can_reach_is_refused() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("cache");
        fs::create_dir(&path).unwrap();
        for mode in [0o750, 0o701, 0o720] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            let refused = prepare(&path).unwrap_err();
            assert!(matches!(refused, CacheError::OpenToOthers { mode: m, .. } if m == mode));
        }
    }

    #[test]
    fn a_link_or_a_file_in_its_place_is_refused() {
        let root = tempfile::tempdir().unwrap();
        let (link, file) = (root.path().join("link"), root.path().join("file"));
        symlink(root.path(), &link).unwrap();
        fs::write(&file, "").unwrap();
        for path in [link, file] {
            let refused = prepare(&path).unwrap_err();
            assert!(
                matches!(refused, CacheError::NotADirectory { .. }),
                "{refused}"
            );
        }
    }
}
