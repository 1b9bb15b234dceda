//! The disk meter of one run: how much it has made files grow, how many it has made, and how many are open.
//!
//! Growth is counted, not writing: a file that is written over costs nothing. What a truncation frees is given back
//! at once; what a deletion frees, only while the run has nothing open, because an open file outlives its name.
//! Handles are watched by weak references, which count streams of a file too. This file must never open or change
//! anything.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use rustix::fs::{Mode, OFlags};

use super::limit::Limit;
use super::output::Output;
use crate::descriptors::Descriptors;
use leasehold_config::limits::Limits;

/// A reason to refuse, as a set of which each is told once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    Bytes,
    Files,
    Open,
    /// All guests of this host together have too much open.
    HostOpen,
    /// A link that might lead out of its directory.
    Link,
    /// A directory with more names than one call may move.
    Names,
}

/// A file or directory that a core module has open.
#[derive(Clone, Debug)]
pub(crate) struct Numbered {
    pub(crate) file: Weak<File>,
    pub(crate) appends: bool,
}

#[derive(Debug, Default)]
struct State {
    bytes: u64,
    files: u32,
    open: Vec<Weak<File>>,
    numbered: HashMap<i32, Numbered>,
    told: Vec<Refusal>,
}

struct Metered {
    most_bytes: u64,
    most_files: u32,
    most_open: usize,
    host_call: u64,
    job: String,
    output: Arc<Output>,
    pool: Arc<Descriptors>,
    state: Mutex<State>,
}

/// The meter of one run. Clones share it.
#[derive(Clone)]
pub(crate) struct Disk(Arc<Metered>);

