//! `leasehold runs` and `leasehold status`: the records, as a table or as JSON.
//!
//! Reads only. Times are shown as ages: an operator at night needs the age, not the date.

use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use leasehold_lock::{KeyValue, Kv, Locks, RefusalKind, StoreError, SystemClock, ViewFreshness};
use leasehold_records::printable;
use leasehold_records::{HolderRecord, HostRecord, JobRecord, Root, RunRecord, TickRecord};
use serde::Serialize;

use crate::embedded::nobody_home;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::known_jobs::unknown_job;
use crate::sink;
use crate::table::Table;
use leasehold_config::wall::UnixMs;
use leasehold_config::wall::unix_ms;
use leasehold_config::{Place, Reading};
use leasehold_supervisor::connect::{connect, options};

/// Output format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum ShowFormat {
    /// A table for people.
    Table,
    /// JSON for programs.
    Json,
}

/// A connection for reading, and the prefix to read.
struct Reader {
    locks: Locks,
    root: Root,
    config: Reading,
}

impl Reader {
    async fn open(file: &Path) -> Result<Self, Failure> {
        let config = Reading::load(file)?;
        warn(&config);
        let root = Root::new(config.store().root()).map_err(|e| Failure::internal(&e))?;
        let options = options(config.store())?;
        match connect(options, config.host().drift(), Arc::new(SystemClock)).await {
            Ok(locks) => Ok(Self {
                locks,
                root,
                config,
            }),
            Err(error) => match config.store().place() {
                Place::Embedded(embedded) if error.may_pass() => Err(nobody_home(file, embedded)),
                _ => Err(error.into()),
            },
        }
    }
}

/// Prints a warning about mistakes in the configuration that do not affect this command.
pub(crate) fn warn(config: &Reading) {
    if let Some(warning) = config.warning() {
        sink::tell(&format!("{warning}\n"));
    }
}

fn unread(error: &StoreError) -> Failure {
    Failure::of_line(Exit::Store, &format!("cannot read the records: {error}"))
}

/// Prints the runs of one job, or of all, newest first.
pub(crate) async fn runs(
    config: &Path,
    job: Option<&str>,
    limit: usize,
    format: ShowFormat,
) -> Result<Exit, Failure> {
    let reader = Reader::open(config).await?;
    let prefix = job.map_or_else(|| reader.root.runs(), |job| reader.root.runs_of(job));
    let kv = reader.locks.kv();
    let fresh = || Newest::new(limit);
    let scan = kv.scan(&prefix, fresh, |newest, kv| newest.take(&kv)).await;
    let unknown = match (job, &scan) {
        (Some(job), Ok(scan)) if scan.found.is_empty() && scan.unreadable.is_empty() => {
            unknown_job(&kv, &reader.root, reader.config.jobs(), job).await
        }
        _ => Ok(None),
    };
    reader.locks.close().await;
    let scan = scan.map_err(|error| unread(&error))?;
    if let Some(failure) = unknown.map_err(|error| unread(&error))? {
        return Err(failure);
    }
    let runs = scan.found.into_runs();
    tell_unreadable(&scan.unreadable);
    match format {
        ShowFormat::Json => {
            let known: Result<Vec<_>, _> = runs.iter().map(known_fields).collect();
            print_json(&known.map_err(|error| Failure::internal(&error))?)
        }
        ShowFormat::Table => print(&runs_table(&runs, unix_ms(SystemTime::now()))),
    }
}

/// The newest of many runs, without keeping all of them.
struct Newest {
    limit: usize,
    runs: Vec<RunRecord>,
}

impl Newest {
    const fn new(limit: usize) -> Self {
        Self {
            limit,
            runs: Vec::new(),
        }
    }

    fn take(&mut self, kv: &KeyValue) {
        if let Ok(run) = RunRecord::from_json(&kv.value) {
            self.runs.push(run);
            // Sorting once in a while costs less than keeping them in order.
            if self.runs.len() >= self.limit.saturating_mul(2).max(1000) {
                self.shorten();
            }
        }
    }

    fn shorten(&mut self) {
        self.runs
            .sort_by_key(|run| std::cmp::Reverse((run.token, run.sequence)));
        self.runs.truncate(self.limit);
    }

