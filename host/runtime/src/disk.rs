//! The disk meter of one run: the growth of files, the number of new files, and the number of open files.
//!
//! Growth is counted, not writing: a file that is overwritten costs nothing. Bytes freed by a truncation are given
//! back at once. Bytes freed by a deletion are given back only if the run has nothing open, because an open file
//! outlives its name. Open handles are tracked by weak references, which include streams of a file. The meter changes
//! no file.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use rustix::fs::{Mode, OFlags};

use super::output::Output;
use crate::descriptors::DescriptorPool;
use leasehold_config::limits::Limits;
use leasehold_config::{JobSource, LimitKey, Remedy};

/// Reason to refuse a change. Each reason is reported once per run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DiskRefusal {
    Bytes,
    Files,
    Open,
    /// All guests of this host together have too many files open.
    HostOpen,
    /// A link that may lead out of its directory.
    Link,
    /// A directory with more names than one call may move.
    Names,
}

/// A file or directory that a core module has open.
#[derive(Clone, Debug)]
pub(crate) struct NumberedFile {
    pub(crate) file: Weak<File>,
    pub(crate) appends: bool,
}

#[derive(Debug, Default)]
struct State {
    bytes: u64,
    files: u32,
    open: Vec<Weak<File>>,
    numbered: HashMap<i32, NumberedFile>,
    told: Vec<DiskRefusal>,
}

struct Metered {
    most_bytes: u64,
    most_files: u32,
    most_open: usize,
    host_call: u64,
    job: JobSource,
    output: Arc<Output>,
    pool: Arc<DescriptorPool>,
    state: Mutex<State>,
}

/// The disk meter of one run. Clones share it.
#[derive(Clone)]
pub(crate) struct DiskMeter(Arc<Metered>);

