//! `leasehold status`: hosts, jobs, ticks and locks as they are now.

use std::path::PathBuf;
use std::time::SystemTime;

use clap::Args;
use leasehold_config::wall::UnixMs;
use leasehold_lock::queue_role::with_roles;
use leasehold_lock::{QueueRole, RefusalKind, Revision, StoreError, Token, ViewFreshness};
use leasehold_records::{HolderRecord, HostRecord, JobRecord, TickRecord, printable};
use serde::Serialize;

use crate::age::{age, until};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::record_reader::{RecordReader, is_denied, records, unread};
use crate::show_format::{ShowFormat, print, print_json};
use crate::sink;
use crate::table::Table;

/// Arguments of `leasehold status`.
#[derive(Args)]
pub(crate) struct StatusArgs {
    /// The configuration, a file or a folder, for its [store].
    #[arg(short, long, value_name = "FILE", default_value = "leasehold.toml")]
    config: PathBuf,
    /// Output format.
    #[arg(long, value_enum, default_value = "table")]
    format: ShowFormat,
}

/// Output of `status`, in its JSON form.
#[derive(Serialize)]
struct Status {
    /// Revision of the locks.
    #[serde(skip_serializing_if = "Option::is_none")]
    revision: Option<Revision>,
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
    token: Token,
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
pub(crate) async fn run(args: StatusArgs) -> Result<Exit, Failure> {
    let reader = RecordReader::open(&args.config).await?;
    let read = read_status(&reader).await;
    reader.locks.close().await;
    let status = read.map_err(|error| unread(&error))?;
    for prefix in &status.not_permitted {
        let prefix = printable::line(prefix);
        sink::print_error(&format!(
            "warning: not permitted to read {prefix}: it is left out\n"
        ));
    }
    match args.format {
        ShowFormat::Json => print_json(&status),
        ShowFormat::Table => print(&status_table(
            &status,
            UnixMs::from_system(SystemTime::now()),
        )),
    }
}

/// Prefixes that `status` reads.
const PARTS: usize = 4;

async fn read_status(reader: &RecordReader) -> Result<Status, StoreError> {
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
async fn read_locks(reader: &RecordReader) -> Result<(Revision, Vec<LockStatus>), StoreError> {
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
        for (role, entry) in with_roles(entries) {
            let who = HolderRecord::from_json(&entry.value).ok();
            let ttl = if role.is_holder() && !entry.is_administrative() {
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
                token: entry.create_revision.into(),
                lease: entry.lease.to_string(),
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

fn status_table(status: &Status, now: UnixMs) -> String {
    let mut parts = vec![
        host_table(&status.hosts, now).render_or("no host is alive\n"),
        job_table(&status.jobs, now).render_or("no job is known\n"),
    ];
    if !status.ticks.is_empty() {
        parts.push(tick_table(&status.ticks).render_or(""));
    }
    parts.push(lock_table(&status.locks).render_or("no lock is held\n"));
    parts.join("\n")
}

fn host_table(hosts: &[HostRecord], now: UnixMs) -> Table<5> {
    let mut table = Table::new(["HOST", "PID", "UP", "VERSION", "JOBS"]);
    for host in hosts {
        table.row([
            host.host.clone(),
            host.pid.to_string(),
            age(now.since(host.started_unix_ms)),
            host.version.clone(),
            host.jobs.len().to_string(),
        ]);
    }
    table
}

fn job_table(jobs: &[JobRecord], now: UnixMs) -> Table<9> {
    let mut table = Table::new([
        "JOB", "HOST", "STATE", "SINCE", "LOCK", "TOKEN", "LAST", "NEXT", "DETAIL",
    ]);
    for job in jobs {
        table.row([
            job.job.clone(),
            job.host.clone(),
            job.state.as_str().into(),
            age(now.since(job.since_unix_ms)),
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
    table
}

fn tick_table(ticks: &[TickRecord]) -> Table<7> {
    let mut table = Table::new([
        "TICK OF", "AT", "STATE", "BY", "ATTEMPT", "TOKEN", "OUTCOME",
    ]);
    for tick in ticks {
        table.row([
            tick.job.clone(),
            tick.tick_unix_ms.to_string(),
            tick.state.as_str().into(),
            tick.host.clone(),
            tick.attempt.to_string(),
            tick.token.to_string(),
            tick.outcome
                .map_or("-", leasehold_records::Outcome::as_str)
                .into(),
        ]);
    }
    table
}

fn lock_table(locks: &[LockStatus]) -> Table<6> {
    let mut table = Table::new(["LOCK", "PLACE", "WHO", "TOKEN", "LEASE", "TTL"]);
    for lock in locks {
        for (role, entry) in with_roles(&lock.entries) {
            table.row([
                lock.lock.clone(),
                match role {
                    QueueRole::Holder => "holds".into(),
                    QueueRole::Waiter(ahead) => format!("#{ahead}"),
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
    table
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

#[cfg(test)]
mod tests {
    use super::*;
    use leasehold_records::{JobState, Outcome, TickState};

    #[test]
    fn status_shows_holders_waiters_and_administrative_holds() {
        let entry = |key: &str, token, lease: &str, job: Option<&str>| EntryStatus {
            key: key.into(),
            token: Token::new(token),
            lease: lease.into(),
            ttl_s: (token == 7).then_some(9),
            administrative: lease == "0",
            host: job.map(|_| "host-a".into()),
            job: job.map(Into::into),
        };
        let status = Status {
            not_permitted: Vec::new(),
            revision: Some(Revision::new(12)),
            hosts: vec![HostRecord {
                host: "host-a".into(),
                pid: 42,
                version: "0.1.0".into(),
                started_unix_ms: UnixMs::new(0),
                jobs: vec!["ledger".into()],
            }],
            jobs: vec![JobRecord {
                job: "ledger".into(),
                host: "host-a".into(),
                lock: "billing".into(),
                state: JobState::Running,
                since_unix_ms: UnixMs::new(0),
                token: Some(Token::new(7)),
                next_unix_ms: None,
                last: Some(Outcome::Done),
                detail: String::new(),
                progress: None,
                holds: Vec::new(),
                pending: None,
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
        insta::assert_snapshot!(status_table(&status, UnixMs::new(61_000)));
    }

    #[test]
    fn status_shows_when_a_job_is_due_and_who_ran_its_latest_tick() {
        let job = |job: &str, next| JobRecord {
            job: job.into(),
            host: "host-a".into(),
            lock: job.into(),
            state: JobState::Sleeping,
            since_unix_ms: UnixMs::new(0),
            token: None,
            next_unix_ms: next,
            last: None,
            detail: String::new(),
            progress: None,
            holds: Vec::new(),
            pending: None,
        };
        let tick = |job: &str, state, outcome| TickRecord {
            job: job.into(),
            tick_unix_ms: UnixMs::new(3_600_000),
            state,
            host: "host-b\u{1b}[31m".into(),
            lock_key: format!("/leasehold/locks/{job}/694d"),
            token: Token::new(7),
            attempt: 2,
            run_id: "host-b-7-0".into(),
            claimed_unix_ms: UnixMs::new(3_600_010),
            ended_unix_ms: None,
            outcome,
            before: None,
            schedule: String::new(),
            dropped: false,
            retry_unix_ms: None,
        };
        let status = Status {
            not_permitted: Vec::new(),
            revision: Some(Revision::new(12)),
            hosts: vec![],
            jobs: vec![
                job("nightly", Some(UnixMs::new(7_200_000))),
                job("hourly", Some(UnixMs::new(1_000))),
            ],
            ticks: vec![
                tick("nightly", TickState::Done, Some(Outcome::Exit)),
                tick("hourly", TickState::Claimed, None),
            ],
            locks: vec![],
        };
        insta::assert_snapshot!(status_table(&status, UnixMs::new(3_661_000)));
    }
}