    const fn is_empty(&self) -> bool {
        self.runs.is_empty()
    }

    fn into_runs(mut self) -> Vec<RunRecord> {
        self.shorten();
        self.runs
    }
}

/// Reports records that are left out because their values are too large to be read.
fn tell_unreadable(keys: &[String]) {
    for key in keys {
        let key = printable::line(key);
        sink::tell(&format!(
            "leasehold: {key} is left out: its value is too large to be read; see it with etcdctl\n"
        ));
    }
}

/// Returns a run's record without the numbers that are unknown before its end.
fn known_fields(run: &RunRecord) -> Result<serde_json::Value, serde_json::Error> {
    let mut record = serde_json::to_value(run)?;
    if let Some(fields) = record.as_object_mut()
        && run.ended_unix_ms.is_none()
    {
        for unknown in ["calls_admitted", "calls_refused", "peak_memory_bytes"] {
            fields.remove(unknown);
        }
    }
    Ok(record)
}

fn runs_table(runs: &[RunRecord], now: u64) -> String {
    let mut table = Table::new([
        "JOB", "TOKEN", "HOST", "STARTED", "TOOK", "OUTCOME", "LATE", "DETAIL",
    ]);
    for run in runs {
        let took = run.ended_unix_ms.map_or_else(
            || "-".into(),
            |ended| age(ended.saturating_sub(run.started_unix_ms)),
        );
        table.row([
            run.job.clone(),
            format!("{}{}", run.token, sequence(run.sequence)),
            run.host.clone(),
            format!("{} ago", age(now.saturating_sub(run.started_unix_ms))),
            took,
            outcome(run),
            // Calls are counted at a run's end.
            run.ended_unix_ms
                .map_or_else(|| "-".into(), |_| run.calls_refused.to_string()),
            run.detail.clone(),
        ]);
    }
    table.render_or("no runs are recorded\n")
}

/// Returns the outcome; for runs that share a record, with their number.
fn outcome(run: &RunRecord) -> String {
    let outcome = run.outcome.as_str();
    match run.runs() {
        1 => outcome.into(),
        runs => format!("{outcome} x {runs}"),
    }
}

fn sequence(sequence: u32) -> String {
    if sequence == 0 {
        String::new()
    } else {
        format!(".{sequence}")
    }
}

/// Output of `status`, in its JSON form.
#[derive(Serialize)]
struct Status {
    /// Revision of the locks.
    #[serde(skip_serializing_if = "Option::is_none")]
    revision: Option<i64>,
    hosts: Vec<HostRecord>,
    jobs: Vec<JobRecord>,
    /// The latest tick that any host has begun, of each job with ticks.
    ticks: Vec<TickRecord>,
    locks: Vec<LockStatus>,
    /// Prefixes that this user of the store may not read.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    not_permitted: Vec<String>,
}

#[derive(Serialize)]
struct LockStatus {
    lock: String,
    entries: Vec<EntryStatus>,
}

#[derive(Serialize)]
struct EntryStatus {
    key: String,
    token: i64,
    lease: String,
    /// Seconds left of the holder's lease.
    #[serde(skip_serializing_if = "Option::is_none")]
    ttl_s: Option<u64>,
    /// Put there by hand, without a lease: it stays until it is deleted.
    administrative: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    host: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    job: Option<String>,
}

/// Prints hosts, jobs and locks as they are now.
pub(crate) async fn status(config: &Path, format: ShowFormat) -> Result<Exit, Failure> {
    let reader = Reader::open(config).await?;
    let read = read_status(&reader).await;
    reader.locks.close().await;
    let status = read.map_err(|error| unread(&error))?;
    for prefix in &status.not_permitted {
        let prefix = printable::line(prefix);
        sink::tell(&format!(
            "warning: not permitted to read {prefix}: it is left out\n"
        ));
    }
    match format {
        ShowFormat::Json => print_json(&status),
        ShowFormat::Table => print(&status_table(&status, unix_ms(SystemTime::now()))),
    }
}

/// Prefixes that `status` reads.
const PARTS: usize = 4;

const fn is_denied(error: &StoreError) -> bool {
    matches!(
        error,
        StoreError::Refused {
            kind: RefusalKind::Denied,
            ..
        }
    )
}

