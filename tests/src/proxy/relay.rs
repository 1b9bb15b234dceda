//! One proxied connection: two pumps, each of which obeys the mode of the moment.
//!
//! A pump never drops a byte. Where nothing may arrive it neither reads nor writes, so that a full
//! window stops the sender, as a lossy network would.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::Shared;
use super::mode::{Direction, Flow, Mode};

/// Bytes on their way in one direction; more than this and the sender has to wait.
const WINDOW: usize = 1 << 20;

/// Read at once.
const CHUNK: usize = 16 << 10;

/// Between two drops of [`Mode::Drip`].
const DRIP_EVERY: Duration = Duration::from_millis(100);

/// How much of what was sent is kept to find a text that two chunks share.
const REMEMBERED: usize = 1 << 10;

/// Carries one client until either side ends it, it is reset, or the proxy goes.
pub(super) async fn connection(
    mut client: TcpStream,
    shared: Arc<Shared>,
    mut resets: watch::Receiver<u64>,
    cancel: CancellationToken,
) {
    let _open = Open::count(&shared);
    let mut server = None;
    let graceful = tokio::select! {
        () = cancel.cancelled() => false,
        _ = resets.changed() => false,
        carried = carry(&mut client, &mut server, &shared) => carried.is_ok(),
    };
    if !graceful {
        // With no time to linger, closing sends RST.
        let _ = client.set_zero_linger();
        if let Some(server) = &server {
            let _ = server.set_zero_linger();
        }
    }
}

async fn carry(
    client: &mut TcpStream,
    server: &mut Option<TcpStream>,
    shared: &Shared,
) -> io::Result<()> {
    let mut mode = shared.mode.subscribe();
    if *mode.borrow() == Mode::Refuse {
        return Err(io::ErrorKind::ConnectionRefused.into());
    }
    // While no request may arrive, neither does the connection itself.
    let arrives = |mode: &Mode| mode.flow(Direction::Requests) != Flow::Held;
    mode.wait_for(arrives).await.map_err(io::Error::other)?;
    let server = server.insert(TcpStream::connect(shared.upstream).await?);
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let (from_client, to_client) = client.split();
    let (from_server, to_server) = server.split();
    tokio::try_join!(
        Pump::new(Direction::Requests, shared).run(from_client, to_server),
        Pump::new(Direction::Responses, shared).run(from_server, to_client),
    )?;
    Ok(())
}

/// One direction of one connection.
struct Pump<'a> {
    direction: Direction,
    shared: &'a Shared,
    /// What was read and when it is due, in order.
    queue: VecDeque<(Instant, Vec<u8>)>,
    queued: usize,
    last_due: Instant,
    /// The end of what was sent.
    sent: Vec<u8>,
}

impl<'a> Pump<'a> {
    fn new(direction: Direction, shared: &'a Shared) -> Self {
        Self {
            direction,
            shared,
            queue: VecDeque::new(),
            queued: 0,
            last_due: Instant::now(),
            sent: Vec::new(),
        }
    }

    async fn run(
        mut self,
        mut from: impl AsyncRead + Unpin,
        mut to: impl AsyncWrite + Unpin,
    ) -> io::Result<()> {
        let mut mode = self.shared.mode.subscribe();
        let mut buffer = vec![0; CHUNK];
        let mut ended = false;
        loop {
            let flow = mode.borrow_and_update().flow(self.direction);
            let flows = flow != Flow::Held;
            if flows && ended && self.queue.is_empty() {
                return to.shutdown().await;
            }
            let due = self.queue.front().map(|(due, _)| *due);
            let most = if let Flow::Drip(bytes) = flow {
                bytes.min(CHUNK)
            } else {
                CHUNK
            };
            tokio::select! {
                // The mode first: what changed it must hold for the very next byte.
                biased;
                changed = mode.changed() => changed.map_err(io::Error::other)?,
                () = sleep_until(due.unwrap_or(self.last_due)), if flows && due.is_some() => self.deliver(&mut to).await?,
                read = from.read(&mut buffer[..most]), if flows && !ended && self.queued < WINDOW => match read? {
                    0 => ended = true,
                    count => self.enqueue(flow, &buffer[..count]),
                },
            }
        }
    }

    fn enqueue(&mut self, flow: Flow, chunk: &[u8]) {
        let now = Instant::now();
        let due = match flow {
            Flow::After(delay) => now + delay,
            Flow::Within(least, most) => {
                now + least + most.saturating_sub(least).mul_f64(fastrand::f64())
            }
            Flow::Drip(_) => now.max(self.last_due + DRIP_EVERY),
            Flow::Held => now,
        };
        // Never before what was read earlier: a stream keeps its order.
        self.last_due = due.max(self.last_due);
        self.queued += chunk.len();
        self.queue.push_back((self.last_due, chunk.to_vec()));
    }

    async fn deliver(&mut self, to: &mut (impl AsyncWrite + Unpin)) -> io::Result<()> {
        let Some((_, chunk)) = self.queue.pop_front() else {
            return Ok(());
        };
        self.queued -= chunk.len();
        let then = match self.direction {
            Direction::Requests => self.shared.trap.spring(&self.sent, &chunk),
            Direction::Responses => None,
        };
        if let Some(mode) = then {
            // Before the write, so that no response to it can slip through.
            self.shared.mode.send_replace(mode);
        }
        to.write_all(&chunk).await?;
        if then.is_some() {
            self.shared.trap.forwarded();
        }
        if self.direction == Direction::Requests {
            self.sent.extend_from_slice(&chunk);
            self.sent
                .drain(..self.sent.len().saturating_sub(REMEMBERED));
        }
        Ok(())
    }
}

/// Counts a connection as open while it lives.
struct Open<'a>(&'a Shared);

impl<'a> Open<'a> {
    fn count(shared: &'a Shared) -> Self {
        shared.open.fetch_add(1, Ordering::Relaxed);
        Self(shared)
    }
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::Relaxed);
    }
}
