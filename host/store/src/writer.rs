//! The writer: applies writes in order, makes them durable, then shows them to readers. Nothing else changes the
//! state.
//!
//! While the disk is busy, writes queue up; a thread then gathers them and commits them at once, so that one wait
//! for the disk serves many writes (group commit). A write that finds the disk idle runs on the caller's thread, if
//! that thread is the store's: waking a thread and being woken by it costs as much as a fast disk. Without a disk
//! every write runs on the caller's thread. Nothing is acknowledged, read or watched before it is durable.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, oneshot};

use crate::budget::RequestTicket;
use crate::disk::{CommitBatch, Disk, DiskError, DiskImage};
use crate::error::StoreError;
use crate::mvcc::{WriteCommand, WriteReply};
use crate::own_runtime::OwnRuntime;
use crate::shared_state::SharedState;

/// Writes in the writer's queue; further senders wait.
const QUEUE_LENGTH: usize = 1024;
/// The most writes that share a commit.
const MAX_SHARED_COMMIT: usize = 1024;
/// Shortest time between two attempts to open a failed disk; an attempt is made when a write arrives.
const RETRY_EVERY: Duration = Duration::from_secs(1);

/// Opens the disk, the first time and again after it failed.
pub(crate) type DiskOpener =
    Box<dyn FnMut() -> Result<(Box<dyn Disk>, DiskImage), DiskError> + Send>;

/// The writer, in memory or on a disk.
pub(crate) enum StoreWriter {
    /// In memory only: writes run on the caller's thread, one at a time.
    Memory(Mutex<()>),
    /// On a disk: a write runs on the caller's thread if the disk is idle, else on the writer's.
    Disk {
        executor: Arc<Mutex<WriteExecutor>>,
        queue: mpsc::Sender<StoreWriterJob>,
        /// Number of writes that are queued, or taken from the queue and not yet carried out.
        queued_writes: Arc<AtomicUsize>,
        thread: Mutex<Option<JoinHandle<()>>>,
        own_runtime: OwnRuntime,
    },
}

/// Work for the writer's thread.
pub(crate) enum StoreWriterJob {
    Write(QueuedWrite),
    Defragment(oneshot::Sender<Result<(), StoreError>>),
    Close,
}

/// A write, the ticket of its request, and the channel for its outcome.
pub(crate) struct QueuedWrite {
    command: WriteCommand,
    ticket: Option<RequestTicket>,
    reply: oneshot::Sender<Result<WriteReply, StoreError>>,
}

impl StoreWriter {
    /// Creates a writer without a disk.
    pub(crate) const fn in_memory() -> Self {
        Self::Memory(Mutex::new(()))
    }

    /// Creates a writer with an open disk, and starts its thread.
    pub(crate) fn start(
        shared: Arc<SharedState>,
        disk: Box<dyn Disk>,
        opener: DiskOpener,
    ) -> std::io::Result<Self> {
        let (queue, jobs) = mpsc::channel(QUEUE_LENGTH);
        let executor = Arc::new(Mutex::new(WriteExecutor {
            shared,
            disk: DiskState::Open(disk),
            opener,
        }));
        let queued_writes = Arc::new(AtomicUsize::new(0));
        let (kept, counted) = (Arc::clone(&executor), Arc::clone(&queued_writes));
        let thread = std::thread::Builder::new()
            .name("store-writer".into())
            .spawn(move || run(&kept, jobs, &counted))?;
        Ok(Self::Disk {
            executor,
            queue,
            queued_writes,
            thread: Mutex::new(Some(thread)),
            own_runtime: OwnRuntime::current(),
        })
    }

