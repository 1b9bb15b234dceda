//! A private etcd for one test: real, of either version, or the embedded store in its place. It can be paused,
//! killed, restarted and wiped.
//!
//! Data is in memory where there is room, so that a slow disk fails no test. No process and no file survives the
//! owner: not when it is dropped, not while paused, not when the test process crashes.

mod builder;
mod node;
mod requests;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use tempfile::TempDir;

pub use builder::EtcdBuilder;
pub use node::Node;

pub use crate::binaries::Version;
use crate::certs::Certs;
use crate::etcdctl::{Etcdctl, RunningEtcdctl};
use crate::proxy::peers::PeerNetwork;
use crate::suite;
use crate::wait::unique;

/// A start takes half a second when idle; three nodes on two busy cores take many times that.
const START_TIMEOUT: Duration = Duration::from_secs(30);

/// The user with every right, in a server started with users.
pub const ROOT: (&str, &str) = ("root", "root-password");

/// The user limited to keys under `/leasehold/`, in a server started with users.
pub const RUNNER: (&str, &str) = ("runner", "runner-password");

/// One etcd server, or a cluster of them.
#[derive(Debug)]
pub struct Etcd {
    // Before the directory: the nodes end before it is deleted.
    nodes: Vec<Node>,
    peers: Option<PeerNetwork>,
    version: Version,
    security: Security,
    dir: TempDir,
}

#[derive(Debug, Clone, Default)]
struct Security {
    users: bool,
    certs: Option<Certs>,
}

impl Etcd {
    /// One node, no users, no TLS, ready for requests.
    ///
    /// # Errors
    /// The binary is missing or the server did not become ready; the error holds its log.
    pub fn start(version: Version) -> Result<Self> {
        Self::builder(version).start()
    }

    /// For anything beyond [`Etcd::start`].
    pub fn builder(version: Version) -> EtcdBuilder {
        EtcdBuilder::new(version)
    }

    /// Which release line this is.
    pub fn version(&self) -> Version {
        self.version
    }

    /// The first node's URL for clients.
    pub fn endpoint(&self) -> String {
        self.nodes[0].client_url()
    }

    /// Every node's URL for clients.
    pub fn endpoints(&self) -> Vec<String> {
        self.nodes.iter().map(Node::client_url).collect()
    }

    /// The certificates of its start.
    pub fn certs(&self) -> Option<&Certs> {
        self.security.certs.as_ref()
    }

    /// A private file with [`RUNNER`]'s password, when started with users.
    pub fn password_file(&self) -> Option<PathBuf> {
        self.security
            .users
            .then(|| self.dir.path().join("runner.password"))
    }

    /// An `etcdctl` for all nodes with every right there is.
    ///
    /// # Errors
    /// `scripts/setup` has not run.
    pub fn ctl(&self) -> Result<Etcdctl> {
        let mut ctl = Etcdctl::new(self.version, &self.endpoints())?;
        if self.security.users {
            ctl = ctl.login(ROOT.0, ROOT.1);
        }
        if let Some(certs) = &self.security.certs {
            ctl = ctl.tls(certs.client());
        }
        Ok(ctl)
    }

    /// Runs one `etcdctl` command with every right and returns its standard output.
    ///
    /// # Errors
    /// It failed; the error holds its output.
    pub fn etcdctl(&self, args: &[&str]) -> Result<String> {
        self.ctl()?.run(args)
    }

    /// Starts an `etcdctl` command that keeps running, such as `lock NAME`.
    ///
    /// # Errors
    /// It could not be started.
    pub fn spawn_etcdctl(&self, args: &[&str]) -> Result<RunningEtcdctl> {
        self.ctl()?.spawn(args)
    }

    /// Stops every node (SIGSTOP), like a frozen machine. Returns when all their threads have stopped.
    ///
    /// # Errors
    /// A node does not run.
    pub fn pause(&self) -> Result<()> {
        self.nodes
            .iter()
            .try_for_each(|node| node.process()?.stop())
    }

    /// Lets every paused node go on.
    ///
    /// # Errors
    /// A node does not run.
    pub fn resume(&self) -> Result<()> {
        self.nodes
            .iter()
            .try_for_each(|node| node.process()?.cont())
    }

