//! The one place that changes anything: applies writes in order, makes them durable, then shows them.
//!
//! With a disk, a thread of its own gathers what has queued up while the disk was busy and commits it at
//! once: one wait for the disk serves every writer (group commit). Without one, a write is carried out
//! where it was asked for. Nothing is acknowledged, read or watched before it is durable.

use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, oneshot};

use crate::disk::{Batch, Disk, DiskError, Image};
use crate::error::StoreError;
use crate::mvcc::{Command, Reply};
use crate::shared::Shared;

/// Writes that may wait for the writer before their senders do.
const QUEUE: usize = 1024;
/// At most this many writes share a commit.
const MOST_TOGETHER: usize = 1024;
/// A disk that failed is tried again this often, when somebody wants to write.
const RETRY_EVERY: Duration = Duration::from_secs(1);

/// Opens the disk, the first time and again after it failed.
pub(crate) type Opener = Box<dyn FnMut() -> Result<(Box<dyn Disk>, Image), DiskError> + Send>;

/// How writes are carried out.
pub(crate) enum Writer {
    /// Where they are asked for, one at a time.
    Here(Mutex<()>),
    /// By a thread that owns the disk.
    Thread {
        queue: mpsc::Sender<Job>,
        thread: Mutex<Option<JoinHandle<()>>>,
    },
}

/// Something for the writer's thread to do.
pub(crate) enum Job {
    Write(Command, oneshot::Sender<Result<Reply, StoreError>>),
    Close,
}

impl Writer {
    /// Without a disk.
    pub(crate) const fn here() -> Self {
        Self::Here(Mutex::new(()))
    }

    /// With an open disk.
    pub(crate) fn start(
        shared: Arc<Shared>,
        disk: Box<dyn Disk>,
        opener: Opener,
    ) -> std::io::Result<Self> {
        let (queue, jobs) = mpsc::channel(QUEUE);
        let thread = std::thread::Builder::new()
            .name("store-writer".into())
            .spawn(move || {
                Keeper {
                    shared,
                    disk: Holding::Open(disk),
                    opener,
                }
                .run(jobs);
            })?;
        Ok(Self::Thread {
            queue,
            thread: Mutex::new(Some(thread)),
        })
    }

    /// Carries a write out. Returns when it is durable. A caller that goes away meanwhile changes nothing
    /// about the write.
    pub(crate) async fn write(
        &self,
        shared: &Shared,
        command: Command,
    ) -> Result<Reply, StoreError> {
        match self {
            Self::Here(turn) => {
                let _turn = turn.lock().unwrap_or_else(PoisonError::into_inner);
                let reply = shared.apply(command);
                let batch = shared.take_batch();
                shared.publish(&batch);
                while let Some(batch) = shared.compact_overdue() {
                    shared.publish(&batch);
                }
                reply
            }
            Self::Thread { queue, .. } => {
                let (reply, answer) = oneshot::channel();
                let sent = queue.send(Job::Write(command, reply)).await;
                sent.map_err(|_| StoreError::Stopped)?;
                answer.await.map_err(|_| StoreError::Stopped)?
            }
        }
    }

    /// Finishes what is queued and closes the disk.
    pub(crate) async fn close(&self) {
        let Self::Thread { queue, thread } = self else {
            return;
        };
        let _ = queue.send(Job::Close).await;
        let thread = thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread {
            let _ = tokio::task::spawn_blocking(move || thread.join()).await;
        }
    }
}

/// The disk as the writer has it.
enum Holding {
    Open(Box<dyn Disk>),
    /// It failed, and was last tried then.
    Failed(Instant),
}

/// The writer's thread.
struct Keeper {
    shared: Arc<Shared>,
    disk: Holding,
    opener: Opener,
}

impl Keeper {
    fn run(mut self, mut jobs: mpsc::Receiver<Job>) {
        let mut open = true;
        while open && let Some(first) = jobs.blocking_recv() {
            let mut writes = Vec::new();
            let mut next = Some(first);
            while let Some(job) = next {
                match job {
                    Job::Write(command, reply) => writes.push((command, reply)),
                    Job::Close => {
                        open = false;
                        break;
                    }
                }
                next = if writes.len() < MOST_TOGETHER {
                    jobs.try_recv().ok()
                } else {
                    None
                };
            }
            self.carry_out(writes);
        }
    }

    fn carry_out(&mut self, writes: Vec<(Command, oneshot::Sender<Result<Reply, StoreError>>)>) {
        if let Err(refused) = self.ready() {
            for (_, reply) in writes {
                let _ = reply.send(Err(refused.clone()));
            }
            return;
        }
        let mut answers = Vec::with_capacity(writes.len());
        for (command, reply) in writes {
            answers.push((reply, self.shared.apply(command)));
        }
        let outcome = self.commit(&self.shared.take_batch());
        for (reply, answer) in answers {
            // Whoever asked may be gone; the write stays.
            let _ = reply.send(outcome.clone().and(answer));
        }
        while outcome.is_ok()
            && let Some(batch) = self.shared.compact_overdue()
        {
            if self.commit(&batch).is_err() {
                break;
            }
        }
    }

    fn commit(&mut self, batch: &Batch) -> Result<(), StoreError> {
        if batch.is_empty() {
            return Ok(());
        }
        let Holding::Open(disk) = &mut self.disk else {
            return Err(StoreError::Stopped);
        };
        match disk.commit(batch) {
            Ok(()) => {
                self.shared.set_size(disk.size());
                self.shared.publish(batch);
                Ok(())
            }
            Err(error) => {
                let reason = error.to_string();
                tracing::error!(%reason, "the store's disk failed; nothing can be written until it is back");
                self.shared.set_read_only(Some(reason.clone()));
                // Closing it lets go of the file, so that it can be opened anew.
                self.disk = Holding::Failed(Instant::now());
                Err(StoreError::DiskFailed(reason))
            }
        }
    }

    /// Opens the disk again if it failed and is due for another try.
    fn ready(&mut self) -> Result<(), StoreError> {
        let Holding::Failed(tried) = &mut self.disk else {
            return Ok(());
        };
        let refused = |shared: &Shared| {
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
                self.disk = Holding::Open(disk);
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
