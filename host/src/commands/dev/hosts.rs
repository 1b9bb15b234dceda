//! The hosts of one `leasehold dev`: starts them, cuts one off, and ends them all.
//!
//! One loop owns them; each is a task that returns its result. This file controls only whether a
//! host lives and whether it reaches the store.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use leasehold_lock::{Clock, Connector, Locks};
use leasehold_records::{HolderRecord, Root};
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at, sleep_until};
use tokio_util::sync::CancellationToken;

use super::cut::Cuttable;
use super::note::note;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::telemetry::HostTelemetry;
use leasehold_config::fingerprint::ConfigFingerprint;
use leasehold_config::wall::UnixMs;
use leasehold_config::{Config, StorePlace};
use leasehold_supervisor::connect::inside;
use leasehold_supervisor::end::{HostEnd, HostError};
use leasehold_supervisor::event_log::EventLog;
use leasehold_supervisor::host::Host;
use leasehold_supervisor::load_events::LoadEvents;
use leasehold_supervisor::prepare::{Prepared, prepare};
use leasehold_supervisor::reload::Reload;
use leasehold_supervisor::shutdown::{AT_ONCE, ShutdownHandle, Signals, shutdown_channel};

/// Pause between a host's end and the start of the next one of its name: long enough to notice the
/// end.
const RESTART_AFTER: Duration = Duration::from_secs(1);

/// Settings for all of them.
pub(super) struct Plan {
    pub(super) lasting: Option<Duration>,
    pub(super) chaos: Option<Duration>,
    /// The configuration, with the store that all of them use.
    pub(super) config: Config,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) event_log: EventLog,
    pub(super) telemetry: HostTelemetry,
    /// Cancelled when the user quits.
    pub(super) quit: CancellationToken,
}

/// A running host.
struct Member {
    shutdown_handle: ShutdownHandle,
    way: Arc<Cuttable>,
    event_log: EventLog,
    /// Number of this host among those of its name.
    life: u64,
    /// Entries that are older belong to an earlier host of the name.
    since_unix_ms: UnixMs,
}

/// End of a host: its name, its number, and its result.
type End = (String, u64, Result<HostEnd, HostError>);

/// All hosts.
pub(super) struct DevHosts {
    plan: Plan,
    connector: Arc<dyn Connector>,
    observer: Locks,
    root: Root,
    members: BTreeMap<String, Member>,
    tasks: JoinSet<End>,
    lives: u64,
    /// Name of the host to start again, and the time for it.
    missing: Option<(String, Instant)>,
    ended: Result<HostEnd, Failure>,
    stage: Stage,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Running,
    Stopping,
    Aborting,
}

/// Reasons to wake the loop.
enum Wake {
    Signal(&'static str),
    Over,
    Quit,
    Chaos,
    Restart(String),
    Ended(End),
    Broken(Failure),
    NobodyLeft,
}

impl DevHosts {
    pub(super) fn new(
        plan: Plan,
        connector: Arc<dyn Connector>,
        observer: Locks,
        root: Root,
    ) -> Self {
        Self {
            plan,
            connector,
            observer,
            root,
            members: BTreeMap::new(),
            tasks: JoinSet::new(),
            lives: 0,
            missing: None,
            ended: Ok(HostEnd::Done),
            stage: Stage::Running,
        }
    }

    /// Starts a host under the name in its configuration.
    pub(super) fn start(&mut self, prepared: Prepared) {
        let name = prepared.config.host().id().to_owned();
        let way = Arc::new(Cuttable::new(self.connector.clone()));
        let event_log = self.plan.event_log.of(&name);
        let (shutdown_handle, shutdown) = shutdown_channel();
        let host = Host {
            options: self
                .plan
                .telemetry
                .observe(&name, inside(prepared.config.store(), way.clone())),
            prepared,
            clock: self.plan.clock.clone(),
            event_log: event_log.clone(),
            reload: self.reload(&name),
        };
        self.lives += 1;
        let (task_name, life) = (name.clone(), self.lives);
        self.tasks
            .spawn(async move { (task_name, life, host.run(shutdown).await) });
        let member = Member {
            shutdown_handle,
            way,
            event_log,
            life,
            since_unix_ms: UnixMs::from_system(SystemTime::now()),
        };
        self.members.insert(name, member);
    }

    /// Returns the function with which the host of this name reads the file again.
    fn reload(&self, name: &str) -> Reload {
        let config = &self.plan.config;
        let (path, store) = (config.path().to_owned(), config.store().place().clone());
        let name = name.to_owned();
        Reload {
            read: Arc::new(move || {
                let loaded = Config::load_for_development(&path)?;
                let StorePlace::Embedded(embedded) = &store else {
                    return Ok(loaded.for_host(&name));
                };
                Ok(loaded.on_embedded(embedded.clone()).for_host(&name))
            }),
            trigger: Arc::new(Notify::new()),
        }
    }

    /// Runs until every host has ended.
    pub(super) async fn run(mut self, mut signals: Signals) -> Result<Exit, Failure> {
        let over = self.plan.lasting.map(|lasting| Instant::now() + lasting);
        let mut chaos = self.plan.chaos.map(ticks);
        // Hosts that were cut off may still be cleaning up; the loop does not wait for them.
        while !self.members.is_empty() || self.missing.is_some() {
            match self.wait(&mut signals, over, chaos.as_mut()).await {
                Wake::Signal(name) if self.stage == Stage::Running && name != AT_ONCE => {
                    self.stop(name);
                }
                Wake::Signal(_) => self.abort(),
                Wake::Over => self.stop("the time is over"),
                Wake::Quit => self.stop("the dashboard was left"),
                Wake::Chaos => self.cut_one_off().await,
                Wake::Restart(name) => self.restart(&name).await,
                Wake::Ended(end) => self.take(end),
                Wake::Broken(failure) => self.fail(failure),
                Wake::NobodyLeft => break,
            }
        }
        self.ended.map(Exit::from)
    }

