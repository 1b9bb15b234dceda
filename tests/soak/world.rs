//! The cluster, the hosts and the network between them, and how each fault is done to them.
//!
//! Every fault ends before the next begins. All processes here end with the [`World`].

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use leasehold_tests::binaries;
use leasehold_tests::checks::StoreHistory;
use leasehold_tests::cluster::Cluster;
use leasehold_tests::etcd::Version;
use leasehold_tests::events::{Event, last_lines};
use leasehold_tests::guests::{self, Config, Job, config};
use leasehold_tests::host::HostProcess;
use leasehold_tests::proxy::{FaultProxy, Mode};
use leasehold_tests::suite;
use leasehold_tests::wait::{boot_ns, eventually};
use tempfile::TempDir;

use crate::fault::{Fault, Way};

pub(crate) const MEMBERS: usize = 3;
pub(crate) const HOSTS: usize = 3;

/// The time to live of most leases.
pub(crate) const TTL: Duration = Duration::from_secs(5);

/// The time to live of the others, which outlast an election with renewals under way.
pub(crate) const LONG_TTL: Duration = Duration::from_secs(15);

/// Jobs that run on and on, by name.
const BEATS: [&str; 2] = ["beat-0", "beat-1"];
const LONG_BEATS: [&str; 2] = ["long-0", "long-1"];
const LEDGERS: [&str; 2] = ["ledger-0", "ledger-1"];

/// Jobs with ticks, by name.
const TICKS: [&str; 2] = ["tick-0", "tick-1"];

/// The bound of everything that happens once the faults are over.
const RECOVERY: Duration = Duration::from_mins(1);

/// The bound of reading the whole history of the store.
const READ_TIMEOUT: Duration = Duration::from_mins(2);

/// Everything that a verdict is made from.
#[derive(Debug)]
pub(crate) struct Evidence {
    /// The log of each host process.
    pub(crate) lives: Vec<Life>,
    /// The store's history, if it could be read from its beginning.
    pub(crate) history: StoreHistory,
}

impl Evidence {
    /// Writes the log of each host process and the store's history into a folder named after the seed.
    ///
    /// # Errors
    /// A file cannot be written.
    pub(crate) fn keep(&self, seed: u64) -> Result<PathBuf> {
        let folder = binaries::workspace().join(format!("target/soak/{seed}"));
        std::fs::create_dir_all(&folder)?;
        let folder = folder.canonicalize()?;
        for life in &self.lives {
            let text = last_lines(&life.events, usize::MAX);
            std::fs::write(folder.join(format!("{}.json", life.name)), text)?;
        }
        let changes = self.history.changes.iter().map(|change| {
            let (created, value) = change.put.clone().unwrap_or_default();
            format!("{} {} {created} {value}\n", change.revision, change.key)
        });
        std::fs::write(folder.join("history"), changes.collect::<String>())?;
        Ok(folder)
    }
}

/// One host process from its start to its end.
#[derive(Debug, Clone)]
pub(crate) struct Life {
    /// Its events. Host names carry the number of the process.
    pub(crate) events: Vec<Event>,
    /// Its name in them.
    pub(crate) name: String,
    /// The fault that ended it was a kill.
    pub(crate) killed: bool,
    /// It was frozen at least once.
    pub(crate) frozen: bool,
    /// It ended although no fault ended it, with this status and standard error.
    pub(crate) died: Option<String>,
}

pub(crate) struct World {
    // The hosts end before their network, the network before the cluster.
    hosts: Vec<Host>,
    lives: Vec<Life>,
    cluster: Cluster,
}

/// One host, and its own way to each member.
struct Host {
    process: HostProcess,
    frozen: bool,
    config: Config,
    ways: Vec<FaultProxy>,
    _data: TempDir,
}

impl World {
    pub(crate) fn start(version: Version) -> Result<Self> {
        let cluster = Cluster::start(version, MEMBERS)?;
        let hosts = (0..HOSTS).map(|number| Host::start(number, &cluster));
        Ok(Self {
            hosts: hosts.collect::<Result<_>>()?,
            lives: Vec::new(),
            cluster,
        })
    }

