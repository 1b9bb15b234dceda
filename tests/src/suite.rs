//! The history check of every scenario with hosts. It runs by itself when a host or a store of the harness ends.
//!
//! Hosts are judged together with all other hosts of the same store, so a new scenario is covered without code of
//! its own. The harness notes the faults that it injects; a check that such a fault suspends is left out.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Result, bail, ensure};
use toml::{Table, Value};

use crate::checks::history::{self, Acknowledged, StoreHistory};
use crate::checks::{self, Circumstances, Log};
use crate::etcd::Etcd;
use crate::events::{Event, last_lines, merge};

/// The bound of an overlap after an operator removed a holder: one watch delivery on a busy machine.
const REMOVAL_OVERLAP: Duration = Duration::from_secs(2);

/// The bound of reading a store's history.
const READ_TIMEOUT: Duration = Duration::from_secs(10);

/// Events that an error shows.
const SHOWN: usize = 60;

/// Everything that the hosts of this process logged, by host process.
static LOGS: Mutex<Vec<HostLog>> = Mutex::new(Vec::new());

/// True if an operator's command may have removed a holder.
static OPERATED: AtomicBool = AtomicBool::new(false);

/// True if a store may have lost acknowledged writes, or all of them.
static FORGOT: AtomicBool = AtomicBool::new(false);

/// The whole log of one host process, and the faults that the scenario injected into it.
#[derive(Debug, Clone)]
pub struct HostLog {
    /// Its events. Host names carry the number of the process, so that a successor of the same name differs.
    events: Vec<Event>,
    /// The store that it was connected to.
    store: Store,
    /// The names of the hosts in the process.
    hosts: BTreeSet<String>,
    /// The journal of each job that may be a ledger.
    journals: BTreeMap<String, String>,
    ended: Ended,
}

/// Identity of a store, from a host's log and config.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Store {
    /// In lower-case hexadecimal.
    cluster: String,
    root: String,
}

/// End of a host process, as far as checks depend on it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Ended {
    /// It did not end by itself.
    pub killed: bool,
    /// It was frozen for a while.
    pub frozen: bool,
}

/// Notes that a scenario is about to remove entries or leases by force.
pub fn operator_acts() {
    OPERATED.store(true, Ordering::Relaxed);
}

/// Notes that a store may have lost acknowledged writes: from now on tokens and history prove nothing.
pub fn store_may_forget() {
    FORGOT.store(true, Ordering::Relaxed);
}

/// Takes the log of a host that has ended, and judges it with the others of its store. A host that was never
/// connected to a store held nothing.
///
/// # Errors
/// The first violation found, with the events around it.
pub fn host_ended(config: &str, events: &[Event], ended: Ended) -> Result<(), String> {
    let mut logs = logs();
    let Some(log) = HostLog::new(logs.len(), config, events, ended) else {
        return Ok(());
    };
    let store = log.store.clone();
    logs.push(log);
    let same = logs.iter().filter(|log| log.store == store).cloned();
    let same: Vec<_> = same.collect();
    drop(logs);
    judge(&same, Suspended::now())
}

/// Judges the history of a store that is about to end, if hosts were connected to it and it still answers.
///
/// # Errors
/// The first violation found, or a history that cannot be read from a store that answers.
pub fn store_ends(etcd: &Etcd) -> Result<()> {
    if logs().is_empty() || Suspended::now().history {
        return Ok(());
    }
    let Ok(cluster) = etcd.cluster_id() else {
        return Ok(());
    };
    let cluster = format!("{cluster:x}");
    let same = logs()
        .iter()
        .filter(|log| log.store.cluster == cluster)
        .cloned()
        .collect::<Vec<_>>();
    if same
        .iter()
        .all(|log| !log.events.iter().any(|event| event.is("acquired")))
    {
        return Ok(());
    }
    let Some(history) = read_history(etcd, READ_TIMEOUT)? else {
        return Ok(());
    };
    let roots: BTreeSet<&str> = same.iter().map(|log| log.store.root.as_str()).collect();
    for root in roots {
        let here: Vec<_> = same.iter().filter(|log| log.store.root == root).collect();
        judge_history(&history, root, &here).map_err(anyhow::Error::msg)?;
    }
    Ok(())
}

/// Fails the test that drops a host or a store, unless it fails already.
///
/// # Panics
/// The verdict is a violation, and no panic is under way.
pub(crate) fn demand(verdict: Result<()>) {
    if let Err(why) = verdict {
        eprintln!("{why:#}");
        assert!(std::thread::panicking(), "{why:#}");
    }
}

