//! How a host is asked to end: first politely, then at once. Signals are one way to ask.
//!
//! Only passes requests on; what a host does about them is the supervisor's business.

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use crate::supervisor::Order;

/// What one host listens to.
pub struct Ending {
    /// Requests, for the supervisor.
    pub(crate) orders: mpsc::Receiver<Order>,
    /// Cancelled by the first request.
    pub stopping: CancellationToken,
    /// Cancelled by the second.
    pub aborting: CancellationToken,
    /// Cancelled when the host has been cut off from its store for good.
    pub cut_off: CancellationToken,
}

/// The way to ask one host. Cheap to clone.
#[derive(Clone)]
pub struct Asker {
    /// Requests, for the supervisor.
    orders: mpsc::Sender<Order>,
    stopping: CancellationToken,
    aborting: CancellationToken,
    cut_off: CancellationToken,
}

/// A way to ask, and what it reaches.
pub fn ending() -> (Asker, Ending) {
    // One request of each kind, and room to spare: nobody who asks ever waits.
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
    /// Stops guests in their grace time, then gives the locks back. Asking again changes nothing.
    pub fn stop(&self, reason: &'static str) {
        if !self.stopping.is_cancelled() {
            self.stopping.cancel();
            // A host that has ended needs no order.
            let _ = self.orders.try_send(Order::Stop(reason));
        }
    }

    /// Stops guests at once. Asking again changes nothing.
    pub fn abort(&self) {
        if !self.aborting.is_cancelled() {
            self.stopping.cancel();
            let _ = self.orders.try_send(Order::Abort);
            self.aborting.cancel();
        }
    }

    /// Stops guests at once and tidies up without a word to the store, which the host reaches no more.
    pub fn give_up(&self) {
        self.cut_off.cancel();
        self.stopping.cancel();
        let _ = self.orders.try_send(Order::Abort);
    }
}

/// The signal that asks a host to stop its guests at once.
pub const AT_ONCE: &str = "SIGQUIT";

/// The signals that end a command. While this lives they do not end the process by themselves.
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

    /// The name of the next one.
    pub async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
            _ = self.quit.recv() => AT_ONCE,
        }
    }

    /// Passes the first on as a request to stop and the second, or SIGQUIT, as one to stop at once.
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