impl DiskMeter {
    pub(crate) fn new(
        limits: &Limits,
        job: JobSource,
        output: Arc<Output>,
        pool: Arc<DescriptorPool>,
    ) -> Self {
        Self(Arc::new(Metered {
            most_bytes: limits.disk_bytes,
            most_files: limits.disk_files,
            most_open: limits.open_files as usize,
            host_call: limits.host_call_bytes,
            job,
            output,
            pool,
            state: Mutex::default(),
        }))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a growth of a file by so many bytes, or refuses it.
    pub(crate) fn grow(&self, by: u64) -> Result<(), DiskRefusal> {
        let mut state = self.state();
        let after = state.bytes.saturating_add(by);
        if by > 0 && after > self.0.most_bytes {
            return Err(self.tell(state, DiskRefusal::Bytes));
        }
        state.bytes = after;
        Ok(())
    }

    /// Gives back the bytes by which a file became shorter.
    pub(crate) fn shrink(&self, by: u64) {
        let mut state = self.state();
        state.bytes = state.bytes.saturating_sub(by);
    }

    /// Counts the growth of a file by a write that is about to happen, or refuses it.
    pub(crate) fn write(
        &self,
        file: &File,
        at: Option<u64>,
        length: u64,
    ) -> Result<(), DiskRefusal> {
        // A file without a size is not one that a guest can fill.
        let size = file.metadata().map_or(u64::MAX, |found| found.len());
        let end = at.unwrap_or(size).saturating_add(length);
        self.grow(end.saturating_sub(size))
    }

    /// Counts a file, link or directory that is about to be made, or refuses it.
    pub(crate) fn make(&self) -> Result<(), DiskRefusal> {
        let mut state = self.state();
        if state.files >= self.0.most_files {
            return Err(self.tell(state, DiskRefusal::Files));
        }
        state.files += 1;
        Ok(())
    }

    /// Takes back a count of [`DiskMeter::make`] when nothing was made.
    pub(crate) fn unmake(&self) {
        let mut state = self.state();
        state.files = state.files.saturating_sub(1);
    }

    /// Gives back a file whose last name was deleted, if the run has nothing open.
    pub(crate) fn deleted(&self, bytes: u64) {
        let mut state = self.state();
        self.prune(&mut state);
        if state.open.is_empty() {
            state.bytes = state.bytes.saturating_sub(bytes);
            state.files = state.files.saturating_sub(1);
        }
    }

    /// Admits a file or directory that is about to be opened, or refuses it.
    pub(crate) fn admit(&self) -> Result<(), DiskRefusal> {
        let mut state = self.state();
        self.prune(&mut state);
        if state.open.len() >= self.0.most_open {
            return Err(self.tell(state, DiskRefusal::Open));
        }
        if !self.0.pool.take() {
            return Err(self.tell(state, DiskRefusal::HostOpen));
        }
        Ok(())
    }

    /// Records an admitted file that was opened. `None` gives the admission back.
    pub(crate) fn opened(&self, file: Option<&Arc<File>>) {
        match file {
            Some(file) => self.state().open.push(Arc::downgrade(file)),
            None => self.0.pool.give(1),
        }
    }

    /// Records the number by which a core module refers to an open file.
    pub(crate) fn number(&self, number: i32, file: &Arc<File>, appends: bool) {
        let file = Arc::downgrade(file);
        let numbered = NumberedFile { file, appends };
        self.state().numbered.insert(number, numbered);
    }

    /// Returns the file to which a core module refers by this number, and whether writes append to it.
    pub(crate) fn numbered(&self, number: i32) -> Option<(Arc<File>, bool)> {
        let state = self.state();
        let NumberedFile { file, appends } = state.numbered.get(&number)?;
        Some((file.upgrade()?, *appends))
    }

    /// Moves the file of number `from` to number `to`. `None` removes number `to`.
    pub(crate) fn renumber(&self, from: Option<i32>, to: i32) {
        let mut state = self.state();
        let moved = from.and_then(|from| state.numbered.remove(&from));
        match moved {
            Some(moved) => state.numbered.insert(to, moved),
            None => state.numbered.remove(&to),
        };
    }

    /// Records whether every write goes to the end of the file.
    pub(crate) fn set_appends(&self, number: i32, appends: bool) {
        if let Some(numbered) = self.state().numbered.get_mut(&number) {
            numbered.appends = appends;
        }
    }

    /// Refuses a link whose target may lead out of its directory, also after the link or directory is moved.
    pub(crate) fn link(&self, target: &str) -> Result<(), DiskRefusal> {
        let mut parts = target.split('/');
        if target.starts_with('/') || parts.any(|part| part == "..") {
            return Err(self.tell(self.state(), DiskRefusal::Link));
        }
        Ok(())
    }

    /// Refuses a directory whose names exceed the bytes that one call may move. Reads it on a blocking thread.
    pub(crate) async fn list(&self, directory: Arc<File>) -> Result<(), DiskRefusal> {
        let most = self.0.host_call;
        let counted = tokio::task::spawn_blocking(move || is_longer(&directory, most)).await;
        // If the directory cannot be read, the guest's own call fails.
        if counted.ok().is_some_and(|longer| longer.unwrap_or(false)) {
            return Err(self.tell(self.state(), DiskRefusal::Names));
        }
        Ok(())
    }

    fn prune(&self, state: &mut State) {
        let before = state.open.len();
        state.open.retain(|file| file.strong_count() > 0);
        self.0.pool.give(before - state.open.len());
    }

    /// Logs the refusal, once per run, and returns it.
    fn tell(&self, mut state: MutexGuard<'_, State>, refusal: DiskRefusal) -> DiskRefusal {
        if state.told.contains(&refusal) {
            return refusal;
        }
        state.told.push(refusal);
        drop(state);
        let raise = |key| Remedy::Raise(key).for_source(&self.0.job).to_string();
        let text = match refusal {
            DiskRefusal::Bytes => format!(
                "a write was refused: this run has made files grow by as much as it may ({} bytes): {}",
                self.0.most_bytes,
                raise(LimitKey::Disk)
            ),
            DiskRefusal::Files => format!(
                "nothing was made: this run has made as many files, links and directories as it may ({}): {}",
                self.0.most_files,
                raise(LimitKey::DiskFiles)
            ),
            DiskRefusal::Open => format!(
                "nothing was opened: this run has as many files and directories open as it may ({}): {}",
                self.0.most_open,
                raise(LimitKey::OpenFiles)
            ),
            DiskRefusal::HostOpen => format!(
                "nothing was opened: all guests of this host together have {} files and directories open: raise the \
                 host's limit on descriptors (ulimit -Hn, LimitNOFILE)",
                self.0.pool.most()
            ),
            DiskRefusal::Link => "a symbolic link was refused: its target is a full path or contains `..`, and may lead \
                              out of the directory"
                .to_owned(),
            DiskRefusal::Names => format!(
                "a directory was not listed: it has more names than one call may move ({} bytes): {}",
                self.0.host_call,
                raise(LimitKey::HostCall)
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

/// Returns true if a listing of the directory takes more than `most` bytes.
fn is_longer(directory: &File, most: u64) -> io::Result<bool> {
    // The guest's handle may be path-only, which cannot be read.
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
