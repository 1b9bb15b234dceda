//! The guard: one thread with a runtime of its own, where leases are renewed and locks are watched.
//!
//! Guests can keep every worker of the main runtime busy. Renewals and watches must not wait for
//! them, so they never run there. Nothing on this thread may block or compute for long.

use std::future::Future;
use std::io;
use std::sync::{Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// How long closing waits for the last clean-ups to reach the store.
const CLOSE_PATIENCE: Duration = Duration::from_secs(2);

/// The thread and everything that runs on it.
#[derive(Debug)]
pub(crate) struct Guard {
    handle: Handle,
    tasks: TaskTracker,
    cancel: CancellationToken,
    finish: CancellationToken,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Guard {
    pub(crate) fn start() -> io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        let tasks = TaskTracker::new();
        let cancel = CancellationToken::new();
        let finish = CancellationToken::new();
        let thread = std::thread::Builder::new()
            .name("leasehold-guard".into())
            .spawn({
                let (tasks, finish) = (tasks.clone(), finish.clone());
                move || {
                    runtime.block_on(async move {
                        finish.cancelled().await;
                        tasks.close();
                        // What is still running after this is dropped with the runtime.
                        let _ = tokio::time::timeout(CLOSE_PATIENCE, tasks.wait()).await;
                    });
                }
            })?;
        Ok(Self {
            handle,
            tasks,
            cancel,
            finish,
            thread: Mutex::new(Some(thread)),
        })
    }

    /// Told to every long-lived task: stop when this is cancelled.
    pub(crate) const fn cancel_token(&self) -> &CancellationToken {
        &self.cancel
    }

    /// Runs a task here; the guard owns it and ends it when the guard closes.
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        // The handle belongs to the tracker, which waits for it when the guard closes.
        drop(self.tasks.spawn_on(task, &self.handle));
    }

    /// Runs `work` here and hands back its result; `None` when the guard is closing.
    ///
    /// The work goes on if the caller stops waiting, so it must be worth finishing.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> Option<T> {
        let (tell, told) = oneshot::channel();
        self.spawn(async move {
            let _ = tell.send(work.await);
        });
        told.await.ok()
    }

    /// Ends every task, lets clean-ups finish, and joins the thread.
    pub(crate) async fn close(&self) {
        self.cancel.cancel();
        self.finish.cancel();
        let thread = self
            .thread
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(thread) = thread {
            let _ = tokio::task::spawn_blocking(move || thread.join()).await;
        }
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.cancel.cancel();
        self.finish.cancel();
    }
}