/// Reads every record under `prefix`. Keys of values that are too large are reported; a prefix that
/// may not be read is added to `denied`.
async fn records(
    kv: &Kv,
    prefix: &str,
    denied: &mut Vec<String>,
) -> Result<Vec<KeyValue>, StoreError> {
    let scan = match kv.scan(prefix, Vec::new, Vec::push).await {
        Err(error) if is_denied(&error) => {
            denied.push(prefix.to_owned());
            return Ok(Vec::new());
        }
        scan => scan?,
    };
    tell_unreadable(&scan.unreadable);
    Ok(scan.found)
}

async fn read_status(reader: &Reader) -> Result<Status, StoreError> {
    let kv = reader.locks.kv();
    let root = &reader.root;
    let mut denied = Vec::new();
    let hosts = records(&kv, &root.hosts(), &mut denied).await?;
    let jobs = records(&kv, &root.jobs(), &mut denied).await?;
    let ticks = records(&kv, &root.ticks(), &mut denied).await?;
    let (revision, locks) = match kv.first_key(&root.locks()).await {
        Err(error) if is_denied(&error) => {
            denied.push(root.locks());
            (None, Vec::new())
        }
        Err(error) => return Err(error),
        Ok(_) => {
            let (revision, locks) = read_locks(reader).await?;
            (Some(revision), locks)
        }
    };
    if denied.len() == PARTS {
        return Err(StoreError::Refused {
            kind: RefusalKind::Denied,
            message: format!("not permitted to read {}", denied.join(", ")),
        });
    }
    Ok(Status {
        revision,
        hosts: hosts
            .iter()
            .filter_map(|kv| HostRecord::from_json(&kv.value).ok())
            .collect(),
        jobs: jobs
            .iter()
            .filter_map(|kv| JobRecord::from_json(&kv.value).ok())
            .collect(),
        ticks: ticks
            .iter()
            .filter_map(|kv| TickRecord::from_json(&kv.value).ok())
            .collect(),
        locks,
        not_permitted: denied,
    })
}

/// Reads every lock with its queue, and the revision of that reading.
async fn read_locks(reader: &Reader) -> Result<(i64, Vec<LockStatus>), StoreError> {
    let mut view = reader.locks.view(reader.root.locks());
    while *view.freshness() != ViewFreshness::Live {
        if view.next().await.is_none() {
            break;
        }
        if let ViewFreshness::Stale { reason } = view.freshness() {
            return Err(StoreError::Unknown(reason.clone()));
        }
    }
    let mut locks = Vec::new();
    for (name, entries) in view.queues() {
        let mut shown = Vec::new();
        for (place, entry) in entries.iter().enumerate() {
            let who = HolderRecord::from_json(&entry.value).ok();
            let ttl = if place == 0 && entry.lease != 0 {
                match reader.locks.lease_ttl(entry.lease).await {
                    // A missing permission hides the time that is left, and nothing else.
                    Err(error) if is_denied(&error) => None,
                    answer => answer?.map(|(left, _)| left),
                }
            } else {
                None
            };
            shown.push(EntryStatus {
                key: entry.key.clone(),
                token: entry.create_revision,
                lease: format!("{:x}", entry.lease),
                ttl_s: ttl,
                administrative: entry.is_administrative(),
                host: who.as_ref().map(|who| who.host.clone()),
                job: who.map(|who| who.job),
            });
        }
        locks.push(LockStatus {
            lock: reader.root.lock_name(name).unwrap_or(name).to_owned(),
            entries: shown,
        });
    }
    Ok((view.revision(), locks))
}

