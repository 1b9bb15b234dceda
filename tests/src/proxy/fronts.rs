//! Listening side of a proxy: ports on loopback, a thread that accepts on them, and a task for each connection.
//!
//! The thread is separate, so a test may block without stopping the network.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

/// Pause after a failed accept, which would otherwise repeat at once (too many open files).
const ACCEPT_PAUSE: Duration = Duration::from_millis(20);

/// Destination of accepted connections, and the network on the way there.
pub(super) trait Route: Send + Sync + 'static {
    /// Carries a connection to the front of this number until either side ends it.
    ///
    /// The connection to the server is put into `server`, where the caller can reset it.
    fn carry(
        &self,
        front: usize,
        client: &mut TcpStream,
        server: &mut Option<TcpStream>,
    ) -> impl Future<Output = io::Result<()>> + Send;
}

/// Listening ports; dropping them resets every connection and joins the thread.
#[derive(Debug)]
pub(super) struct Fronts {
    addresses: Vec<SocketAddr>,
    shared: Arc<Shared>,
    cancel: CancellationToken,
    thread: Option<JoinHandle<()>>,
}

/// State that the owner and the connections share.
#[derive(Debug, Default)]
struct Shared {
    /// Count of resets; a connection that sees it change ends.
    resets: watch::Sender<u64>,
    accepted: AtomicU64,
    open: AtomicU64,
}

impl Fronts {
    /// Listens on `count` ports and carries their connections by `route`. `name` is the thread's.
    pub(super) fn start(name: &str, count: usize, route: Arc<impl Route>) -> Result<Self> {
        let listeners = (0..count).map(|_| listen()).collect::<Result<Vec<_>>>();
        let listeners = listeners.with_context(|| format!("listening for the {name}"))?;
        let addresses = listeners
            .iter()
            .map(TcpListener::local_addr)
            .collect::<io::Result<Vec<_>>>()
            .with_context(|| format!("reading the ports of the {name}"))?;
        let shared = Arc::new(Shared::default());
        let cancel = CancellationToken::new();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .with_context(|| format!("making a runtime for the {name}"))?;
        let (theirs, until) = (Arc::clone(&shared), cancel.clone());
        let thread = std::thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || runtime.block_on(serve(listeners, route, theirs, until)))
            .with_context(|| format!("starting the thread of the {name}"))?;
        Ok(Self {
            addresses,
            shared,
            cancel,
            thread: Some(thread),
        })
    }

    /// Addresses of the ports, in the order of their numbers.
    pub(super) fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Resets all open connections (RST both ways), with all bytes they hold.
    pub(super) fn reset(&self) {
        self.shared.resets.send_modify(|count| *count += 1);
    }

    /// Number of connections accepted since the start.
    pub(super) fn accepted(&self) -> u64 {
        self.shared.accepted.load(Ordering::Relaxed)
    }

    /// Number of open connections.
    pub(super) fn open(&self) -> u64 {
        self.shared.open.load(Ordering::Relaxed)
    }
}

impl Drop for Fronts {
    fn drop(&mut self) {
        self.cancel.cancel();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn listen() -> Result<TcpListener> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

async fn serve(
    listeners: Vec<TcpListener>,
    route: Arc<impl Route>,
    shared: Arc<Shared>,
    cancel: CancellationToken,
) {
    let mut fronts = JoinSet::new();
    for (front, listener) in listeners.into_iter().enumerate() {
        let (route, shared) = (Arc::clone(&route), Arc::clone(&shared));
        fronts.spawn(accept(listener, front, route, shared, cancel.clone()));
    }
    while fronts.join_next().await.is_some() {}
}

/// Accepts connections to one front until the owner ends.
async fn accept(
    listener: TcpListener,
    front: usize,
    route: Arc<impl Route>,
    shared: Arc<Shared>,
    cancel: CancellationToken,
) {
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
                    let (route, shared) = (Arc::clone(&route), Arc::clone(&shared));
                    connections.spawn(connect(client, front, route, shared, resets, cancel.clone()));
                }
                Err(_) => sleep(ACCEPT_PAUSE).await,
            },
        }
    }
    while connections.join_next().await.is_some() {}
}

/// Carries one connection until either side ends it, it is reset, or the owner ends.
async fn connect(
    mut client: TcpStream,
    front: usize,
    route: Arc<impl Route>,
    shared: Arc<Shared>,
    mut resets: watch::Receiver<u64>,
    cancel: CancellationToken,
) {
    let _open = OpenConnection::count(&shared);
    let mut server = None;
    let graceful = tokio::select! {
        () = cancel.cancelled() => false,
        _ = resets.changed() => false,
        carried = route.carry(front, &mut client, &mut server) => carried.is_ok(),
    };
    if !graceful {
        // With no time to linger, closing sends RST.
        let _ = client.set_zero_linger();
        if let Some(server) = &server {
            let _ = server.set_zero_linger();
        }
    }
}

/// Counts a connection as open while it lives.
struct OpenConnection<'a>(&'a Shared);

impl<'a> OpenConnection<'a> {
    fn count(shared: &'a Shared) -> Self {
        shared.open.fetch_add(1, Ordering::Relaxed);
        Self(shared)
    }
}

impl Drop for OpenConnection<'_> {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::Relaxed);
    }
}