    async fn wait(
        &mut self,
        signals: &mut Signals,
        over: Option<Instant>,
        chaos: Option<&mut Interval>,
    ) -> Wake {
        let is_running = self.stage == Stage::Running;
        let missing = self.missing.clone().filter(|_| is_running);
        let restart = async {
            match missing {
                Some((name, at)) => {
                    sleep_until(at).await;
                    name
                }
                None => std::future::pending().await,
            }
        };
        let is_missing = self.missing.is_some();
        // Only the host to be started again is left.
        let is_alone = self.tasks.is_empty();
        tokio::select! {
            name = signals.next() => Wake::Signal(name),
            () = at(over), if is_running => Wake::Over,
            () = self.plan.quit.cancelled(), if is_running => Wake::Quit,
            () = tick(chaos), if is_running && !is_missing => Wake::Chaos,
            name = restart => Wake::Restart(name),
            joined = self.tasks.join_next(), if !(is_alone && is_missing && is_running) => match joined {
                Some(Ok(end)) => Wake::Ended(end),
                // A panic: the host's own drops have given its locks back.
                Some(Err(error)) => Wake::Broken(Failure::internal(&error)),
                None => Wake::NobodyLeft,
            },
        }
    }

    fn stop(&mut self, reason: &'static str) {
        self.stage = Stage::Stopping;
        self.missing = None;
        for member in self.members.values() {
            member.shutdown_handle.stop(reason);
        }
    }

    fn abort(&mut self) {
        self.stage = Stage::Aborting;
        for member in self.members.values() {
            member.shutdown_handle.abort();
        }
    }

    fn take(&mut self, (name, life, ended): End) {
        if self.members.get(&name).map(|member| member.life) != Some(life) {
            // The host was cut off, so its result has no meaning.
            return;
        }
        self.members.remove(&name);
        match (ended, &mut self.ended) {
            (Ok(exit), Ok(worst)) => *worst = (*worst).max(exit),
            (Err(error), Ok(_)) => self.fail(error.into()),
            (_, Err(_)) => {}
        }
    }

    /// A host that could not do its work ends the others; the first such failure is the one reported.
    fn fail(&mut self, failure: Failure) {
        if self.ended.is_ok() {
            self.ended = Err(failure);
        }
        if self.stage == Stage::Running {
            self.stop("another host failed");
        }
    }

    /// Cuts off the host that has held a lock the longest.
    async fn cut_one_off(&mut self) {
        let Some((name, lock)) = self.longest_holder().await else {
            note(
                &self.plan.event_log,
                "no host holds a lock, so none is cut off".into(),
            );
            return;
        };
        let Some(member) = self.members.remove(&name) else {
            return;
        };
        note(
            &self.plan.event_log,
            format!(
                "{name}, which holds {lock}, is cut off as if its machine had died; its lease goes on until it ends"
            ),
        );
        // The log, the store and the process go in this order: seen from outside, all at the same
        // time.
        member.event_log.mute();
        member.way.cut();
        member.shutdown_handle.give_up();
        self.missing = Some((name, Instant::now() + RESTART_AFTER));
    }

    /// Returns the host that has held a lock the longest, and that lock; only hosts of this process
    /// count.
    async fn longest_holder(&self) -> Option<(String, String)> {
        let entries = self.observer.kv().list(&self.root.locks(), 0).await.ok()?;
        // The holder of a lock is the entry with the lowest create revision.
        let mut holders = BTreeMap::new();
        for entry in &entries {
            let Some((queue, _)) = entry.key.rsplit_once('/') else {
                continue;
            };
            let first = holders.entry(queue.to_owned()).or_insert(entry);
            if entry.create_revision < first.create_revision {
                *first = entry;
            }
        }
        let mut holders: Vec<_> = holders.into_iter().collect();
        holders.sort_by_key(|(_, entry)| entry.create_revision);
        holders.into_iter().find_map(|(queue, entry)| {
            let holder = HolderRecord::from_json(&entry.value).ok()?;
            let lock = queue.strip_prefix(&self.root.locks()).unwrap_or(&queue);
            let member = self.members.get(&holder.host)?;
            (holder.since_unix_ms >= member.since_unix_ms).then(|| (holder.host, lock.to_owned()))
        })
    }

    async fn restart(&mut self, name: &str) {
        self.missing = None;
        let fingerprint = ConfigFingerprint::of(self.plan.config.path());
        let events = LoadEvents::new(self.plan.event_log.of(name), false);
        let config = self.plan.config.for_host(name);
        match prepare(config, fingerprint, Arc::new(events)).await {
            Ok(prepared) => {
                note(&self.plan.event_log, format!("another {name} starts"));
                self.start(prepared);
            }
            Err(error) => self.fail(error.into()),
        }
    }
}

fn ticks(every: Duration) -> Interval {
    let mut ticks = interval_at(Instant::now() + every, every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}

async fn at(moment: Option<Instant>) {
    match moment {
        Some(moment) => sleep_until(moment).await,
        None => std::future::pending().await,
    }
}

async fn tick(ticks: Option<&mut Interval>) {
    match ticks {
        Some(ticks) => {
            ticks.tick().await;
        }
        None => std::future::pending().await,
    }
}