fn status_table(status: &Status, now: u64) -> String {
    let mut hosts = Table::new(["HOST", "PID", "UP", "VERSION", "JOBS"]);
    for host in &status.hosts {
        hosts.row([
            host.host.clone(),
            host.pid.to_string(),
            age(now.saturating_sub(host.started_unix_ms)),
            host.version.clone(),
            host.jobs.len().to_string(),
        ]);
    }
    let mut jobs = Table::new([
        "JOB", "HOST", "STATE", "SINCE", "LOCK", "TOKEN", "LAST", "NEXT", "DETAIL",
    ]);
    for job in &status.jobs {
        jobs.row([
            job.job.clone(),
            job.host.clone(),
            job.state.as_str().into(),
            age(now.saturating_sub(job.since_unix_ms)),
            job.lock.clone(),
            job.token
                .map_or_else(|| "-".into(), |token| token.to_string()),
            job.last
                .map_or("-", leasehold_records::Outcome::as_str)
                .into(),
            job.next_unix_ms
                .map_or_else(|| "-".into(), |next| until(next, now)),
            job.detail.clone(),
        ]);
    }
    let mut ticks = Table::new([
        "TICK OF", "AT", "STATE", "BY", "ATTEMPT", "TOKEN", "OUTCOME",
    ]);
    for tick in &status.ticks {
        ticks.row([
            tick.job.clone(),
            UnixMs::new(tick.tick_unix_ms).to_string(),
            tick.state.as_str().into(),
            tick.host.clone(),
            tick.attempt.to_string(),
            tick.token.to_string(),
            tick.outcome
                .map_or("-", leasehold_records::Outcome::as_str)
                .into(),
        ]);
    }
    let mut locks = Table::new(["LOCK", "PLACE", "WHO", "TOKEN", "LEASE", "TTL"]);
    for lock in &status.locks {
        for (place, entry) in lock.entries.iter().enumerate() {
            locks.row([
                lock.lock.clone(),
                if place == 0 {
                    "holds".into()
                } else {
                    format!("#{place}")
                },
                who(entry),
                entry.token.to_string(),
                if entry.administrative {
                    "none".into()
                } else {
                    entry.lease.clone()
                },
                entry
                    .ttl_s
                    .map_or_else(|| "-".into(), |ttl| format!("{ttl}s")),
            ]);
        }
    }
    let mut parts = vec![
        hosts.render_or("no host is alive\n"),
        jobs.render_or("no job is known\n"),
    ];
    if !status.ticks.is_empty() {
        parts.push(ticks.render_or(""));
    }
    parts.push(locks.render_or("no lock is held\n"));
    parts.join("\n")
}

fn who(entry: &EntryStatus) -> String {
    match (&entry.job, &entry.host) {
        (Some(job), Some(host)) => format!("{job}@{host}"),
        _ if entry.administrative => {
            let name = entry.key.rsplit('/').next().unwrap_or_default();
            format!("administrative hold: {name}")
        }
        _ => "another client".into(),
    }
}

/// Time until a moment, by the reader's clock.
fn until(next: u64, now: u64) -> String {
    match next.checked_sub(now) {
        Some(left) if left > 0 => format!("in {}", age(left)),
        _ => "due".into(),
    }
}

/// Prints a time span in its two largest units.
fn age(millis: u64) -> String {
    let seconds = millis / 1000;
    match seconds {
        0 => format!("{millis}ms"),
        1..60 => format!("{seconds}s"),
        60..3600 => format!("{}m{:02}s", seconds / 60, seconds % 60),
        3600..86400 => format!("{}h{:02}m", seconds / 3600, seconds / 60 % 60),
        _ => format!("{}d{:02}h", seconds / 86400, seconds / 3600 % 24),
    }
}

fn print_json(value: &impl Serialize) -> Result<Exit, Failure> {
    print(&printable::json_pretty(value))
}

/// Prints the text; a reader that has closed the pipe counts as satisfied.
pub(crate) fn print(text: &str) -> Result<Exit, Failure> {
    let printed = sink::print(text);
    printed
        .map_err(|error| Failure::internal(&error))
        .map(|()| Exit::Ok)
}

#[cfg(test)]
mod tests {
    use super::*;
    use leasehold_records::{JobState, Outcome, TickState};

    fn run(token: u64, outcome: Outcome) -> RunRecord {
        RunRecord {
            job: "ledger".into(),
            host: "host-a".into(),
            lock: "billing/ledger".into(),
            lock_key: "/leasehold/locks/billing/ledger/694d".into(),
            token,
            sequence: 0,
            run_id: format!("host-a-{token}-0"),
            attempt: 1,
            tick_unix_ms: None,
            plugin_sha256: "00".into(),
            started_unix_ms: 1_000,
            ended_unix_ms: (outcome != Outcome::Running).then_some(63_000),
            outcome,
            detail: "tricky \u{1b}[31m detail".into(),
            calls_admitted: 5,
            calls_refused: 0,
            peak_memory_bytes: 0,
            output: String::new(),
            output_truncated_bytes: 0,
            merged: None,
        }
    }

