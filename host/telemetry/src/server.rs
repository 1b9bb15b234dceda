//! The HTTP server: one thread with bounded connections, apart from the workers that run guests.
//!
//! - `answer`: from a path to a response
//! - `connection`: one connection and its limits

mod answer;
mod connection;
#[cfg(test)]
mod tests;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use crate::telemetry::Telemetry;

/// Number of connections at once. A scrape of a thousand jobs takes about 6 MB of memory while it is sent.
const MOST_CONNECTIONS: usize = 16;
/// Pause after a failed accept, as when the process has no descriptor left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Interval of the heartbeats of the main runtime.
const HEARTBEAT: Duration = Duration::from_secs(1);

/// Reason that the server cannot start.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}: {source}")]
pub struct ListenError {
    /// The address of the configuration.
    pub address: SocketAddr,
    /// The system's error.
    #[source]
    pub source: io::Error,
}

impl ListenError {
    /// True if another process, or another part of this one, listens there already.
    pub fn is_in_use(&self) -> bool {
        self.source.kind() == io::ErrorKind::AddrInUse
    }
}

/// A running server. Dropping it requests its end; [`TelemetryServer::finish`] waits for it.
pub struct TelemetryServer {
    address: SocketAddr,
    cancel: CancellationToken,
    thread: Option<JoinHandle<()>>,
    /// Shows that the main runtime makes progress.
    _heartbeat: AbortOnDropHandle<()>,
}

impl TelemetryServer {
    /// Listens at `address`, and serves until it is dropped. Must be called on the main runtime.
    ///
    /// # Errors
    ///
    /// The address cannot be listened on, or the thread cannot be started.
    pub fn start(telemetry: &Telemetry, address: SocketAddr) -> Result<Self, ListenError> {
        let refused = |source| ListenError { address, source };
        let listener = std::net::TcpListener::bind(address).map_err(refused)?;
        listener.set_nonblocking(true).map_err(refused)?;
        let bound = listener.local_addr().map_err(refused)?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(refused)?;
        let cancel = CancellationToken::new();
        let (shared, end) = (telemetry.clone(), cancel.clone());
        let serve = move || runtime.block_on(serve(listener, shared, end));
        let thread = std::thread::Builder::new()
            .name("leasehold-http".into())
            .spawn(serve)
            .map_err(refused)?;
        let beating = telemetry.clone();
        let heartbeat = tokio::spawn(async move {
            loop {
                beating.0.beat();
                tokio::time::sleep(HEARTBEAT).await;
            }
        });
        Ok(Self {
            address: bound,
            cancel,
            thread: Some(thread),
            _heartbeat: AbortOnDropHandle::new(heartbeat),
        })
    }

    /// Returns the address, with the port that the system chose for port 0.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Closes all connections and the listener, and waits for that.
    pub fn finish(mut self) {
        self.cancel.cancel();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Drop for TelemetryServer {
    fn drop(&mut self) {
        self.cancel.cancel();
    }
}

async fn serve(listener: std::net::TcpListener, telemetry: Telemetry, cancel: CancellationToken) {
    let listener = match TcpListener::from_std(listener) {
        Ok(listener) => listener,
        Err(error) => {
            tracing::error!(%error, "metrics and health checks cannot be served");
            return;
        }
    };
    let places = Arc::new(Semaphore::new(MOST_CONNECTIONS));
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            () = cancel.cancelled() => break,
            Some(_) = connections.join_next() => continue,
            accepted = listener.accept() => accepted,
        };
        match (accepted, places.clone().try_acquire_owned()) {
            (Ok((stream, _)), Ok(place)) => {
                let telemetry = telemetry.clone();
                connections.spawn(async move {
                    connection::serve(stream, telemetry).await;
                    drop(place);
                });
            }
            // The stream is closed.
            (Ok(_), Err(_)) => {
                let refused = &telemetry.0.refused_connections;
                refused.fetch_add(1, Ordering::Relaxed);
            }
            (Err(_), _) => tokio::time::sleep(ACCEPT_PAUSE).await,
        }
    }
    connections.shutdown().await;
}