    /// Waits until every job has had an effect after this moment, on any host.
    ///
    /// # Errors
    /// One had none in time.
    pub(crate) fn wait_all_run(&self) -> Result<()> {
        let now = boot_ns();
        for job in [&BEATS[..], &LONG_BEATS, &LEDGERS, &TICKS].concat() {
            eventually(RECOVERY, &format!("an effect of {job}"), || {
                let mut hosts = self.hosts.iter();
                let had = hosts.any(|host| {
                    host.process.has(|event| {
                        event.is("guest") && event.job() == Some(job) && event.boot_ns() > Some(now)
                    })
                });
                ensure!(had, "none; {}", self.last_words());
                Ok(())
            })?;
        }
        Ok(())
    }

    /// The end of every host's log, for an error.
    fn last_words(&self) -> String {
        let hosts = self.hosts.iter().map(|host| {
            let events = last_lines(&host.process.events(), 3);
            format!("{events}\n{}", host.process.stderr())
        });
        hosts.collect::<Vec<_>>().join("\n")
    }

    /// Does one fault and undoes it.
    ///
    /// # Errors
    /// A process or the network could not be driven.
    pub(crate) fn suffer(&mut self, fault: &Fault) -> Result<()> {
        match *fault {
            Fault::LeaderPaused(span) => {
                let leader = self.cluster.leader()?;
                self.pause_member(leader, span)
            }
            Fault::LeaderDeposed { paused, host, cut } => {
                let leader = self.cluster.leader()?;
                self.pause_member(leader, paused)?;
                // Soon enough that renewals which the resumed leader answers by itself have been taken in.
                std::thread::sleep(Duration::from_millis(450));
                self.hosts[host].cut(Way::Both, cut);
                Ok(())
            }
            Fault::AllMembersPaused(span) => {
                self.cluster.etcd().pause()?;
                std::thread::sleep(span);
                self.cluster.etcd().resume()
            }
            Fault::MemberKilled { member, down } => {
                self.cluster.kill(member)?;
                std::thread::sleep(down);
                self.cluster.restart(member)
            }
            Fault::MemberIsolated { member, cut } => {
                self.cluster.isolate(member)?;
                std::thread::sleep(cut);
                self.cluster.heal();
                Ok(())
            }
            Fault::ClientsCut { member, cut, way } => {
                let ways = self.hosts.iter().map(|host| &host.ways[member]);
                cut_ways(&ways.collect::<Vec<_>>(), way, cut);
                Ok(())
            }
            Fault::HostCut { host, cut, way } => {
                self.hosts[host].cut(way, cut);
                Ok(())
            }
            Fault::HostJitter { host, most, span } => {
                let ways: Vec<_> = self.hosts[host].ways.iter().collect();
                misbehave(&ways, Mode::Jitter(most), span);
                Ok(())
            }
            Fault::HostPaused { host, paused } => {
                let host = &mut self.hosts[host];
                host.frozen = true;
                host.process.stop()?;
                std::thread::sleep(paused);
                host.process.cont()
            }
            Fault::HostKilled { host, down } => {
                let host = &mut self.hosts[host];
                host.process.kill()?;
                let life = host.life(self.lives.len(), true, None);
                self.lives.push(life);
                std::thread::sleep(down);
                host.process = host_process(&host.config)?;
                host.frozen = false;
                Ok(())
            }
        }
    }

    fn pause_member(&mut self, member: usize, span: Duration) -> Result<()> {
        self.cluster.pause(member)?;
        std::thread::sleep(span);
        self.cluster.resume(member)
    }

    /// Waits until all jobs run again, ends the hosts and returns their logs, with the store's history.
    ///
    /// # Errors
    /// A job does not run again, or the history cannot be read.
    pub(crate) fn end(mut self) -> Result<Evidence> {
        let recovered = self.wait_all_run();
        for host in &mut self.hosts {
            let ended = host.process.term().and_then(|()| {
                let status = host.process.wait_exit(RECOVERY)?;
                ensure!(status.success(), "{status}: {}", host.process.stderr());
                Ok(())
            });
            let died = ended.err().map(|error| format!("{error:#}"));
            let life = host.life(self.lives.len(), false, died);
            self.lives.push(life);
        }
        recovered.context("the jobs do not go on once the faults are over")?;
        let history = suite::read_history(self.cluster.etcd(), READ_TIMEOUT)?;
        Ok(Evidence {
            lives: std::mem::take(&mut self.lives),
            history: history.context("the store's history does not reach back to its beginning")?,
        })
    }
}