impl Disk {
    pub(crate) fn new(
        limits: &Limits,
        job: &str,
        output: Arc<Output>,
        pool: Arc<Descriptors>,
    ) -> Self {
        Self(Arc::new(Metered {
            most_bytes: limits.disk_bytes,
            most_files: limits.disk_files,
            most_open: limits.open_files as usize,
            host_call: limits.host_call_bytes,
            job: job.to_owned(),
            output,
            pool,
            state: Mutex::default(),
        }))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A file is about to grow by so many bytes.
    pub(crate) fn grow(&self, by: u64) -> Result<(), Refusal> {
        let mut state = self.state();
        let after = state.bytes.saturating_add(by);
        if by > 0 && after > self.0.most_bytes {
            return Err(self.tell(state, Refusal::Bytes));
        }
        state.bytes = after;
        Ok(())
    }

    /// A file has become shorter by so many bytes.
    pub(crate) fn shrink(&self, by: u64) {
        let mut state = self.state();
        state.bytes = state.bytes.saturating_sub(by);
    }

    /// A file is about to be written to; returns by how much it grows.
    pub(crate) fn write(&self, file: &File, at: Option<u64>, length: u64) -> Result<(), Refusal> {
        // One that shows no size is no file that a guest could fill.
        let size = file.metadata().map_or(u64::MAX, |found| found.len());
        let end = at.unwrap_or(size).saturating_add(length);
        self.grow(end.saturating_sub(size))
    }

    /// A file, link or directory is about to be made.
    pub(crate) fn make(&self) -> Result<(), Refusal> {
        let mut state = self.state();
        if state.files >= self.0.most_files {
            return Err(self.tell(state, Refusal::Files));
        }
        state.files += 1;
        Ok(())
    }

    /// It was not made.
    pub(crate) fn unmake(&self) {
        let mut state = self.state();
        state.files = state.files.saturating_sub(1);
    }

    /// Something with its last name was deleted.
    pub(crate) fn deleted(&self, bytes: u64) {
        let mut state = self.state();
        self.prune(&mut state);
        if state.open.is_empty() {
            state.bytes = state.bytes.saturating_sub(bytes);
            state.files = state.files.saturating_sub(1);
        }
    }

    /// Something is about to be opened.
    pub(crate) fn admit(&self) -> Result<(), Refusal> {
        let mut state = self.state();
        self.prune(&mut state);
        if state.open.len() >= self.0.most_open {
            return Err(self.tell(state, Refusal::Open));
        }
        if !self.0.pool.take() {
            return Err(self.tell(state, Refusal::HostOpen));
        }
        Ok(())
    }

    /// It was opened; `None` when it was not.
    pub(crate) fn opened(&self, file: Option<&Arc<File>>) {
        match file {
            Some(file) => self.state().open.push(Arc::downgrade(file)),
            None => self.0.pool.give(1),
        }
    }

    /// A core module knows an open file by this number now.
    pub(crate) fn number(&self, number: i32, file: &Arc<File>, appends: bool) {
        let file = Arc::downgrade(file);
        let numbered = Numbered { file, appends };
        self.state().numbered.insert(number, numbered);
    }

    /// The file that a core module knows by this number.
    pub(crate) fn numbered(&self, number: i32) -> Option<(Arc<File>, bool)> {
        let state = self.state();
        let Numbered { file, appends } = state.numbered.get(&number)?;
        Some((file.upgrade()?, *appends))
    }

    /// The number means nothing now, or what another meant.
    pub(crate) fn renumber(&self, from: Option<i32>, to: i32) {
        let mut state = self.state();
        let moved = from.and_then(|from| state.numbered.remove(&from));
        match moved {
            Some(moved) => state.numbered.insert(to, moved),
            None => state.numbered.remove(&to),
        };
    }

    /// Every write goes to the end of the file now, or no longer does.
    pub(crate) fn set_appends(&self, number: i32, appends: bool) {
        if let Some(numbered) = self.state().numbered.get_mut(&number) {
            numbered.appends = appends;
        }
    }

    /// Refuses a link whose target might lead out of its directory, also when link or directory are moved later.
    pub(crate) fn link(&self, target: &str) -> Result<(), Refusal> {
        let mut parts = target.split('/');
        if target.starts_with('/') || parts.any(|part| part == "..") {
            return Err(self.tell(self.state(), Refusal::Link));
        }
        Ok(())
    }

    /// Refuses a directory whose names are more than one call may move. Reads it on a thread that may block.
    pub(crate) async fn list(&self, directory: Arc<File>) -> Result<(), Refusal> {
        let most = self.0.host_call;
        let counted = tokio::task::spawn_blocking(move || is_longer(&directory, most)).await;
        // One that cannot be read says so itself.
        if counted.ok().is_some_and(|longer| longer.unwrap_or(false)) {
            return Err(self.tell(self.state(), Refusal::Names));
        }
        Ok(())
    }

    fn prune(&self, state: &mut State) {
        let before = state.open.len();
        state.open.retain(|file| file.strong_count() > 0);
        self.0.pool.give(before - state.open.len());
    }

    /// Tells a person, once in a run, and answers with the refusal.
    fn tell(&self, mut state: MutexGuard<'_, State>, refusal: Refusal) -> Refusal {
        if state.told.contains(&refusal) {
            return refusal;
        }
        state.told.push(refusal);
        drop(state);
        let job = &self.0.job;
        let text = match refusal {
            Refusal::Bytes => format!(
                "a write was refused: this run has made files grow by as much as it may ({} bytes): {}",
                self.0.most_bytes,
                Limit::Disk.remedy(job)
            ),
            Refusal::Files => format!(
                "nothing was made: this run has made as many files, links and directories as it may ({}): {}",
                self.0.most_files,
                Limit::DiskFiles.remedy(job)
            ),
            Refusal::Open => format!(
                "nothing was opened: this run has as many files and directories open as it may ({}): {}",
                self.0.most_open,
                Limit::OpenFiles.remedy(job)
            ),
            Refusal::HostOpen => format!(
                "nothing was opened: all guests of this host together have {} files and directories open: raise the \
                 host's limit on descriptors (ulimit -Hn, LimitNOFILE)",
                self.0.pool.most()
            ),
            Refusal::Link => "a symbolic link was refused: its target is a full path or contains `..`, and may lead \
                              out of the directory"
                .to_owned(),
            Refusal::Names => format!(
                "a directory was not listed: it has more names than one call may move ({} bytes): {}",
                self.0.host_call,
                Limit::HostCall.remedy(job)
            ),
        };
        self.0.output.remark(&text);
        refusal
    }
}

impl Drop for Metered {
    fn drop(&mut self) {
        let state = self.state.get_mut().unwrap_or_else(PoisonError::into_inner);
        self.pool.give(state.open.len());
    }
}

/// Bytes that a listing takes for each name beside the name itself.
const NAME_COST: u64 = 64;

/// True if a listing of the directory takes more than `most` bytes.
fn is_longer(directory: &File, most: u64) -> io::Result<bool> {
    // The guest's handle may be one for paths alone, which cannot be read.
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let readable = rustix::fs::openat(directory, ".", flags, Mode::empty())?;
    let mut bytes = 0;
    for entry in rustix::fs::Dir::new(readable)? {
        bytes += NAME_COST + entry?.file_name().to_bytes().len() as u64;
        if bytes > most {
            return Ok(true);
        }
    }
    Ok(false)
}
