//! Watching folders: hints that a file may have changed, and that a file is still being written.
//!
//! Hints only: after one, the files themselves are checked. Where the kernel reports nothing, as on most network
//! file systems, files are checked at intervals. This file reads no file.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use futures_util::{FutureExt as _, StreamExt as _};
use inotify::{EventMask, EventOwned, EventStream, Inotify, WatchDescriptor, WatchMask};
use tokio::time::Instant;

use leasehold_config::fingerprint::Fingerprint;

/// Time within which several changes count as one.
const TOGETHER: Duration = Duration::from_millis(2);
/// Time without change after which a file counts as whole if the kernel reports nothing about it.
const QUIET: Duration = Duration::from_millis(500);
/// Time that a file open for writing is waited for after its last byte.
const PATIENCE: Duration = Duration::from_secs(5);

/// State of a file: whole, or perhaps still being written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wholeness {
    /// The writer has closed it, moved it here, or left it alone for a while.
    Whole,
    /// A process may still be writing it; check it again after this.
    NotYet(Duration),
}

/// Size in bytes of one read of events; further events follow in the next read.
const BUFFER: usize = 16 * 1024;

/// The folders that are watched.
pub(super) struct Watch {
    events: EventStream<Vec<u8>>,
    folders: HashMap<WatchDescriptor, PathBuf>,
    writing: HashMap<PathBuf, Instant>,
    closed: HashSet<PathBuf>,
}

impl Watch {
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self {
            events: Inotify::init()?.into_event_stream(vec![0; BUFFER])?,
            folders: HashMap::new(),
            writing: HashMap::new(),
            closed: HashSet::new(),
        })
    }

    /// Watches these folders and no others. A folder that cannot be watched is checked at intervals.
    pub(super) fn watch_only(&mut self, wanted: &BTreeSet<PathBuf>) {
        let mut watches = self.events.watches();
        let gone = self
            .folders
            .extract_if(|_, folder| !wanted.contains(folder));
        for (id, folder) in gone {
            // A deleted folder took its watch along.
            let _ = watches.remove(id);
            self.closed.retain(|path| path.parent() != Some(&folder));
            self.writing
                .retain(|path, _| path.parent() != Some(&folder));
        }
        let mask = WatchMask::CREATE
            | WatchMask::MODIFY
            | WatchMask::CLOSE_WRITE
            | WatchMask::MOVED_TO
            | WatchMask::MOVED_FROM
            | WatchMask::DELETE
            | WatchMask::ATTRIB
            | WatchMask::ONLYDIR;
        for folder in wanted {
            if self.folders.values().any(|known| known == folder) {
                continue;
            }
            match watches.add(folder, mask) {
                Ok(id) => {
                    self.folders.insert(id, folder.clone());
                }
                Err(error) => {
                    tracing::debug!(folder = %folder.display(), %error, "not watched");
                }
            }
        }
    }

    /// Resolves when a change is worth a check. Dropping the future loses nothing that a check would not find.
    pub(super) async fn changed(&mut self) -> io::Result<()> {
        while let Some(event) = self.events.next().await {
            if self.take_in(event?) {
                tokio::time::sleep(TOGETHER).await;
                while let Some(Some(event)) = self.events.next().now_or_never() {
                    self.take_in(event?);
                }
                return Ok(());
            }
        }
        Err(io::Error::other("the kernel ended the watch"))
    }

    /// Records an event; returns true when it is worth a check.
    fn take_in(&mut self, event: EventOwned) -> bool {
        if event.mask.contains(EventMask::Q_OVERFLOW) {
            // Events were lost, so the state of files is unknown.
            self.closed.clear();
            self.writing.clear();
            return true;
        }
        if event.mask.contains(EventMask::IGNORED) {
            // The folder was deleted; if it comes back, it is watched anew.
            self.folders.remove(&event.wd);
            return true;
        }
        match (self.folders.get(&event.wd), event.name) {
            (Some(folder), Some(name)) => self.note(folder.join(name), event.mask),
            _ => false,
        }
    }

    fn note(&mut self, path: PathBuf, what: EventMask) -> bool {
        if !matters(&path) {
            return false;
        }
        if what.contains(EventMask::MODIFY) {
            self.closed.remove(&path);
            self.writing.insert(path, Instant::now());
            return false;
        }
        if what.intersects(EventMask::CLOSE_WRITE | EventMask::MOVED_TO) {
            self.writing.remove(&path);
            self.closed.insert(path);
        } else if what.intersects(EventMask::DELETE | EventMask::MOVED_FROM) {
            self.writing.remove(&path);
            self.closed.remove(&path);
        } else if what.contains(EventMask::CREATE) {
            self.closed.remove(&path);
        }
        true
    }

    /// Judges if the file at `path`, which now has this fingerprint, can be loaded now.
    pub(super) fn wholeness(&self, path: &Path, fingerprint: &Fingerprint) -> Wholeness {
        if self.closed.contains(path) {
            return Wholeness::Whole;
        }
        let left = match self.writing.get(path) {
            Some(last) => PATIENCE.saturating_sub(last.elapsed()),
            None => QUIET.saturating_sub(fingerprint.age(SystemTime::now())),
        };
        if left.is_zero() {
            Wholeness::Whole
        } else {
            Wholeness::NotYet(left)
        }
    }
}

/// True for a name that may be a plugin's, a configuration's, or that of a link that swaps a whole folder at once
/// (`..data` on Kubernetes).
fn matters(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().as_bytes();
    name.ends_with(b".wasm") || name.ends_with(b".toml") || name.starts_with(b"..")
}