impl Host {
    fn start(number: usize, cluster: &Cluster) -> Result<Self> {
        let ways = (0..MEMBERS).map(|member| FaultProxy::start(&cluster.direct(member)?));
        let ways = ways.collect::<Result<Vec<_>>>()?;
        let mut endpoints: Vec<_> = ways.iter().map(FaultProxy::endpoint).collect();
        // Each prefers another member.
        endpoints.rotate_left(number % MEMBERS);
        let data = tempfile::Builder::new()
            .prefix("leasehold-soak-")
            .tempdir()?;
        let path = data.path().to_string_lossy().into_owned();
        let config = jobs(config(&format!("h{number}"), &endpoints[0]))?
            .endpoints(&endpoints)
            .host("data_dir", path)
            .grace("1s");
        Ok(Self {
            process: host_process(&config)?,
            frozen: false,
            config,
            ways,
            _data: data,
        })
    }

    /// Cuts it off from all members for a while.
    fn cut(&self, way: Way, span: Duration) {
        cut_ways(&self.ways.iter().collect::<Vec<_>>(), way, span);
    }

    fn life(&self, number: usize, killed: bool, died: Option<String>) -> Life {
        let events = self.process.events();
        let events: Vec<_> = events
            .iter()
            .map(|event| event.of_process(number))
            .collect();
        let name = events.iter().find_map(Event::host);
        Life {
            name: name.unwrap_or_default().to_owned(),
            events,
            killed,
            frozen: self.frozen,
            died,
        }
    }
}

/// A host that is judged here, and not at its end by the suite.
fn host_process(config: &Config) -> Result<HostProcess> {
    Ok(HostProcess::start(config)?.unjudged())
}

fn cut_ways(ways: &[&FaultProxy], way: Way, span: Duration) {
    let mode = match way {
        Way::Both => Mode::DropBoth,
        Way::Responses => Mode::DropResponses,
        Way::Requests => Mode::DropRequests,
        Way::Refused => Mode::Refuse,
    };
    for proxy in ways {
        proxy.set(mode);
        if way == Way::Refused {
            proxy.reset();
        }
    }
    misbehave(ways, mode, span);
}

/// Lets these networks misbehave for a while.
fn misbehave(ways: &[&FaultProxy], mode: Mode, span: Duration) {
    for proxy in ways {
        proxy.set(mode);
    }
    std::thread::sleep(span);
    for proxy in ways {
        proxy.set(Mode::Pass);
    }
}

/// The same jobs on every host.
fn jobs(config: Config) -> Result<Config> {
    let (heartbeat, ledger) = (guests::heartbeat()?, guests::ledger()?);
    let kept = |job: Job| {
        job.ttl(&format!("{}s", TTL.as_secs()))
            .restart("100ms", "1s")
    };
    let beats = BEATS.map(|name| (name, TTL));
    let beats = beats
        .into_iter()
        .chain(LONG_BEATS.map(|name| (name, LONG_TTL)));
    let config = beats.fold(config, |config, (name, ttl)| {
        config.job(name, |job| {
            let job = kept(job).ttl(&format!("{}s", ttl.as_secs()));
            job.plugin(&heartbeat).args(&["0", "100"])
        })
    });
    let config = LEDGERS.iter().fold(config, |config, name| {
        let prefix = format!("ledger/{name}/");
        config.job(name, |job| {
            kept(job)
                .plugin(&ledger)
                .allow_kv(&["ledger/"])
                .config("prefix", prefix.as_str())
                .config("forever", true)
                .config("pause_ms", 150)
        })
    });
    Ok(TICKS.iter().fold(config, |config, name| {
        config.job(name, |job| {
            kept(job).plugin(&heartbeat).every("2s").args(&["3", "50"])
        })
    }))
}
