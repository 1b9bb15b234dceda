//! Network between the members of one cluster: isolates a member while its clients still reach it.
//!
//! Every member advertises a front of this network in place of its own port. The source of a connection is
//! found by the process that owns it, since etcd sends no name with all of its requests between members.
//! Bytes of an isolated member are held, as TCP holds them on a cut line; [`PeerNetwork::reset`] loses them.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use anyhow::Result;
use tokio::net::TcpStream;
use tokio::time::sleep;

use super::fronts::{Fronts, Route};
use super::mode::Mode;
use super::relay::{Network, relay};

/// Pause between two searches for the owner of a connection.
const SEARCH_PAUSE: Duration = Duration::from_millis(20);

/// Searches for an owner before a connection is refused: a member opens another one then.
const SEARCHES: u32 = 50;

/// Process id of a member, 0 while it does not run. Shared with the member, which changes it at each start.
pub(crate) type MemberPid = Arc<AtomicU32>;

/// Fronts of all members; dropping it resets every connection and joins its thread.
#[derive(Debug)]
pub(crate) struct PeerNetwork {
    mesh: Arc<Mesh>,
    fronts: Fronts,
}

/// Members and the networks between any two of them.
#[derive(Debug)]
struct Mesh {
    members: Vec<(SocketAddr, MemberPid)>,
    /// The network from each member to each, by source and then by destination.
    networks: Vec<Vec<Network>>,
}

impl PeerNetwork {
    /// Starts a front for each member, given by its port for peers and its pid.
    pub(crate) fn start(members: Vec<(SocketAddr, MemberPid)>) -> Result<Self> {
        let count = members.len();
        let row = || (0..count).map(|_| Network::default()).collect();
        let mesh = Arc::new(Mesh {
            members,
            networks: (0..count).map(|_| row()).collect(),
        });
        let fronts = Fronts::start("peer-network", count, Arc::clone(&mesh))?;
        Ok(Self { mesh, fronts })
    }

    /// Addresses that members advertise, in their order.
    pub(crate) fn fronts(&self) -> &[SocketAddr] {
        self.fronts.addresses()
    }

    /// Holds all bytes between this member and the others, both ways.
    pub(crate) fn isolate(&self, member: usize) {
        self.mesh.set(Mode::DropBoth, |source, destination| {
            source == member || destination == member
        });
    }

    /// Ends every isolation. Connections are reset, so that members open new ones at once.
    pub(crate) fn heal(&self) {
        self.reset();
        self.mesh.set(Mode::Pass, |_, _| true);
    }

    /// Resets all connections, with the bytes they hold. Isolated members stay isolated.
    pub(crate) fn reset(&self) {
        self.fronts.reset();
    }
}

impl Mesh {
    /// Changes the networks from a source to a destination for which `chosen` is true.
    fn set(&self, mode: Mode, chosen: impl Fn(usize, usize) -> bool) {
        for (source, row) in self.networks.iter().enumerate() {
            for (destination, network) in row.iter().enumerate() {
                if chosen(source, destination) {
                    network.set(mode);
                }
            }
        }
    }

    /// Finds the member that opened a connection.
    async fn source(&self, client: &TcpStream) -> io::Result<usize> {
        let (theirs, ours) = (client.peer_addr()?.port(), client.local_addr()?.port());
        for _ in 0..SEARCHES {
            let inode = inode(theirs, ours);
            if let Some(member) = inode.and_then(|inode| owner(&inode, &self.members)) {
                return Ok(member);
            }
            sleep(SEARCH_PAUSE).await;
        }
        Err(io::ErrorKind::NotFound.into())
    }
}

impl Route for Mesh {
    async fn carry(
        &self,
        member: usize,
        client: &mut TcpStream,
        server: &mut Option<TcpStream>,
    ) -> io::Result<()> {
        let source = self.source(client).await?;
        let (upstream, _) = self.members[member];
        relay(client, server, upstream, &self.networks[source][member]).await
    }
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

/// Member whose process has this socket open.
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
