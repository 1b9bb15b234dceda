//! Clusters of one to three members of real etcd whose faults a test chooses: pause, kill, cut and restore.
//!
//! Clients have one proxy a member, and members have a network of their own, so a member can be isolated from
//! the others while clients reach it, and the reverse. A cluster of one may be the embedded store.

mod grpc_proxy;

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use tempfile::TempDir;

pub use grpc_proxy::GrpcProxy;

use crate::etcd::{Etcd, Node, Version};
use crate::etcdctl::Etcdctl;
use crate::proxy::FaultProxy;
use crate::wait::eventually;

/// Bound of everything that a healthy cluster does: start, election, an orderly stop.
const PATIENCE: Duration = Duration::from_secs(30);

/// Time that one member has to report its status.
const STATUS_TIMEOUT: Duration = Duration::from_secs(2);

/// Cluster with a proxy in front of each member.
#[derive(Debug)]
pub struct Cluster {
    etcd: Etcd,
    fronts: Vec<FaultProxy>,
}

/// Copy of one member's data directory, made while the member was down.
#[derive(Debug)]
pub struct DataCopy(TempDir);

impl DataCopy {
    /// The folder that holds the copy.
    pub fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Cluster {
    /// Starts a cluster of so many members and waits until each answers.
    ///
    /// # Errors
    /// The binary is missing or a member did not become ready; the error holds its log.
    pub fn start(version: Version, members: usize) -> Result<Self> {
        let builder = Etcd::builder(version).nodes(members);
        let builder = if members > 1 {
            builder.peer_network()
        } else {
            builder
        };
        Self::over(builder.start()?)
    }

    /// Puts proxies in front of a server that runs.
    ///
    /// # Errors
    /// A proxy could not be started.
    pub fn over(etcd: Etcd) -> Result<Self> {
        let endpoints = etcd.endpoints();
        let fronts = endpoints
            .iter()
            .map(|endpoint| FaultProxy::start(endpoint))
            .collect::<Result<_>>()?;
        Ok(Self { etcd, fronts })
    }

    /// The servers, for everything that concerns no single member.
    pub fn etcd(&mut self) -> &mut Etcd {
        &mut self.etcd
    }

    /// Number of members.
    pub fn members(&self) -> usize {
        self.fronts.len()
    }

    /// Members other than this one.
    pub fn others(&self, member: usize) -> Vec<usize> {
        (0..self.members())
            .filter(|other| *other != member)
            .collect()
    }

    /// Client URL of one member, past its proxy.
    ///
    /// # Errors
    /// There is no such member.
    pub fn direct(&self, member: usize) -> Result<String> {
        let endpoints = self.etcd.endpoints();
        let found = endpoints.into_iter().nth(member);
        found.with_context(|| format!("there is no member {member}"))
    }

    /// Client URLs of these members through their proxies.
    pub fn via(&self, members: &[usize]) -> Vec<String> {
        let fronts = members.iter().filter_map(|member| self.fronts.get(*member));
        fronts.map(FaultProxy::endpoint).collect()
    }

    /// The network between clients and one member.
    ///
    /// # Panics
    /// There is no such member.
    pub fn clients_of(&self, member: usize) -> &FaultProxy {
        &self.fronts[member]
    }

    /// `etcdctl` for these members, past their proxies.
    ///
    /// # Errors
    /// `scripts/setup` has not run.
    pub fn ctl(&self, members: &[usize]) -> Result<Etcdctl> {
        let urls = members.iter().map(|member| self.direct(*member));
        let urls = urls.collect::<Result<Vec<_>>>()?;
        Ok(self.etcd.ctl()?.via(urls.join(",")))
    }

    /// Waits until one of these members leads in the highest term that any of them knows.
    ///
    /// # Errors
    /// None does in time.
    pub fn leader_among(&self, members: &[usize]) -> Result<usize> {
        eventually(PATIENCE, "a leader", || {
            let mut best: Option<(u64, Option<usize>)> = None;
            for member in members {
                let Ok((term, leads)) = self.status(*member) else {
                    continue;
                };
                let leader = leads.then_some(*member);
                best = match best {
                    Some((highest, _)) if highest > term => best,
                    Some((highest, known)) if highest == term => Some((term, known.or(leader))),
                    _ => Some((term, leader)),
                };
            }
            best.and_then(|(_, leader)| leader)
                .context("no member leads")
        })
    }

    /// As [`Cluster::leader_among`], among all members.
    ///
    /// # Errors
    /// None leads in time.
    pub fn leader(&self) -> Result<usize> {
        let all: Vec<usize> = (0..self.members()).collect();
        self.leader_among(&all)
    }

    /// The raft term of one member, and whether it believes to lead.
    fn status(&self, member: usize) -> Result<(u64, bool)> {
        let ctl = self.ctl(&[member])?.timeout(STATUS_TIMEOUT);
        let text = ctl.run(&["endpoint", "status", "-w", "json"])?;
        let status: Value = serde_json::from_str(&text).context("reading etcdctl's status")?;
        let status = &status[0]["Status"];
        let term = status["raftTerm"].as_u64();
        let term = term.with_context(|| format!("no term in {text}"))?;
        let leader = status["leader"].as_u64();
        let leads = leader.is_some() && leader == status["header"]["member_id"].as_u64();
        Ok((term, leads))
    }

    /// Stops one member's process (SIGSTOP). Returns when every thread of it has stopped.
    ///
    /// # Errors
    /// The member does not run.
    pub fn pause(&mut self, member: usize) -> Result<()> {
        self.node(member)?.process()?.stop()
    }

    /// Continues a paused member (SIGCONT).
    ///
    /// # Errors
    /// The member does not run.
    pub fn resume(&mut self, member: usize) -> Result<()> {
        self.node(member)?.process()?.cont()
    }

    /// Kills one member (SIGKILL). Its data stays.
    ///
    /// # Errors
    /// The member could not be waited for.
    pub fn kill(&mut self, member: usize) -> Result<()> {
        self.node(member)?.kill()
    }

    /// Stops one member in order (SIGTERM) and waits until it has ended.
    ///
    /// # Errors
    /// The member does not run, or does not end in time.
    pub fn stop(&mut self, member: usize) -> Result<()> {
        self.node(member)?.terminate(PATIENCE)
    }

    /// Starts a member that is down, with the data it has, and waits until it answers.
    ///
    /// # Errors
    /// It did not become ready; the error holds its log.
    pub fn restart(&mut self, member: usize) -> Result<()> {
        let node = self.node(member)?;
        node.kill()?;
        node.spawn()?;
        node.wait_ready(PATIENCE)
    }

    /// Cuts one member off from the others. Clients still reach it.
    ///
    /// # Errors
    /// The cluster has one member.
    pub fn isolate(&self, member: usize) -> Result<()> {
        match self.etcd.peers() {
            Some(peers) => peers.isolate(member),
            None => bail!("a cluster of one member has no network between members"),
        }
        Ok(())
    }

    /// Ends every isolation. Held bytes are lost; members connect anew.
    pub fn heal(&self) {
        if let Some(peers) = self.etcd.peers() {
            peers.heal();
        }
    }

    /// Copies the data of a member that is down.
    ///
    /// # Errors
    /// The member runs, or a file could not be copied.
    pub fn copy_data(&mut self, member: usize) -> Result<DataCopy> {
        let copy = tempfile::Builder::new()
            .prefix("leasehold-copy-")
            .tempdir()
            .context("making a directory for a copy of etcd's data")?;
        self.node(member)?.copy_data(copy.path())?;
        Ok(DataCopy(copy))
    }

    /// Puts a copy in place of the data of a member that is down.
    ///
    /// # Errors
    /// The member runs, or a file could not be copied.
    pub fn restore_data(&mut self, member: usize, copy: &DataCopy) -> Result<()> {
        self.node(member)?.restore_data(copy.path())
    }

    /// Restores a cluster of one from a copy: kills the member, puts the copy in its place and starts it.
    ///
    /// # Errors
    /// There are more members, or it did not come back.
    pub fn go_back_to(&mut self, copy: &DataCopy) -> Result<()> {
        ensure!(
            self.members() == 1,
            "each member of a cluster has data of its own: restore them one by one"
        );
        self.kill(0)?;
        self.restore_data(0, copy)?;
        self.restart(0)
    }

    fn node(&mut self, member: usize) -> Result<&mut Node> {
        self.etcd.node(member)
    }
}
