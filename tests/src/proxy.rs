//! A TCP proxy in front of one server that misbehaves on demand, as a bad network would.
//!
//! It never changes, reorders or forges a byte: it delays, holds or cuts. Held bytes arrive once the
//! network is well again, as TCP's retransmissions do; [`FaultProxy::reset`] is what loses them for good.
//! It runs on a thread of its own, so a test may block without stopping the network.

mod mode;
pub(crate) mod peers;
mod relay;
mod trap;

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

pub use mode::Mode;
use trap::Trap;
pub use trap::Trigger;

use crate::wait::eventually;

/// A pause after a failed accept, which otherwise would repeat at once (too many open files).
const ACCEPT_PAUSE: Duration = Duration::from_millis(20);

/// The proxy; dropping it resets every connection and waits until its thread is gone.
#[derive(Debug)]
pub struct FaultProxy {
    scheme: String,
    address: SocketAddr,
    shared: Arc<Shared>,
    cancel: CancellationToken,
    thread: Option<JoinHandle<()>>,
}

/// What the test and the connections share.
#[derive(Debug)]
struct Shared {
    upstream: SocketAddr,
    mode: watch::Sender<Mode>,
    /// Counts resets; a connection that sees it change ends.
    resets: watch::Sender<u64>,
    trap: Trap,
    accepted: AtomicU64,
    open: AtomicU64,
}

impl FaultProxy {
    /// Starts to pass everything to `upstream`, given as an URL (`http://127.0.0.1:2379`) or `127.0.0.1:2379`.
    ///
    /// # Errors
    /// The address is no socket address, or no port or thread could be had.
    pub fn start(upstream: &str) -> Result<Self> {
        let (scheme, authority) = upstream
            .split_once("://")
            .map_or(("", upstream), |(scheme, rest)| (scheme, rest));
        let upstream = authority
            .parse()
            .with_context(|| format!("{authority} is no IP address with a port"))?;
        let listener =
            TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("listening for the proxy")?;
        listener
            .set_nonblocking(true)
            .context("listening for the proxy")?;
        let address = listener
            .local_addr()
            .context("asking for the proxy's port")?;
        let shared = Arc::new(Shared {
            upstream,
            mode: watch::Sender::new(Mode::Pass),
            resets: watch::Sender::new(0),
            trap: Trap::default(),
            accepted: AtomicU64::new(0),
            open: AtomicU64::new(0),
        });
        let cancel = CancellationToken::new();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .context("making a runtime for the proxy")?;
        let (theirs, until) = (Arc::clone(&shared), cancel.clone());
        let thread = std::thread::Builder::new()
            .name("fault-proxy".to_owned())
            .spawn(move || runtime.block_on(serve(listener, theirs, until)))
            .context("starting the proxy's thread")?;
        Ok(Self {
            scheme: scheme.to_owned(),
            address,
            shared,
            cancel,
            thread: Some(thread),
        })
    }

    /// Where clients should connect, with the scheme that the upstream was given with.
    pub fn endpoint(&self) -> String {
        match self.scheme.as_str() {
            "" => self.address.to_string(),
            scheme => format!("{scheme}://{}", self.address),
        }
    }

    /// Changes how the network behaves, for open and new connections.
    ///
    /// A write that is under way when this is called still completes.
    pub fn set(&self, mode: Mode) {
        self.shared.mode.send_replace(mode);
    }

    /// Kills all open connections now (RST both ways), with all bytes they hold. The mode stays.
    pub fn reset(&self) {
        self.shared.resets.send_modify(|count| *count += 1);
    }

    /// Changes the mode to `then` when `trigger` is met, *before* the request that meets it goes on.
    ///
    /// That request is forwarded in any case, so with [`Mode::DropResponses`] it is carried out and its
    /// reply is not seen. Replaces what was armed before. See [`FaultProxy::wait_fired`].
    pub fn arm(&self, trigger: Trigger, then: Mode) {
        self.shared.trap.arm(trigger, then);
    }

    /// Lets the next request bytes through and nothing back from then on.
    ///
    /// "Next" is whatever a client sends next, on any connection, keep-alives too; where that is too
    /// coarse, [`FaultProxy::cut_after_request_with`] looks at what is sent.
    pub fn cut_after_next_request(&self) {
        self.arm(Trigger::Bytes(1), Mode::DropResponses);
    }

    /// Lets the next request that contains `text` through and nothing back from then on. Useless under TLS.
    pub fn cut_after_request_with(&self, text: &str) {
        self.arm(
            Trigger::Contains(text.as_bytes().to_vec()),
            Mode::DropResponses,
        );
    }

    /// Waits until what was armed last has fired and its request was forwarded.
    ///
    /// # Errors
    /// It did not in time.
    pub fn wait_fired(&self, timeout: Duration) -> Result<()> {
        eventually(timeout, "a request that springs the proxy's trap", || {
            ensure!(self.shared.trap.has_fired(), "none came");
            Ok(())
        })
    }

    /// How many connections were accepted since the start.
    pub fn accepted(&self) -> u64 {
        self.shared.accepted.load(Ordering::Relaxed)
    }

    /// How many connections are open.
    pub fn open(&self) -> u64 {
        self.shared.open.load(Ordering::Relaxed)
    }
}

impl Drop for FaultProxy {
    fn drop(&mut self) {
        self.cancel.cancel();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

async fn serve(listener: TcpListener, shared: Arc<Shared>, cancel: CancellationToken) {
    let Ok(listener) = tokio::net::TcpListener::from_std(listener) else {
        return;
    };
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            () = cancel.cancelled() => break,
            Some(_) = connections.join_next(), if !connections.is_empty() => {}
            accepted = listener.accept() => match accepted {
                Ok((client, _)) => {
                    shared.accepted.fetch_add(1, Ordering::Relaxed);
                    // Subscribed here, so that a reset right after the accept is not missed.
                    let resets = shared.resets.subscribe();
                    connections.spawn(relay::connection(client, Arc::clone(&shared), resets, cancel.clone()));
                }
                Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
            },
        }
    }
    while connections.join_next().await.is_some() {}
}
