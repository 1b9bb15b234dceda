//! A disk in memory that fails on purpose: power cuts, no space, failing syncs and reads.
//!
//! It keeps the bytes that a disk with a volatile cache keeps. Bytes written before the last successful sync survive
//! a crash. Of later bytes anything may survive: any of their sectors, in any order, each possibly cut at any byte.
//! This file must never keep a promise that a real disk does not.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use fastrand::Rng;
use redb::StorageBackend;
use rustix::io::Errno;

use crate::options::StoreMedia;

/// The unit of a disk's writes: within it, order is kept.
const SECTOR: usize = 512;

/// The disk, seen through one of its files; all clones are the same disk.
#[derive(Debug, Clone, Default)]
pub(crate) struct FaultyDisk {
    state: Arc<Mutex<FaultyState>>,
    file: DiskFile,
}

/// The files on it.
#[derive(Debug, Clone, Copy, Default)]
enum DiskFile {
    #[default]
    Data,
    CommitLog,
}

/// Content of a file.
#[derive(Default, Clone)]
struct FileContent {
    /// Bytes that a crash certainly leaves.
    durable: Vec<u8>,
    /// Bytes that reads return: as if all writes had arrived.
    seen: Vec<u8>,
    /// Operations since the last sync, in order.
    volatile: Vec<DiskOp>,
}

#[derive(Default)]
struct FaultyState {
    files: [FileContent; 2],
    /// Number of calls that tried to change something.
    calls: u64,
    /// Number of successful syncs.
    syncs: u64,
    /// The call in the middle of which the machine stops.
    stops_at: Option<u64>,
    /// True once it has stopped: all later calls fail.
    stopped: bool,
    /// Number of bytes that can still be written.
    space: Option<usize>,
    syncs_fail: bool,
    reads_fail: bool,
}

// The content would be megabytes in a message.
impl std::fmt::Debug for FaultyState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("State")
            .field("length", &self.files[0].seen.len())
            .field("calls", &self.calls)
            .finish_non_exhaustive()
    }
}

#[derive(Debug, Clone)]
enum DiskOp {
    Write { at: usize, bytes: Vec<u8> },
    Length(usize),
}

/// Part of the unsynced data that survives a crash.
#[derive(Debug, Clone, Copy)]
pub(crate) enum CrashOutcome {
    /// Nothing.
    LosesAll,
    /// All of it: the sync was almost complete.
    KeepsAll,
    /// All up to a point in the middle of a write.
    TearsOne,
    /// Any part of it.
    KeepsAny,
}

impl CrashOutcome {
    /// Draws one of them.
    pub(crate) fn any(rng: &mut Rng) -> Self {
        match rng.u8(..8) {
            0 => Self::LosesAll,
            1 => Self::KeepsAll,
            2 | 3 => Self::TearsOne,
            _ => Self::KeepsAny,
        }
    }
}

impl FaultyDisk {
    /// Creates an empty disk.
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Creates a disk with this content and no log, all of it durable.
    pub(crate) fn holding(bytes: Vec<u8>) -> Self {
        Self::with([bytes, Vec::new()])
    }

    fn with(files: [Vec<u8>; 2]) -> Self {
        let disk = Self::new();
        disk.state().files = files.map(|bytes| FileContent {
            durable: bytes.clone(),
            seen: bytes,
            volatile: Vec::new(),
        });
        disk
    }

    /// Creates a disk with the same content, all of it durable.
    pub(crate) fn copy(&self) -> Self {
        Self::with(self.state().files.clone().map(|file| file.seen))
    }

    /// Returns it in the form that [`super::FileDisk::open_media`] takes.
    pub(crate) fn media(&self) -> StoreMedia {
        StoreMedia {
            data: Box::new(self.clone()),
            log: Box::new(self.log()),
        }
    }

    /// Returns the same disk, seen through the log.
    pub(crate) fn log(&self) -> Self {
        Self {
            state: Arc::clone(&self.state),
            file: DiskFile::CommitLog,
        }
    }

    /// Returns the bytes that reads of the file return.
    pub(crate) fn content(&self) -> Vec<u8> {
        self.state().files[self.file as usize].seen.clone()
    }

    /// Replaces the content of the file; the new content is durable.
    pub(crate) fn replace(&self, bytes: Vec<u8>) {
        self.state().files[self.file as usize] = FileContent {
            durable: bytes.clone(),
            seen: bytes,
            volatile: Vec::new(),
        };
    }

    /// Returns the number of calls that tried to change something, syncs included.
    pub(crate) fn calls(&self) -> u64 {
        self.state().calls
    }

    /// Returns the number of successful syncs.
    pub(crate) fn syncs(&self) -> u64 {
        self.state().syncs
    }

    /// Stops the machine in the middle of the `call`th changing call from now on; 1 is the next.
    pub(crate) fn stop_at(&self, call: u64) {
        let mut state = self.state();
        state.stops_at = Some(state.calls + call);
    }

    /// Returns true if the machine has stopped.
    pub(crate) fn has_stopped(&self) -> bool {
        self.state().stopped
    }

    /// Leaves room for `bytes` more bytes of writes; `None` for any number.
    pub(crate) fn leave_space(&self, bytes: Option<usize>) {
        self.state().space = bytes;
    }

    /// Makes every sync fail from now on, or ends that.
    pub(crate) fn fail_syncs(&self, fail: bool) {
        self.state().syncs_fail = fail;
    }

    /// Makes every read fail from now on, or ends that.
    pub(crate) fn fail_reads(&self, fail: bool) {
        self.state().reads_fail = fail;
    }

    /// Returns the disk as it is after the restart. Later writes to this one do not affect it.
    pub(crate) fn crash(&self, crash: CrashOutcome, rng: &mut Rng) -> Self {
        let mut state = self.state();
        state.stopped = true;
        Self::with(
            state
                .files
                .each_ref()
                .map(|file| file.survivors(crash, rng)),
        )
    }