    /// Carries a write out. Returns when it is durable. Dropping the call does not affect the write.
    pub(crate) async fn write(
        &self,
        shared: &SharedState,
        command: WriteCommand,
        ticket: Option<RequestTicket>,
    ) -> Result<WriteReply, StoreError> {
        match self {
            Self::Memory(turn) => {
                let _turn = lock(turn);
                if let Some(batch) = shared.make_room(&command) {
                    shared.publish(&batch);
                }
                let reply = shared.apply(command, ticket.as_ref());
                shared.publish(&shared.take_batch());
                if let Some(batch) = shared.compact_overdue() {
                    shared.publish(&batch);
                }
                reply
            }
            Self::Disk {
                executor,
                queue,
                queued_writes,
                own_runtime,
                ..
            } => {
                // A write must not overtake queued ones.
                if queued_writes.load(Ordering::Acquire) == 0
                    && own_runtime.may_block()
                    && let Ok(mut executor) = executor.try_lock()
                {
                    return executor.execute_one(command, ticket.as_ref());
                }
                let (reply, answer) = oneshot::channel();
                let slot = queue.reserve().await.map_err(|_| StoreError::Stopped)?;
                queued_writes.fetch_add(1, Ordering::AcqRel);
                slot.send(StoreWriterJob::Write(QueuedWrite {
                    command,
                    ticket,
                    reply,
                }));
                answer.await.map_err(|_| StoreError::Stopped)?
            }
        }
    }

    /// Returns unused disk space to the file system, in the queue's order. Without a disk it does nothing.
    pub(crate) async fn defragment(&self) -> Result<(), StoreError> {
        let Self::Disk { queue, .. } = self else {
            return Ok(());
        };
        let (reply, answer) = oneshot::channel();
        let sent = queue.send(StoreWriterJob::Defragment(reply)).await;
        sent.map_err(|_| StoreError::Stopped)?;
        answer.await.map_err(|_| StoreError::Stopped)?
    }

