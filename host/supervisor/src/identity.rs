//! Identity of this process among all hosts: the data directory it works in, the machine, and the process itself.
//!
//! A directory has a random text of its own, kept in a file, so that a restart is distinguished from another host.
//! A process has one too, as the name of a file that it keeps locked. The kernel unlocks that file at the end of
//! the process, also after kill -9. This file does not use the store; `claim` decides by the identity.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use leasehold_records::{IdRecord, UnixMs, printable};

/// File with the text of the directory.
const INSTANCE: &str = "instance";
/// Directory with one locked file for each process.
const ALIVE: &str = "alive";
/// Digits of a random text.
const DIGITS: usize = 32;

/// Identity of this process. The process counts as alive until it is dropped.
#[derive(Debug)]
pub(crate) struct HostIdentity {
    instance: String,
    machine: String,
    life: String,
    /// Files of the processes of this directory; `None` when it cannot be written.
    alive: Option<Alive>,
}

#[derive(Debug)]
struct Alive {
    directory: PathBuf,
    own: PathBuf,
    _locked: File,
}

impl HostIdentity {
    /// Reads the identity of the directory, or makes one at the first start.
    ///
    /// A process that cannot write a file there gets an identity of its own. A restart then counts as another host,
    /// and waits until the lease of its predecessor has ended.
    pub(crate) fn take(data_dir: &Path) -> Self {
        let life = random_text();
        match instance(data_dir).and_then(|text| Ok((text, Alive::begin(data_dir, &life)?))) {
            Ok((instance, alive)) => Self::new(instance, life, Some(alive)),
            Err(error) => {
                tracing::warn!(
                    %error,
                    "cannot write to the data_dir {}: after a crash this host's id is free again only when its \
                     lease has ended; set `data_dir` in [host] to a directory that can be written",
                    data_dir.display()
                );
                Self::new(random_text(), life, None)
            }
        }
    }

    fn new(instance: String, life: String, alive: Option<Alive>) -> Self {
        let machine = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        Self {
            instance,
            machine: printable::line(machine.trim()),
            life,
            alive,
        }
    }

    /// Returns the claim of this process on an id.
    pub(crate) fn record(&self, id: &str, since_unix_ms: UnixMs) -> IdRecord {
        IdRecord {
            host: id.to_owned(),
            instance: self.instance.clone(),
            life: self.life.clone(),
            machine: self.machine.clone(),
            pid: std::process::id(),
            since_unix_ms,
        }
    }

    /// Returns the relation of this process to the one in `record`.
    pub(crate) fn relation(&self, record: &IdRecord) -> ClaimRelation {
        if record.life == self.life && record.instance == self.instance {
            ClaimRelation::Own
        } else if record.instance != self.instance || record.machine != self.machine {
            ClaimRelation::Foreign
        } else if self.is_alive(&record.life) {
            ClaimRelation::Sibling
        } else {
            ClaimRelation::Ended
        }
    }

    /// Returns the text of this process, if it is the name of a file in the data directory.
    pub(crate) fn life_on_disk(&self) -> Option<&str> {
        self.alive.as_ref().map(|_| self.life.as_str())
    }

    /// True if the process of this directory with that text has ended.
    pub(crate) fn has_ended(&self, life: &str) -> bool {
        !self.is_alive(life)
    }

    /// True if the process of this directory with that text is alive, or if that cannot be determined.
    fn is_alive(&self, life: &str) -> bool {
        // The text comes from the store and becomes part of a path.
        if !is_text(life) {
            return true;
        }
        self.alive
            .as_ref()
            .is_none_or(|alive| is_locked(&alive.directory.join(life)))
    }
}

/// Relation of this process to one that has an id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ClaimRelation {
    /// The process is this one.
    Own,
    /// The process worked in this directory on this machine and has ended.
    Ended,
    /// The process works in this directory on this machine.
    Sibling,
    /// The process works in another directory or on another machine.
    Foreign,
}

impl Alive {
    /// Makes and locks the file of this process, and removes those of processes that were killed.
    fn begin(data_dir: &Path, life: &str) -> io::Result<Self> {
        let directory = data_dir.join(ALIVE);
        make(&directory)?;
        let own = directory.join(life);
        let locked = private().write(true).create_new(true).open(&own)?;
        locked.lock()?;
        for entry in fs::read_dir(&directory)?.flatten() {
            let is_other = entry.file_name().to_str().is_some_and(is_text) && entry.path() != own;
            if is_other && !is_locked(&entry.path()) {
                // A failure is repaired by the next start.
                let _ = fs::remove_file(entry.path());
            }
        }
        Ok(Self {
            directory,
            own,
            _locked: locked,
        })
    }
}

