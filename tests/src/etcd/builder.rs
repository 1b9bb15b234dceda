//! Builder of an etcd: number of nodes, users, certificates and flags.
//!
//! Ports come from claims. A start that nevertheless loses one to another process is tried again with others.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;

use super::node::{Node, NodePorts};
use super::{Etcd, ROOT, RUNNER, START_TIMEOUT, Security};
use crate::binaries::Version;
use crate::certs::{self, Certs};
use crate::proxy::peers::PeerNetwork;
use crate::wait::unique;

/// Starts that may lose a port to another process before the start fails.
const TRIES: u32 = 3;

/// etcd reserves 128 MiB a node for its log before the first write; this leaves room for its data too.
const ROOM_PER_NODE: u64 = 512 << 20;

/// Settings of a server to start; made by [`Etcd::builder`].
#[derive(Debug, Clone)]
#[must_use]
pub struct EtcdBuilder {
    version: Version,
    nodes: usize,
    security: Security,
    token_ttl: Option<Duration>,
    extra: Vec<String>,
    peer_network: bool,
}

impl EtcdBuilder {
    pub(super) fn new(version: Version) -> Self {
        Self {
            version,
            nodes: 1,
            security: Security::default(),
            token_ttl: None,
            extra: Vec::new(),
            peer_network: false,
        }
    }

    /// With the users [`ROOT`] and [`RUNNER`], and no rights for others.
    pub fn users(mut self) -> Self {
        self.security.users = true;
        self
    }

    /// With users whose login tokens end after `ttl` (whole seconds), used or not.
    ///
    /// Both versions sign such tokens (JWT); their own kind lives five minutes on 3.4 whatever is asked for,
    /// and is renewed by every use.
    pub fn token_ttl(mut self, ttl: Duration) -> Self {
        self.token_ttl = Some(ttl);
        self.users()
    }

    /// With mutual TLS towards clients.
    pub fn tls(mut self, certs: &Certs) -> Self {
        self.security.certs = Some(certs.clone());
        self
    }

    /// As a cluster of this many nodes.
    pub fn nodes(mut self, count: usize) -> Self {
        self.nodes = count;
        self
    }

    /// With a network between members that can isolate one of them; see [`Cluster`](crate::cluster::Cluster).
    pub fn peer_network(mut self) -> Self {
        self.peer_network = true;
        self
    }

    /// With one more flag for every node, such as `--quota-backend-bytes=20000000`.
    pub fn arg(mut self, flag: impl Into<String>) -> Self {
        self.extra.push(flag.into());
        self
    }

    /// Starts it and waits until it is ready.
    ///
    /// # Errors
    /// The binary is missing or a node did not become ready; the error holds its log.
    pub fn start(self) -> Result<Etcd> {
        let binary = self.version.etcd()?;
        ensure!(self.nodes > 0, "an etcd has at least one node");
        let mut tries = 1;
        let etcd = loop {
            let mut etcd = self.spawn(&binary)?;
            match etcd.wait_ready(START_TIMEOUT) {
                Ok(()) => break etcd,
                Err(error)
                    if tries < TRIES && format!("{error:#}").contains("address already in use") =>
                {
                    tries += 1;
                }
                Err(error) => return Err(error),
            }
        };
        if self.security.users {
            certs::write(&etcd.dir.path().join("runner.password"), RUNNER.1)?;
            add_users(&etcd)?;
        }
        Ok(etcd)
    }

    fn spawn(&self, binary: &Path) -> Result<Etcd> {
        let dir = scratch_dir(self.nodes)?;
        let mut ports = (0..self.nodes)
            .map(|_| NodePorts::claim())
            .collect::<Result<Vec<_>>>()?;
        let peers = if self.peer_network {
            let network = PeerNetwork::start(ports.iter().map(NodePorts::member).collect())?;
            for (ports, front) in ports.iter_mut().zip(network.fronts()) {
                ports.behind(*front);
            }
            Some(network)
        } else {
            None
        };
        let mut flags = if self.version == Version::Embedded {
            self.flags_of_embedded()?
        } else {
            self.common_flags(dir.path())?
        };
        if self.version != Version::Embedded {
            let members: Vec<_> = ports
                .iter()
                .enumerate()
                .map(|(i, ports)| format!("n{i}={}", ports.peer_url()))
                .collect();
            flags.push(format!("--initial-cluster={}", members.join(",")));
        }
        let tls = self.security.certs.is_some();
        let token = unique("cluster");
        let node = |(i, ports)| {
            let server = (self.version, binary);
            let mut node = Node::new(server, dir.path(), i, ports, tls, &flags);
            node.set_cluster_token(&token);
            node
        };
        let mut nodes: Vec<Node> = ports.into_iter().enumerate().map(node).collect();
        nodes.iter_mut().try_for_each(Node::spawn)?;
        Ok(Etcd {
            nodes,
            peers,
            version: self.version,
            security: self.security.clone(),
            dir,
        })
    }

