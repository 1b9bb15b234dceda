//! Slots for connections: when all are taken, a connection waits a moment, and is then closed.
//!
//! This file must never read from a connection, nor log once for each of them.

use std::future::poll_fn;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::stream;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;
use tokio_stream::Stream;

use super::authority::AuthorityRewriter;
use super::connection::ArrivedConnection;
use super::socket::OwnedSocket;

/// Wait after the system failed to accept a connection: mostly the process is out of descriptors.
const AFTER_FAILURE: Duration = Duration::from_millis(100);

/// The shortest time between two warnings of one kind.
const WARN_EVERY: Duration = Duration::from_mins(1);

/// A listener that accepts connections.
pub(super) trait Accept: Send + Sync + 'static {
    /// The connections.
    type Io: Send;

    /// Accepts the next connection.
    fn poll_accept(&self, context: &mut Context<'_>) -> Poll<io::Result<Self::Io>>;
}

impl Accept for TcpListener {
    type Io = TcpStream;

    fn poll_accept(&self, context: &mut Context<'_>) -> Poll<io::Result<TcpStream>> {
        // Requests are small and a client waits for each.
        Self::poll_accept(self, context).map(|accepted| {
            let (io, _) = accepted?;
            io.set_nodelay(true)?;
            Ok(io)
        })
    }
}

impl Accept for OwnedSocket {
    type Io = tokio::net::UnixStream;

    fn poll_accept(&self, context: &mut Context<'_>) -> Poll<io::Result<Self::Io>> {
        self.listener()
            .poll_accept(context)
            .map_ok(|(io, _address)| io)
    }
}

/// The slots of all listeners of one kind.
pub(super) struct ConnectionSlots {
    free: Arc<Semaphore>,
    most: usize,
    /// The time that a connection waits for a slot.
    patience: Duration,
    full: Warning,
    failed: Warning,
    refused: AtomicU64,
}

impl ConnectionSlots {
    pub(super) fn new(most: usize, patience: Duration) -> Self {
        Self {
            free: Arc::new(Semaphore::new(most)),
            most,
            patience,
            full: Warning::default(),
            failed: Warning::default(),
            refused: AtomicU64::new(0),
        }
    }

    /// Returns the number of slots.
    pub(super) const fn most(&self) -> usize {
        self.most
    }

    /// Returns the number of slots that are taken: open connections, and one that each listener takes before the next
    /// connection arrives.
    pub(super) fn taken(&self) -> usize {
        self.most.saturating_sub(self.free.available_permits())
    }

    /// Returns the number of connections that were turned away.
    pub(super) fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }

    /// Returns the number of free slots.
    #[cfg(test)]
    pub(super) fn free(&self) -> usize {
        self.free.available_permits()
    }

    /// The connections of a listener, each once a slot is free.
    pub(super) fn incoming<L: Accept>(
        self: &Arc<Self>,
        listener: L,
    ) -> impl Stream<Item = ArrivedConnection<AuthorityRewriter<L::Io>>> + Send + use<L> {
        stream::unfold((listener, Arc::clone(self)), async |(listener, slots)| {
            let slot = slots.take(&listener).await?;
            let io = slots.accept(&listener).await;
            let arrived = ArrivedConnection {
                io: AuthorityRewriter::new(io),
                slot,
            };
            Some((arrived, (listener, slots)))
        })
    }

    /// Takes a slot; `None` once no more are handed out. A connection that comes while all have been taken for long
    /// is closed at once: a client that sees the end tries again, one that sees nothing waits for ever.
    async fn take<L: Accept>(&self, listener: &L) -> Option<OwnedSemaphorePermit> {
        let free = || Arc::clone(&self.free).acquire_owned();
        if let Ok(slot) = tokio::time::timeout(self.patience, free()).await {
            return slot.ok();
        }
        loop {
            tokio::select! {
                biased;
                slot = free() => return slot.ok(),
                io = self.accept(listener) => {
                    drop(io);
                    self.refused.fetch_add(1, Ordering::Relaxed);
                    self.full.count(Instant::now(), |refused| tracing::warn!(
                        refused,
                        connections = self.most,
                        "the embedded store turns connections away: as many are open as the limit of open files \
                         allows; close idle clients, or raise it (ulimit -n, LimitNOFILE)"
                    ));
                }
            }
        }
    }

    async fn accept<L: Accept>(&self, listener: &L) -> L::Io {
        loop {
            match poll_fn(|context| listener.poll_accept(context)).await {
                Ok(io) => return io,
                Err(error) => {
                    self.failed.count(Instant::now(), |times| {
                        tracing::warn!(%error, times, "the embedded store could not accept a connection");
                    });
                    tokio::time::sleep(AFTER_FAILURE).await;
                }
            }
        }
    }
}

/// A warning that is logged at most once a minute, with the number of its causes.
#[derive(Default)]
struct Warning(Mutex<WarningCount>);

#[derive(Default)]
struct WarningCount {
    last: Option<Instant>,
    times: u64,
}

impl Warning {
    fn count(&self, now: Instant, write: impl FnOnce(u64)) {
        let mut counted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        counted.times += 1;
        if counted.last.is_none_or(|last| now - last >= WARN_EVERY) {
            counted.last = Some(now);
            write(std::mem::take(&mut counted.times));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_warning_is_logged_once_a_minute_with_its_count() {
        let (warning, mut written) = (Warning::default(), Vec::new());
        let start = Instant::now();
        for second in 0..180 {
            let now = start + Duration::from_secs(second);
            warning.count(now, |times| written.push(times));
        }
        assert_eq!(written, [1, 60, 60]);
    }
}
