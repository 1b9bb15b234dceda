//! One proxied connection: two pumps that obey the network's mode at each moment.
//!
//! A pump never drops a byte. Where nothing may arrive it neither reads nor writes, so that a full
//! window stops the sender, as on a lossy network.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use super::mode::{Direction, Flow, Mode};
use super::trap::Trap;

/// Bytes under way in one direction; with more, the sender waits.
const WINDOW: usize = 1 << 20;

/// Bytes read at once.
const CHUNK: usize = 16 << 10;

/// Time between two drops of [`Mode::Drip`].
const DRIP_EVERY: Duration = Duration::from_millis(100);

/// Bytes of the sent stream kept to find a text that two chunks share.
const REMEMBERED: usize = 1 << 10;

/// Behaviour of the network between two sides: its mode, and the trap that changes the mode.
#[derive(Debug)]
pub(super) struct Network {
    mode: watch::Sender<Mode>,
    trap: Trap,
}

impl Default for Network {
    fn default() -> Self {
        Self {
            mode: watch::Sender::new(Mode::Pass),
            trap: Trap::default(),
        }
    }
}

impl Network {
    /// Changes the mode, for open and new connections.
    pub(super) fn set(&self, mode: Mode) {
        self.mode.send_replace(mode);
    }

    pub(super) fn trap(&self) -> &Trap {
        &self.trap
    }
}

/// Connects to `upstream` and carries the bytes of `client` there and back, as the network's mode has it.
pub(super) async fn relay(
    client: &mut TcpStream,
    server: &mut Option<TcpStream>,
    upstream: SocketAddr,
    network: &Network,
) -> io::Result<()> {
    let mut mode = network.mode.subscribe();
    if *mode.borrow() == Mode::Refuse {
        return Err(io::ErrorKind::ConnectionRefused.into());
    }
    // While no request may arrive, neither does the connection itself.
    let arrives = |mode: &Mode| mode.flow(Direction::Requests) != Flow::Held;
    mode.wait_for(arrives).await.map_err(io::Error::other)?;
    let server = server.insert(TcpStream::connect(upstream).await?);
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let (from_client, to_client) = client.split();
    let (from_server, to_server) = server.split();
    tokio::try_join!(
        Pump::new(Direction::Requests, network).run(from_client, to_server),
        Pump::new(Direction::Responses, network).run(from_server, to_client),
    )?;
    Ok(())
}

/// One direction of one connection.
struct Pump<'a> {
    direction: Direction,
    network: &'a Network,
    /// Chunks read and the time each is due, in order.
    queue: VecDeque<(Instant, Vec<u8>)>,
    queued: usize,
    last_due: Instant,
    /// End of the sent stream.
    sent: Vec<u8>,
}

impl<'a> Pump<'a> {
    fn new(direction: Direction, network: &'a Network) -> Self {
        Self {
            direction,
            network,
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
        let mut mode = self.network.mode.subscribe();
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
                // The mode first: a change must hold for the very next byte.
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
        // Never before an earlier chunk: a stream keeps its order.
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
            Direction::Requests => self.network.trap.spring(&self.sent, &chunk),
            Direction::Responses => None,
        };
        if let Some(mode) = then {
            // Before the write, so that no response to it can slip through.
            self.network.mode.send_replace(mode);
        }
        to.write_all(&chunk).await?;
        if then.is_some() {
            self.network.trap.forwarded();
        }
        if self.direction == Direction::Requests {
            self.sent.extend_from_slice(&chunk);
            self.sent
                .drain(..self.sent.len().saturating_sub(REMEMBERED));
        }
        Ok(())
    }
}