    fn state(&self) -> MutexGuard<'_, FaultyState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins a changing call. The last call still has its effect, which a crash may undo or tear, and returns an
    /// error.
    fn change(&self) -> io::Result<(MutexGuard<'_, FaultyState>, bool)> {
        let mut state = self.state();
        if state.stopped {
            return Err(Errno::IO.into());
        }
        state.calls += 1;
        state.stopped = state.stops_at == Some(state.calls);
        let answers = !state.stopped;
        Ok((state, answers))
    }
}

impl FileContent {
    fn apply(&mut self, op: DiskOp) {
        put(&mut self.seen, &op);
        self.volatile.push(op);
    }

    fn survivors(&self, crash: CrashOutcome, rng: &mut Rng) -> Vec<u8> {
        let mut kept = self.durable.clone();
        match crash {
            CrashOutcome::LosesAll => {}
            CrashOutcome::KeepsAll => {
                for op in &self.volatile {
                    put(&mut kept, op);
                }
            }
            CrashOutcome::TearsOne if self.volatile.is_empty() => {}
            CrashOutcome::TearsOne => {
                let torn = rng.usize(..self.volatile.len());
                let (before, from) = self.volatile.split_at(torn);
                for op in before {
                    put(&mut kept, op);
                }
                if let Some(DiskOp::Write { at, bytes }) = from.first() {
                    overwrite(&mut kept, *at, &bytes[..rng.usize(..=bytes.len())]);
                }
            }
            CrashOutcome::KeepsAny => self.keep_any(&mut kept, rng),
        }
        kept
    }

    /// Lengths become durable in order, because file systems keep a journal of them; bytes do not.
    fn keep_any(&self, kept: &mut Vec<u8>, rng: &mut Rng) {
        let lengths = self
            .volatile
            .iter()
            .filter(|op| matches!(op, DiskOp::Length(_)));
        let mut lengths = rng.usize(..=lengths.count());
        let likely = [0.1, 0.5, 0.9, 0.98][rng.usize(..4)];
        for op in &self.volatile {
            match op {
                DiskOp::Length(_) if lengths == 0 => {}
                DiskOp::Length(_) => {
                    lengths -= 1;
                    put(kept, op);
                }
                DiskOp::Write { at, bytes } => {
                    for (at, sector) in sectors(*at, bytes) {
                        let whole = rng.u8(..16) > 0;
                        let length = if whole {
                            sector.len()
                        } else {
                            rng.usize(..=sector.len())
                        };
                        if rng.f64() < likely {
                            overwrite(kept, at, &sector[..length]);
                        }
                    }
                }
            }
        }
    }
}

/// Splits a write into sectors.
fn sectors(at: usize, bytes: &[u8]) -> impl Iterator<Item = (usize, &[u8])> {
    let first = (SECTOR - at % SECTOR).min(bytes.len());
    let (head, tail) = bytes.split_at(first);
    std::iter::once(head)
        .chain(tail.chunks(SECTOR))
        .scan(at, |next, piece| {
            let at = *next;
            *next += piece.len();
            Some((at, piece))
        })
}

fn put(content: &mut Vec<u8>, op: &DiskOp) {
    match op {
        DiskOp::Length(length) => content.resize(*length, 0),
        DiskOp::Write { at, bytes } => overwrite(content, *at, bytes),
    }
}

/// Writes the bytes before the end; the file does not have those after it.
fn overwrite(content: &mut [u8], at: usize, bytes: &[u8]) {
    let end = content.len().min(at + bytes.len());
    if let Some(place) = content.get_mut(at..end) {
        place.copy_from_slice(&bytes[..place.len()]);
    }
}

fn place(offset: u64) -> io::Result<usize> {
    usize::try_from(offset).map_err(|_| Errno::INVAL.into())
}

impl StorageBackend for FaultyDisk {
    fn len(&self) -> io::Result<u64> {
        let state = self.state();
        if state.stopped || state.reads_fail {
            return Err(Errno::IO.into());
        }
        Ok(state.files[self.file as usize].seen.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let state = self.state();
        if state.stopped || state.reads_fail {
            return Err(Errno::IO.into());
        }
        let at = place(offset)?;
        let found = state.files[self.file as usize]
            .seen
            .get(at..)
            .and_then(|rest| rest.get(..out.len()))
            .ok_or(io::ErrorKind::UnexpectedEof)?;
        out.copy_from_slice(found);
        Ok(())
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        let (mut state, answers) = self.change()?;
        state.files[self.file as usize].apply(DiskOp::Length(place(length)?));
        answers.then_some(()).ok_or(Errno::IO.into())
    }

    fn sync_data(&self) -> io::Result<()> {
        let (mut state, answers) = self.change()?;
        if !answers || state.syncs_fail {
            return Err(Errno::IO.into());
        }
        state.syncs += 1;
        let file = &mut state.files[self.file as usize];
        for op in std::mem::take(&mut file.volatile) {
            put(&mut file.durable, &op);
        }
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let (mut state, answers) = self.change()?;
        let at = place(offset)?;
        if at + data.len() > state.files[self.file as usize].seen.len() {
            return Err(Errno::INVAL.into());
        }
        let fits = state.space.map_or(data.len(), |left| left.min(data.len()));
        if let Some(left) = &mut state.space {
            *left -= fits;
        }
        state.files[self.file as usize].apply(DiskOp::Write {
            at,
            bytes: data[..fits].to_vec(),
        });
        if fits < data.len() {
            return Err(Errno::NOSPC.into());
        }
        answers.then_some(()).ok_or(Errno::IO.into())
    }
}
