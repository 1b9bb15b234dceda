//! The lease thread: one thread with a runtime of its own, where leases are renewed and locks are watched.
//!
//! Guests can keep every worker of the main runtime busy. Renewals and watches must not wait for them, so they never
//! run there. Nothing on this thread may block or compute for long.
//!
//! All clients of a process share the thread: messages from the store are what wakes it often, and one wake-up serves
//! all that have arrived. It ends with the last client.

use std::future::Future;
use std::io;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Limit for the last clean-ups at closing.
const CLOSE_PATIENCE: Duration = Duration::from_secs(2);

/// The thread, while any client uses it.
static SHARED: Mutex<Weak<SharedThread>> = Mutex::new(Weak::new());

#[derive(Debug)]
struct SharedThread {
    handle: Handle,
    finish: CancellationToken,
    joined: Option<JoinHandle<()>>,
}

impl SharedThread {
    fn shared() -> io::Result<Arc<Self>> {
        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(thread) = shared.upgrade() {
            return Ok(thread);
        }
        let thread = Arc::new(Self::start()?);
        *shared = Arc::downgrade(&thread);
        Ok(thread)
    }

    fn start() -> io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        let finish = CancellationToken::new();
        let finished = finish.clone().cancelled_owned();
        let joined = std::thread::Builder::new()
            .name("leasehold-guard".into())
            .spawn(move || runtime.block_on(finished))?;
        Ok(Self {
            handle,
            finish,
            joined: Some(joined),
        })
    }

    async fn join(mut self) {
        self.finish.cancel();
        if let Some(thread) = self.joined.take() {
            let _ = tokio::task::spawn_blocking(move || thread.join()).await;
        }
    }
}

impl Drop for SharedThread {
    /// Does not wait for the thread, which may itself be the one that drops it.
    fn drop(&mut self) {
        self.finish.cancel();
    }
}

/// One client's share of the thread, and everything of the client that runs there.
#[derive(Debug)]
pub(crate) struct LeaseThread {
    thread: Mutex<Option<Arc<SharedThread>>>,
    handle: Handle,
    tasks: TaskTracker,
    cancel: CancellationToken,
    /// Drops the tasks that still run after `cancel`.
    abort: CancellationToken,
}

impl LeaseThread {
    pub(crate) fn start() -> io::Result<Self> {
        let thread = SharedThread::shared()?;
        Ok(Self {
            handle: thread.handle.clone(),
            thread: Mutex::new(Some(thread)),
            tasks: TaskTracker::new(),
            cancel: CancellationToken::new(),
            abort: CancellationToken::new(),
        })
    }

    /// The signal for long-lived tasks to stop.
    pub(crate) const fn cancel_token(&self) -> &CancellationToken {
        &self.cancel
    }

    /// Runs a task on this thread. The task ends at the latest when the client closes.
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let abort = self.abort.clone();
        let task = async move {
            tokio::select! {
                () = task => {}
                () = abort.cancelled_owned() => {}
            }
        };
        // The tracker has the handle, and waits for it at closing.
        drop(self.tasks.spawn_on(task, &self.handle));
    }

    /// Runs `work` on this thread and returns its result; `None` when the client is closing.
    ///
    /// The work continues if the caller stops waiting, so it must be worth finishing.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> Option<T> {
        let (sender, receiver) = oneshot::channel();
        self.spawn(async move {
            let _ = sender.send(work.await);
        });
        receiver.await.ok()
    }

    /// Ends every task, lets clean-ups finish, and joins the thread if this was the last client.
    pub(crate) async fn close(&self) {
        self.cancel.cancel();
        self.tasks.close();
        let finished = tokio::time::timeout(CLOSE_PATIENCE, self.tasks.wait()).await;
        if finished.is_err() {
            self.abort.cancel();
            self.tasks.wait().await;
        }
        let thread = self
            .thread
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(thread) = thread.and_then(Arc::into_inner) {
            thread.join().await;
        }
    }
}

impl Drop for LeaseThread {
    fn drop(&mut self) {
        self.cancel.cancel();
        self.abort.cancel();
    }
}