impl Drop for Alive {
    fn drop(&mut self) {
        // A file that remains is unlocked, and the next start removes it.
        let _ = fs::remove_file(&self.own);
    }
}

/// True if a process has this file locked, or if that cannot be determined.
fn is_locked(path: &Path) -> bool {
    match File::open(path) {
        Ok(file) => match file.try_lock() {
            Ok(()) => false,
            Err(TryLockError::WouldBlock | TryLockError::Error(_)) => true,
        },
        Err(error) => error.kind() != io::ErrorKind::NotFound,
    }
}

/// Returns the text of the directory. Several processes that start at once all get the same.
fn instance(data_dir: &Path) -> io::Result<String> {
    make(data_dir)?;
    let path = data_dir.join(INSTANCE);
    match fs::read_to_string(&path) {
        Ok(text) if is_text(text.trim()) => return Ok(text.trim().to_owned()),
        Ok(_) => fs::remove_file(&path)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    let beside = data_dir.join(format!("{INSTANCE}.{}", random_text()));
    let mut file = private().write(true).create_new(true).open(&beside)?;
    let written = file
        .write_all(format!("{}\n", random_text()).as_bytes())
        .and_then(|()| file.sync_all())
        // Linked, not renamed: the first file stays.
        .and_then(|()| match fs::hard_link(&beside, &path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            linked => linked,
        });
    fs::remove_file(&beside)?;
    written?;
    let text = fs::read_to_string(&path)?;
    if is_text(text.trim()) {
        Ok(text.trim().to_owned())
    } else {
        Err(io::Error::other(format!(
            "{} does not hold {DIGITS} hexadecimal digits",
            path.display()
        )))
    }
}

fn make(directory: &Path) -> io::Result<()> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(directory)
}

fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.mode(0o600);
    options
}

fn random_text() -> String {
    format!("{:0DIGITS$x}", fastrand::u128(..))
}

fn is_text(text: &str) -> bool {
    text.len() == DIGITS && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_directory_keeps_its_text_for_its_owner_alone() {
        let root = tempfile::tempdir().unwrap();
        let dir = root.path().join("a/data");
        let first = HostIdentity::take(&dir);
        let second = HostIdentity::take(&dir);
        assert_eq!(first.instance, second.instance);
        assert_ne!(first.life, second.life);
        let mode = fs::metadata(dir.join(INSTANCE)).unwrap().permissions();
        assert_eq!(mode.mode() & 0o777, 0o600);
        let other = HostIdentity::take(&root.path().join("b"));
        assert_ne!(first.instance, other.instance);
    }

    #[test]
    fn a_process_is_related_by_directory_and_by_its_lock() {
        let root = tempfile::tempdir().unwrap();
        let us = HostIdentity::take(root.path());
        let other = HostIdentity::take(root.path());
        let record = other.record("web1", UnixMs::new(1));
        assert_eq!(
            us.relation(&us.record("web1", UnixMs::new(1))),
            ClaimRelation::Own
        );
        assert_eq!(us.relation(&record), ClaimRelation::Sibling);
        drop(other);
        assert_eq!(us.relation(&record), ClaimRelation::Ended);
        let elsewhere = IdRecord {
            machine: "another".into(),
            ..record.clone()
        };
        assert_eq!(us.relation(&elsewhere), ClaimRelation::Foreign);
        let strange = IdRecord {
            life: "../../etc/passwd".into(),
            ..record
        };
        assert_eq!(us.relation(&strange), ClaimRelation::Sibling);
    }

    /// As after kill -9: the file exists, and no process locks it.
    #[test]
    fn file_of_a_killed_process_is_ignored_and_removed() {
        let root = tempfile::tempdir().unwrap();
        let us = HostIdentity::take(root.path());
        let left = root.path().join(ALIVE).join(random_text());
        fs::write(&left, "").unwrap();
        assert!(!is_locked(&left));
        let next = HostIdentity::take(root.path());
        assert!(!left.exists());
        assert!(us.is_alive(&next.life));
    }

    #[test]
    fn a_file_with_something_else_is_replaced() {
        let root = tempfile::tempdir().unwrap();
        fs::write(root.path().join(INSTANCE), "").unwrap();
        let first = HostIdentity::take(root.path());
        assert!(first.alive.is_some());
        assert_eq!(first.instance, HostIdentity::take(root.path()).instance);
    }

    #[test]
    fn missing_directory_gives_an_identity_of_the_process() {
        let root = tempfile::tempdir().unwrap();
        let file = root.path().join("file");
        fs::write(&file, "").unwrap();
        let us = HostIdentity::take(&file);
        assert!(us.alive.is_none());
        assert_eq!(
            us.relation(&us.record("web1", UnixMs::new(1))),
            ClaimRelation::Own
        );
    }
}
