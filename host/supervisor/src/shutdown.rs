//! Requests for a host's shutdown: first orderly, then at once. Signals are one source of them.
//!
//! Only forwards requests; the supervisor acts on them.

use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use crate::end::HostEnd;

/// Time that a shutdown which was cut short still waits for the store. Entries that are not given back by then are
/// deleted with their lease; guests have stopped before, however long that took.
const LAST_PATIENCE: Duration = Duration::from_millis(500);

/// Request to a running host, from an operator or the system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ShutdownRequest {
    /// Stop guests in their grace time, then release.
    Stop(&'static str),
    /// Stop guests now, then release.
    Abort,
}

/// Requests that one host receives.
pub struct Shutdown {
    /// Requests, for the supervisor.
    pub(crate) requests: mpsc::Receiver<ShutdownRequest>,
    /// Cancelled by the first request.
    pub stopping: CancellationToken,
    /// Cancelled by the second request.
    pub aborting: CancellationToken,
    /// Cancelled when the host has been cut off from its store for good.
    pub cut_off: CancellationToken,
}

/// Handle for sending requests to one host. Cheap to clone.
#[derive(Clone)]
pub struct ShutdownHandle {
    /// Requests, for the supervisor.
    requests: mpsc::Sender<ShutdownRequest>,
    stopping: CancellationToken,
    aborting: CancellationToken,
    cut_off: CancellationToken,
}

/// Returns a handle and the requests that it sends to.
pub fn shutdown_channel() -> (ShutdownHandle, Shutdown) {
    // One request of each kind, and room to spare: a sender never waits.
    let (requests, order_box) = mpsc::channel(4);
    let shutdown_handle = ShutdownHandle {
        requests,
        stopping: CancellationToken::new(),
        aborting: CancellationToken::new(),
        cut_off: CancellationToken::new(),
    };
    let shutdown = Shutdown {
        requests: order_box,
        stopping: shutdown_handle.stopping.clone(),
        aborting: shutdown_handle.aborting.clone(),
        cut_off: shutdown_handle.cut_off.clone(),
    };
    (shutdown_handle, shutdown)
}

impl Shutdown {
    /// Waits for the first request to a host that has not started, and returns its end with the request's name.
    pub async fn requested(&mut self) -> (HostEnd, &'static str) {
        match self.requests.recv().await {
            Some(ShutdownRequest::Stop(reason)) => (HostEnd::Done, reason),
            Some(ShutdownRequest::Abort) => (HostEnd::Aborted, AT_ONCE),
            // No request can arrive any more.
            None => std::future::pending().await,
        }
    }
}

impl ShutdownHandle {
    /// Stops guests in their grace time, then gives the locks back. A repeated call changes nothing.
    pub fn stop(&self, reason: &'static str) {
        if !self.stopping.is_cancelled() {
            self.stopping.cancel();
            // A host that has ended needs no request.
            let _ = self.requests.try_send(ShutdownRequest::Stop(reason));
        }
    }

    /// Stops guests at once. A repeated call changes nothing.
    pub fn abort(&self) {
        if !self.aborting.is_cancelled() {
            self.stopping.cancel();
            let _ = self.requests.try_send(ShutdownRequest::Abort);
            self.aborting.cancel();
        }
    }

    /// Stops guests at once and cleans up without requests to the store, which the host no longer reaches.
    pub fn give_up(&self) {
        self.cut_off.cancel();
        self.stopping.cancel();
        let _ = self.requests.try_send(ShutdownRequest::Abort);
    }
}

/// Resolves when a second signal has cut the shutdown short and the store has had its last time to answer.
pub async fn cut_short(aborting: &CancellationToken) {
    aborting.cancelled().await;
    tokio::time::sleep(LAST_PATIENCE).await;
}

/// The signal that requests an immediate stop of guests.
pub const AT_ONCE: &str = "SIGQUIT";

/// Signals that end a command. While this exists they do not end the process by themselves.
pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
    quit: Signal,
}

impl Signals {
    /// Takes over the signals.
    ///
    /// # Errors
    ///
    /// The handlers cannot be installed.
    pub fn new() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            quit: signal(SignalKind::quit())?,
        })
    }

    /// Returns the name of the next signal.
    pub async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
            _ = self.quit.recv() => AT_ONCE,
        }
    }

    /// Sends a request to stop at the first signal, and one to stop at once at the second or at SIGQUIT.
    pub fn drive(mut self, shutdown_handle: ShutdownHandle) -> AbortOnDropHandle<()> {
        AbortOnDropHandle::new(tokio::spawn(async move {
            let name = self.next().await;
            if name != AT_ONCE {
                shutdown_handle.stop(name);
                self.next().await;
            }
            shutdown_handle.abort();
        }))
    }
}
