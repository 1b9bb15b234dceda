//! Network between the members of one cluster: isolates a member while its clients still reach it.
//!
//! Every member advertises a front of this network in place of its own port. The source of a connection is
//! found by the process that owns it, since etcd sends no name with all of its requests between members.
//! Bytes of an isolated member are held, as TCP holds them on a cut line; [`PeerNetwork::reset`] loses them.

use std::collections::BTreeSet;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

/// Bytes read at once.
const CHUNK: usize = 16 << 10;

/// Pause between two looks for the owner of a connection, and after a failed accept.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// Looks for an owner before a connection is refused: a member opens another one then.
const LOOKS: u32 = 50;

/// Process id of a member, 0 while it does not run. Shared with the member, which changes it at each start.
pub(crate) type MemberPid = Arc<AtomicU32>;

/// Fronts of all members; dropping it resets every connection and joins its thread.
#[derive(Debug)]
pub(crate) struct PeerNetwork {
    shared: Arc<Shared>,
    fronts: Vec<SocketAddr>,
    cancel: CancellationToken,
    thread: Option<JoinHandle<()>>,
}

/// State that the test and the connections share.
#[derive(Debug)]
struct Shared {
    members: Vec<(SocketAddr, MemberPid)>,
    isolated: watch::Sender<BTreeSet<usize>>,
    /// Count of resets; a connection that sees it change ends.
    resets: watch::Sender<u64>,
}

impl PeerNetwork {
    /// Starts a front for each member, given by its port for peers and its pid.
    pub(crate) fn start(members: Vec<(SocketAddr, MemberPid)>) -> Result<Self> {
        let listeners = members.iter().map(|_| listen()).collect::<Result<Vec<_>>>();
        let listeners = listeners.context("listening between members")?;
        let fronts = listeners
            .iter()
            .map(TcpListener::local_addr)
            .collect::<io::Result<Vec<_>>>()?;
        let shared = Arc::new(Shared {
            members,
            isolated: watch::Sender::default(),
            resets: watch::Sender::default(),
        });
        let cancel = CancellationToken::new();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .context("making a runtime for the network between members")?;
        let (theirs, until) = (Arc::clone(&shared), cancel.clone());
        let thread = std::thread::Builder::new()
            .name("peer-network".to_owned())
            .spawn(move || runtime.block_on(serve(listeners, theirs, until)))
            .context("starting the thread of the network between members")?;
        Ok(Self {
            shared,
            fronts,
            cancel,
            thread: Some(thread),
        })
    }

    /// Addresses that members advertise, in their order.
    pub(crate) fn fronts(&self) -> &[SocketAddr] {
        &self.fronts
    }

    /// Holds all bytes between this member and the others, both ways.
    pub(crate) fn isolate(&self, member: usize) {
        self.shared.isolated.send_modify(|isolated| {
            isolated.insert(member);
        });
    }

    /// Ends every isolation. Connections are reset, so that members open new ones at once.
    pub(crate) fn heal(&self) {
        self.reset();
        self.shared.isolated.send_modify(BTreeSet::clear);
    }

    /// Resets all connections, with the bytes they hold. Isolated members stay isolated.
    pub(crate) fn reset(&self) {
        self.shared.resets.send_modify(|count| *count += 1);
    }
}

impl Drop for PeerNetwork {
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

async fn serve(listeners: Vec<TcpListener>, shared: Arc<Shared>, cancel: CancellationToken) {
    let mut fronts = JoinSet::new();
    for (member, listener) in listeners.into_iter().enumerate() {
        fronts.spawn(front(listener, member, Arc::clone(&shared), cancel.clone()));
    }
    while fronts.join_next().await.is_some() {}
}

/// Accepts connections to one member until the network ends.
async fn front(
    listener: TcpListener,
    member: usize,
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
                    // Subscribed here, so that a reset right after the accept is not missed.
                    let resets = shared.resets.subscribe();
                    let shared = Arc::clone(&shared);
                    connections.spawn(connection(client, member, shared, resets, cancel.clone()));
                }
                Err(_) => sleep(LOOK_AGAIN).await,
            },
        }
    }
    while connections.join_next().await.is_some() {}
}

async fn connection(
    mut client: TcpStream,
    member: usize,
    shared: Arc<Shared>,
    mut resets: watch::Receiver<u64>,
    cancel: CancellationToken,
) {
    let mut server = None;
    let ended = tokio::select! {
        () = cancel.cancelled() => false,
        _ = resets.changed() => false,
        carried = carry(&mut client, &mut server, member, &shared) => carried.is_ok(),
    };
    if !ended {
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
    member: usize,
    shared: &Shared,
) -> io::Result<()> {
    let source = source(client, shared).await?;
    let mut line = Line {
        ends: [source, member],
        isolated: shared.isolated.subscribe(),
    };
    line.whole().await?;
    let (upstream, _) = &shared.members[member];
    let server = server.insert(TcpStream::connect(upstream).await?);
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let (from_client, to_client) = client.split();
    let (from_server, to_server) = server.split();
    tokio::try_join!(
        pump(from_client, to_server, line.clone()),
        pump(from_server, to_client, line),
    )?;
    Ok(())
}

/// Connection between two members.
#[derive(Clone)]
struct Line {
    ends: [usize; 2],
    isolated: watch::Receiver<BTreeSet<usize>>,
}

impl Line {
    /// Resolves while neither end is isolated.
    async fn whole(&mut self) -> io::Result<()> {
        let ends = self.ends;
        let whole = |isolated: &BTreeSet<usize>| ends.iter().all(|end| !isolated.contains(end));
        let waited = self.isolated.wait_for(whole).await;
        waited.map(drop).map_err(io::Error::other)
    }
}

async fn pump(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    mut line: Line,
) -> io::Result<()> {
    let mut buffer = vec![0; CHUNK];
    loop {
        let count = from.read(&mut buffer).await?;
        line.whole().await?;
        if count == 0 {
            return to.shutdown().await;
        }
        to.write_all(&buffer[..count]).await?;
    }
}

/// Finds the member that opened a connection.
async fn source(client: &TcpStream, shared: &Shared) -> io::Result<usize> {
    let (theirs, ours) = (client.peer_addr()?.port(), client.local_addr()?.port());
    for _ in 0..LOOKS {
        if let Some(member) = inode(theirs, ours).and_then(|inode| owner(&inode, &shared.members)) {
            return Ok(member);
        }
        sleep(LOOK_AGAIN).await;
    }
    Err(io::ErrorKind::NotFound.into())
}

/// Inode of the socket that is connected from one port of this machine to another.
fn inode(local: u16, remote: u16) -> Option<String> {
    let table = std::fs::read_to_string("/proc/net/tcp").ok()?;
    table.lines().skip(1).find_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let port = |at: usize| u16::from_str_radix(fields.get(at)?.rsplit(':').next()?, 16).ok();
        let found = port(1)? == local && port(2)? == remote;
        let inode = fields.get(9).filter(|inode| **inode != "0")?;
        found.then(|| (*inode).to_owned())
    })
}

/// The member whose process has this socket open.
fn owner(inode: &str, members: &[(SocketAddr, MemberPid)]) -> Option<usize> {
    let wanted = format!("socket:[{inode}]");
    members.iter().position(|(_, pid)| {
        let folder = format!("/proc/{}/fd", pid.load(Ordering::SeqCst));
        let Ok(files) = std::fs::read_dir(folder) else {
            return false;
        };
        files
            .filter_map(|file| std::fs::read_link(file.ok()?.path()).ok())
            .any(|link| link.as_os_str() == wanted.as_str())
    })
}