/// Reads a store's history from the first revision on; nothing once it was compacted.
///
/// # Errors
/// The store does not answer, or not in time.
pub fn read_history(etcd: &Etcd, timeout: Duration) -> Result<Option<StoreHistory>> {
    let revision = etcd.revision()?;
    let mut watch = etcd.spawn_etcdctl(&["watch", "", "--prefix", "--rev=1", "-w", "json"])?;
    let complete = |line: &str| {
        line.contains(r#""Canceled":true"#)
            || StoreHistory::read(1, [line]).is_ok_and(|part| part.until() >= revision)
    };
    let last = watch.wait_line(timeout, complete);
    let lines = watch.lines();
    if let Err(error) = last {
        ensure!(
            error.to_string().contains("compacted"),
            "reading the store's history: {error:#}"
        );
        return Ok(None);
    }
    watch.process().kill()?;
    if lines.iter().any(|line| line.contains(r#""Canceled":true"#)) {
        return Ok(None);
    }
    let history =
        StoreHistory::read(1, lines.iter().map(String::as_str)).map_err(anyhow::Error::msg)?;
    if history.until() < revision {
        bail!(
            "the store's history ends at {}, not at {revision}",
            history.until()
        );
    }
    Ok(Some(history))
}

/// Checks that injected faults leave unproven.
#[derive(Debug, Clone, Copy, Default)]
struct Suspended {
    /// A holder may overlap its successor for the time of one delivery.
    removal: bool,
    /// Tokens and the store's history.
    history: bool,
}

impl Suspended {
    fn now() -> Self {
        Self {
            removal: OPERATED.load(Ordering::Relaxed),
            history: FORGOT.load(Ordering::Relaxed),
        }
    }
}

impl HostLog {
    fn new(number: usize, config: &str, events: &[Event], ended: Ended) -> Option<Self> {
        let connected = events.iter().find(|event| event.is("store-connected"))?;
        let cluster = connected.str("cluster_id")?.to_owned();
        let config: Table = toml::from_str(config).unwrap_or_default();
        let root = config.get("store").and_then(|store| store.get("root"));
        let root = root
            .and_then(Value::as_str)
            .unwrap_or("/leasehold/")
            .to_owned();
        let named: Vec<_> = events
            .iter()
            .map(|event| event.of_process(number))
            .collect();
        Some(Self {
            hosts: named
                .iter()
                .filter_map(Event::host)
                .map(str::to_owned)
                .collect(),
            journals: journals(&config, &root),
            events: named,
            store: Store { cluster, root },
            ended,
        })
    }
}

/// The journal of each job, as if it were a ledger.
fn journals(config: &Table, root: &str) -> BTreeMap<String, String> {
    let jobs = config.get("jobs").and_then(Value::as_table);
    let jobs = jobs.into_iter().flatten();
    let ledgers = jobs.filter(|(_, job)| {
        let plugin = job.get("plugin").and_then(Value::as_str);
        plugin.is_some_and(|file| file.ends_with("ledger.wasm"))
    });
    let journal = |job: &Value| {
        let prefix = job.get("config").and_then(|config| config.get("prefix"));
        let prefix = prefix.and_then(Value::as_str).unwrap_or("ledger/");
        format!("{root}kv/{prefix}journal")
    };
    ledgers
        .map(|(name, job)| (name.clone(), journal(job)))
        .collect()
}

/// Runs the checks over the hosts' logs alone.
fn judge(logs: &[HostLog], suspended: Suspended) -> Result<(), String> {
    let events = merge(logs.iter().map(|log| log.events.clone()));
    let circumstances = circumstances(logs, suspended);
    judge_events(&events, &circumstances, suspended).map_err(|why| with_events(&why, &events))
}

fn judge_events(
    events: &[Event],
    circumstances: &Circumstances,
    suspended: Suspended,
) -> Result<(), String> {
    checks::nothing_after_the_end(events)?;
    if !suspended.history {
        checks::intervals_never_overlap(events, circumstances)?;
        checks::tokens_increase(events, circumstances)?;
    }
    // With dropped lines, evidence is missing.
    if events.iter().any(|event| event.is("lines-dropped")) {
        return Ok(());
    }
    checks::released_only_after_the_run(events)?;
    checks::every_run_ends(events, circumstances)
}

fn judge_history(history: &StoreHistory, root: &str, logs: &[&HostLog]) -> Result<(), String> {
    let events = merge(logs.iter().map(|log| log.events.clone()));
    let log = Log::read(&events)?;
    let mut writes = Vec::new();
    for log in logs {
        writes.extend(Acknowledged::read(&log.events, &log.journals)?);
    }
    history::all(history, &format!("{root}locks/"), &log, &writes)
        .map_err(|why| with_events(&why, &events))
}

fn circumstances(logs: &[HostLog], suspended: Suspended) -> Circumstances {
    let mut found = Circumstances::default();
    if suspended.removal {
        found.overlap = REMOVAL_OVERLAP;
    }
    for log in logs {
        for host in &log.hosts {
            if log.ended.killed {
                found = found.killed(host);
            }
            if log.ended.frozen {
                found = found.frozen(host);
            }
        }
    }
    found
}

fn with_events(why: &str, events: &[Event]) -> String {
    let own = events
        .iter()
        .filter(|event| !event.is("guest") && !event.is("progress"));
    let own: Vec<_> = own.cloned().collect();
    format!(
        "history check: {why}\nevents of the hosts:\n{}",
        last_lines(&own, SHOWN)
    )
}

fn logs() -> MutexGuard<'static, Vec<HostLog>> {
    LOGS.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