    #[test]
    fn runs_are_a_table_that_no_record_can_break() {
        let runs = [run(1_204, Outcome::Running), run(1_198, Outcome::Lost)];
        insta::assert_snapshot!(runs_table(&runs, 3_700_000));
        insta::assert_snapshot!(runs_table(&[], 0), @"no runs are recorded");
    }

    #[test]
    fn runs_that_share_a_record_are_a_row_that_counts_them() {
        let many = run(1_198, Outcome::Done).after(&run(1_000, Outcome::Done));
        let table = runs_table(&[many, run(7, Outcome::Exit)], 3_700_000);
        insta::assert_snapshot!(table, @r"
        JOB     TOKEN  HOST    STARTED    TOOK   OUTCOME   LATE  DETAIL
        ledger  1198   host-a  1h01m ago  1m02s  done x 2  0     tricky �[31m detail
        ledger  7      host-a  1h01m ago  1m02s  exit      0     tricky �[31m detail
        ");
    }

    #[test]
    fn status_shows_holders_waiters_and_administrative_holds() {
        let entry = |key: &str, token, lease: &str, job: Option<&str>| EntryStatus {
            key: key.into(),
            token,
            lease: lease.into(),
            ttl_s: (token == 7).then_some(9),
            administrative: lease == "0",
            host: job.map(|_| "host-a".into()),
            job: job.map(Into::into),
        };
        let status = Status {
            not_permitted: Vec::new(),
            revision: Some(12),
            hosts: vec![HostRecord {
                host: "host-a".into(),
                pid: 42,
                version: "0.1.0".into(),
                started_unix_ms: 0,
                jobs: vec!["ledger".into()],
            }],
            jobs: vec![JobRecord {
                job: "ledger".into(),
                host: "host-a".into(),
                lock: "billing".into(),
                state: JobState::Running,
                since_unix_ms: 0,
                token: Some(7),
                next_unix_ms: None,
                last: Some(Outcome::Done),
                detail: String::new(),
                progress: None,
            }],
            ticks: vec![],
            locks: vec![LockStatus {
                lock: "billing".into(),
                entries: vec![
                    entry("l/billing/694d", 7, "694d", Some("ledger")),
                    entry("l/billing/694e", 8, "694e", None),
                    entry("l/billing/maintenance", 9, "0", None),
                ],
            }],
        };
        insta::assert_snapshot!(status_table(&status, 61_000));
    }

    #[test]
    fn status_shows_when_a_job_is_due_and_who_ran_its_latest_tick() {
        let job = |job: &str, next| JobRecord {
            job: job.into(),
            host: "host-a".into(),
            lock: job.into(),
            state: JobState::Sleeping,
            since_unix_ms: 0,
            token: None,
            next_unix_ms: next,
            last: None,
            detail: String::new(),
            progress: None,
        };
        let tick = |job: &str, state, outcome| TickRecord {
            job: job.into(),
            tick_unix_ms: 3_600_000,
            state,
            host: "host-b\u{1b}[31m".into(),
            lock_key: format!("/leasehold/locks/{job}/694d"),
            token: 7,
            attempt: 2,
            run_id: "host-b-7-0".into(),
            claimed_unix_ms: 3_600_010,
            ended_unix_ms: None,
            outcome,
            before: None,
            dropped: false,
            retry_unix_ms: None,
        };
        let status = Status {
            not_permitted: Vec::new(),
            revision: Some(12),
            hosts: vec![],
            jobs: vec![job("nightly", Some(7_200_000)), job("hourly", Some(1_000))],
            ticks: vec![
                tick("nightly", TickState::Done, Some(Outcome::Exit)),
                tick("hourly", TickState::Claimed, None),
            ],
            locks: vec![],
        };
        insta::assert_snapshot!(status_table(&status, 3_661_000));
    }
}