    fn flags_of_embedded(&self) -> Result<Vec<String>> {
        ensure!(
            !self.security.users && self.security.certs.is_none() && self.nodes == 1,
            "the embedded store is one node without users and TLS"
        );
        let command = ["store", "serve", "--log-format=json"].map(str::to_owned);
        Ok([command.to_vec(), self.extra.clone()].concat())
    }

    fn common_flags(&self, dir: &Path) -> Result<Vec<String>> {
        let mut flags = vec![
            "--initial-cluster-state=new".to_owned(),
            "--logger=zap".to_owned(),
            "--log-level=warn".to_owned(),
            "--log-outputs=stderr".to_owned(),
            // Tests log in often and have no password worth the work.
            "--bcrypt-cost=4".to_owned(),
        ];
        if let Some(certs) = &self.security.certs {
            let files = certs.server();
            flags.push(format!("--cert-file={}", files.cert.display()));
            flags.push(format!("--key-file={}", files.key.display()));
            flags.push(format!("--trusted-ca-file={}", files.ca.display()));
            flags.push("--client-cert-auth".to_owned());
        }
        if let Some(ttl) = self.token_ttl {
            ensure!(
                ttl.as_secs() > 0,
                "a token lives for whole seconds, at least one"
            );
            let key = dir.join("token.key");
            certs::write(&key, &unique("a secret that only this test's nodes share"))?;
            let ttl = ttl.as_secs();
            flags.push(format!(
                "--auth-token=jwt,priv-key={},sign-method=HS256,ttl={ttl}s",
                key.display()
            ));
        }
        flags.extend(self.extra.iter().cloned());
        Ok(flags)
    }
}

/// Gives a fresh server its users and turns authentication on.
pub(super) fn add_users(etcd: &Etcd) -> Result<()> {
    let ctl = etcd.ctl()?.anonymous();
    for (user, password) in [ROOT, RUNNER] {
        ctl.run(&["user", "add", &format!("{user}:{password}")])?;
    }
    // etcd makes the role `root` by itself when authentication is turned on.
    ctl.run(&["role", "add", "runner"])?;
    ctl.run(&[
        "role",
        "grant-permission",
        "--prefix=true",
        "runner",
        "readwrite",
        "/leasehold/",
    ])?;
    ctl.run(&["user", "grant-role", "root", "root"])?;
    ctl.run(&["user", "grant-role", RUNNER.0, "runner"])?;
    ctl.run(&["auth", "enable"]).map(drop)
}

/// Sets a user's password, which makes the server forget the user's tokens.
pub(super) fn set_password(etcd: &Etcd, (user, password): (&str, &str)) -> Result<()> {
    etcd.ctl()?
        .run_with_input(&["user", "passwd", user, "--interactive=false"], password)
        .map(drop)
}

/// In memory where there is room for all nodes, since a test must not wait for a disk.
fn scratch_dir(nodes: usize) -> Result<TempDir> {
    let memory = PathBuf::from("/dev/shm");
    let room =
        rustix::fs::statvfs(&memory).map_or(0, |stat| stat.f_bavail.saturating_mul(stat.f_frsize));
    let parent = if room >= ROOM_PER_NODE * nodes as u64 {
        memory
    } else {
        std::env::temp_dir()
    };
    let dir = tempfile::Builder::new()
        .prefix("leasehold-etcd-")
        .tempdir_in(&parent);
    dir.with_context(|| format!("making a directory for etcd's data in {}", parent.display()))
}
