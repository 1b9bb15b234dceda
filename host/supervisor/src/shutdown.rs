//! Requests for a host's shutdown: first orderly, then at once. Signals are one source of them.
//!
//! Only forwards requests; the supervisor acts on them.

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use crate::supervisor::Order;

/// Requests that one host receives.
pub struct Ending {
    /// Requests, for the supervisor.
    pub(crate) orders: mpsc::Receiver<Order>,
    /// Cancelled by the first request.
    pub stopping: CancellationToken,
    /// Cancelled by the second request.
    pub aborting: CancellationToken,
    /// Cancelled when the host has been cut off from its store for good.
    pub cut_off: CancellationToken,
}

/// Handle for sending requests to one host. Cheap to clone.
#[derive(Clone)]
pub struct Asker {
    /// Requests, for the supervisor.
    orders: mpsc::Sender<Order>,
    stopping: CancellationToken,
    aborting: CancellationToken,
    cut_off: CancellationToken,
}

/// Returns a handle and the requests that it sends to.
pub fn ending() -> (Asker, Ending) {
    // One request of each kind, and room to spare: a sender never waits.
    let (orders, order_box) = mpsc::channel(4);
    let asker = Asker {
        orders,
        stopping: CancellationToken::new(),
        aborting: CancellationToken::new(),
        cut_off: CancellationToken::new(),
    };
    let ending = Ending {
        orders: order_box,
        stopping: asker.stopping.clone(),
        aborting: asker.aborting.clone(),
        cut_off: asker.cut_off.clone(),
    };
    (asker, ending)
}

impl Asker {
    /// Stops guests in their grace time, then gives the locks back. A repeated call changes nothing.
    pub fn stop(&self, reason: &'static str) {
        if !self.stopping.is_cancelled() {
            self.stopping.cancel();
            // A host that has ended needs no order.
            let _ = self.orders.try_send(Order::Stop(reason));
        }
    }

    /// Stops guests at once. A repeated call changes nothing.
    pub fn abort(&self) {
        if !self.aborting.is_cancelled() {
            self.stopping.cancel();
            let _ = self.orders.try_send(Order::Abort);
            self.aborting.cancel();
        }
    }

    /// Stops guests at once and cleans up without requests to the store, which the host no longer reaches.
    pub fn give_up(&self) {
        self.cut_off.cancel();
        self.stopping.cancel();
        let _ = self.orders.try_send(Order::Abort);
    }
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
    pub fn drive(mut self, asker: Asker) -> AbortOnDropHandle<()> {
        AbortOnDropHandle::new(tokio::spawn(async move {
            let name = self.next().await;
            if name != AT_ONCE {
                asker.stop(name);
                self.next().await;
            }
            asker.abort();
        }))
    }
}