    /// Finishes the queued work and closes the disk.
    pub(crate) async fn close(&self) {
        let Self::Disk { queue, thread, .. } = self else {
            return;
        };
        let _ = queue.send(StoreWriterJob::Close).await;
        let thread = lock(thread).take();
        if let Some(thread) = thread {
            let _ = tokio::task::spawn_blocking(move || thread.join()).await;
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

type Answer = (
    oneshot::Sender<Result<WriteReply, StoreError>>,
    Result<WriteReply, StoreError>,
);

/// Loop of the writer's thread: carries out queued writes, until a job closes the disk.
fn run(
    executor: &Mutex<WriteExecutor>,
    mut jobs: mpsc::Receiver<StoreWriterJob>,
    queued_writes: &AtomicUsize,
) {
    let mut open = true;
    while open && let Some(first) = jobs.blocking_recv() {
        // While another thread has the executor, more writes queue up, which then share the next commit.
        let mut executor = lock(executor);
        let (mut writes, mut defragment) = (Vec::new(), None);
        let mut next = Some(first);
        while let Some(job) = next {
            match job {
                StoreWriterJob::Write(write) => writes.push(write),
                StoreWriterJob::Defragment(reply) => {
                    defragment = Some(reply);
                    break;
                }
                StoreWriterJob::Close => {
                    open = false;
                    break;
                }
            }
            next = if writes.len() < MAX_SHARED_COMMIT {
                jobs.try_recv().ok()
            } else {
                None
            };
        }
        let count = writes.len();
        executor.execute_all(writes);
        queued_writes.fetch_sub(count, Ordering::AcqRel);
        if let Some(reply) = defragment {
            let _ = reply.send(executor.defragment());
        }
        if !open {
            jobs.close();
            executor.close();
        }
    }
}

/// State of the disk.
enum DiskState {
    Open(Box<dyn Disk>),
    /// It failed; the time of the last attempt to open it.
    Failed(Instant),
    /// The store is closed.
    Closed,
}

/// The disk and its state. The owner of its lock carries writes out.
pub(crate) struct WriteExecutor {
    shared: Arc<SharedState>,
    disk: DiskState,
    opener: DiskOpener,
}

impl WriteExecutor {
    /// Closes the disk, and drops the claim on its directory, which the opener holds.
    fn close(&mut self) {
        self.disk = DiskState::Closed;
        self.opener = Box::new(|| {
            Err(DiskError::Stopped {
                location: "the store, which is closed".into(),
            })
        });
    }

    fn execute_one(
        &mut self,
        command: WriteCommand,
        ticket: Option<&RequestTicket>,
    ) -> Result<WriteReply, StoreError> {
        self.ensure_open()?;
        self.make_room(&command)?;
        let answer = self.shared.apply(command, ticket);
        let outcome = self.commit(&self.shared.take_batch());
        self.compact_overdue(&outcome);
        outcome.and(answer)
    }

    fn execute_all(&mut self, writes: Vec<QueuedWrite>) {
        let mut answers = Vec::with_capacity(writes.len());
        let mut ready = self.ensure_open();
        for QueuedWrite {
            command,
            ticket,
            reply,
        } in writes
        {
            if ready.is_ok() && self.shared.is_short(&command) {
                // History is compacted only when all applied changes are published.
                ready = self
                    .answer(std::mem::take(&mut answers))
                    .and_then(|()| self.make_room(&command));
            }
            let answer = match &ready {
                Ok(()) => self.shared.apply(command, ticket.as_ref()),
                Err(refused) => Err(refused.clone()),
            };
            answers.push((reply, answer));
        }
        let outcome = self.answer(answers);
        self.compact_overdue(&outcome);
    }

    /// Makes the applied changes durable, and answers their requests.
    fn answer(&mut self, answers: Vec<Answer>) -> Result<(), StoreError> {
        let outcome = self.commit(&self.shared.take_batch());
        for (reply, answer) in answers {
            // The caller may have dropped its request; the write stays.
            let _ = reply.send(outcome.clone().and(answer));
        }
        outcome
    }

    /// Compacts history for a write that would pass the quota without that.
    fn make_room(&mut self, command: &WriteCommand) -> Result<(), StoreError> {
        match self.shared.make_room(command) {
            Some(batch) => self.commit(&batch),
            None => Ok(()),
        }
    }

    /// Returns unused disk space to the file system.
    fn defragment(&mut self) -> Result<(), StoreError> {
        self.ensure_open()?;
        let DiskState::Open(disk) = &mut self.disk else {
            return Err(StoreError::Stopped);
        };
        match disk.defragment() {
            Ok(()) => {
                self.shared.set_size(disk.size());
                Ok(())
            }
            Err(error) => Err(self.failed(&error)),
        }
    }

    fn compact_overdue(&mut self, outcome: &Result<(), StoreError>) {
        if outcome.is_ok()
            && let Some(batch) = self.shared.compact_overdue()
        {
            // The next write reports a disk that fails now; this one was durable before.
            let _ = self.commit(&batch);
        }
    }

    fn commit(&mut self, batch: &CommitBatch) -> Result<(), StoreError> {
        if batch.is_empty() {
            return Ok(());
        }
        let DiskState::Open(disk) = &mut self.disk else {
            return Err(StoreError::Stopped);
        };
        match disk.commit(batch) {
            Ok(()) => {
                self.shared.set_size(disk.size());
                self.shared.publish(batch);
                Ok(())
            }
            Err(error) => Err(self.failed(&error)),
        }
    }

    fn failed(&mut self, error: &DiskError) -> StoreError {
        let reason = error.to_string();
        tracing::error!(%reason, "the store's disk failed; nothing can be written until it is back");
        self.shared.set_read_only(Some(reason.clone()));
        // Dropping the disk closes the file, so that it can be opened again.
        self.disk = DiskState::Failed(Instant::now());
        StoreError::DiskFailed(reason)
    }

    /// Opens the disk again if it failed and is due for another attempt.
    fn ensure_open(&mut self) -> Result<(), StoreError> {
        let tried = match &mut self.disk {
            DiskState::Open(_) => return Ok(()),
            DiskState::Closed => return Err(StoreError::Stopped),
            DiskState::Failed(tried) => tried,
        };
        let refused = |shared: &SharedState| {
            StoreError::ReadOnly(shared.read_only().unwrap_or_else(|| "closed".into()))
        };
        if tried.elapsed() < RETRY_EVERY {
            return Err(refused(&self.shared));
        }
        *tried = Instant::now();
        match (self.opener)() {
            Ok((disk, image)) if self.shared.reload(&image) => {
                tracing::info!("the store's disk is back; writing again");
                self.shared.set_size(disk.size());
                self.shared.set_read_only(None);
                self.disk = DiskState::Open(disk);
                Ok(())
            }
            Ok(_) => {
                let lost = "the disk came back without writes that were acknowledged";
                self.shared.set_read_only(Some(lost.into()));
                Err(refused(&self.shared))
            }
            Err(error) => {
                self.shared.set_read_only(Some(error.to_string()));
                Err(refused(&self.shared))
            }
        }
    }
}