    /// Kills every node without notice (SIGKILL). Data and ports stay.
    ///
    /// # Errors
    /// A node could not be waited for.
    pub fn kill(&mut self) -> Result<()> {
        // 3.5.0 to 3.5.2 may lose acknowledged writes at a crash.
        if self.version == Version::V3_5 {
            suite::store_may_forget();
        }
        self.nodes.iter_mut().try_for_each(Node::kill)
    }

    /// Kills the nodes that still run, then starts every node with the same data and ports, and waits until ready.
    ///
    /// # Errors
    /// A node did not come back; the error holds its log.
    pub fn restart(&mut self) -> Result<()> {
        self.kill()?;
        self.nodes.iter_mut().try_for_each(Node::spawn)?;
        self.wait_ready(START_TIMEOUT)
    }

    /// As [`Etcd::restart`], with all data deleted, as after a lost disk. The revision starts anew under the *same*
    /// cluster id, which is made from addresses and a token. Users are added again.
    ///
    /// # Errors
    /// The data could not be removed, or a node did not come back. The embedded store draws its id anew with its
    /// data, so it can only be restarted as another.
    pub fn restart_wiped(&mut self) -> Result<()> {
        ensure!(
            self.version != Version::Embedded,
            "a wiped embedded store has another cluster id: restart it as another"
        );
        self.restart_empty()
    }

    fn restart_empty(&mut self) -> Result<()> {
        suite::store_may_forget();
        self.kill()?;
        self.nodes.iter().try_for_each(Node::wipe)?;
        self.restart()?;
        if self.security.users {
            builder::add_users(self)
        } else {
            Ok(())
        }
    }

    /// As [`Etcd::restart_wiped`], but under another cluster id: a stranger at the same address.
    ///
    /// # Errors
    /// The data could not be removed, or a node did not come back.
    pub fn restart_as_another(&mut self) -> Result<()> {
        let token = unique("cluster");
        for node in &mut self.nodes {
            node.set_cluster_token(&token);
        }
        self.restart_empty()
    }

    /// One node by its number, to pause or kill it alone.
    ///
    /// # Errors
    /// There are fewer nodes.
    pub fn node(&mut self, index: usize) -> Result<&mut Node> {
        let count = self.nodes.len();
        self.nodes
            .get_mut(index)
            .with_context(|| format!("there is no node {index} among {count}"))
    }

    /// The network between members, when it was asked for.
    pub(crate) fn peers(&self) -> Option<&PeerNetwork> {
        self.peers.as_ref()
    }

    /// The number of the node that leads.
    ///
    /// # Errors
    /// No node answers, or none leads.
    pub fn leader(&self) -> Result<usize> {
        for (index, node) in self.nodes.iter().enumerate() {
            let status = self
                .ctl()?
                .via(node.client_url())
                .run(&["endpoint", "status", "-w", "json"]);
            let status: Value = match status {
                Ok(text) => serde_json::from_str(&text).context("reading etcdctl's status")?,
                // Paused or killed, so not the leader of anything for long.
                Err(_) => continue,
            };
            let status = &status[0]["Status"];
            if status["leader"]
                .as_u64()
                .is_some_and(|leader| Some(leader) == status["header"]["member_id"].as_u64())
            {
                return Ok(index);
            }
        }
        bail!("no node leads")
    }

    /// Waits until every node answers linearisable reads.
    ///
    /// # Errors
    /// A node ended or is not ready in time; the error holds its log.
    pub fn wait_ready(&mut self, timeout: Duration) -> Result<()> {
        self.nodes
            .iter_mut()
            .try_for_each(|node| node.wait_ready(timeout))
    }

    /// True if a node runs and is not paused.
    fn answers(&mut self) -> bool {
        self.nodes.iter_mut().any(Node::runs)
    }
}

impl Drop for Etcd {
    /// # Panics
    /// The history check found a violation, and no panic is under way.
    fn drop(&mut self) {
        if std::thread::panicking() || !self.answers() {
            return;
        }
        suite::demand(suite::store_ends(self));
    }
}
