//! Tables of `status`: hosts, jobs with their hosts, ticks and locks.

use std::collections::BTreeMap;

use leasehold_config::wall::UnixMs;
use leasehold_lock::queue_role::with_roles;
use leasehold_lock::{LockMode, QueueRole};
use leasehold_records::explain::{Explanation, ReasonKind};
use leasehold_records::wall_text::{ZoneOffset, age, clock, until};
use leasehold_records::{HostRecord, JobRecord, JobState, TickRecord};

use super::Status;
use super::odd_ones::odd_ones;
use crate::look::Look;
use crate::recent_runs::SHOWN;
use crate::store_reading::{EntryStatus, LockStatus, PermitUse};
use crate::table::{Cell, Column, Table, Tint};
use crate::wrap::wrap;

/// Digits of a digest: enough to tell two apart.
const DIGITS: usize = 8;

/// Renders all tables for this look.
pub(super) fn render(status: &Status, now: UnixMs, look: Look) -> String {
    let absent = status.absent.iter().map(|host| host.describe(now));
    let absent: Vec<String> = absent
        .map(|text| wrap(&text, look.width, 2) + "\n")
        .collect();
    let is_of_absent_host = status.hosts.is_empty() && status.explanations.is_empty();
    if is_of_absent_host && !absent.is_empty() {
        return absent.concat();
    }
    let (hosts, differ) = host_table(&status.hosts, now);
    let hosts = hosts.render_or("no host is alive\n", look);
    let mut parts = vec![hosts + &absent.concat()];
    let (jobs, others) = job_table(status, now);
    parts.push(jobs.render_or("no job is known\n", look));
    if !status.ticks.is_empty() {
        parts.push(tick_table(&status.ticks, now).render_or("", look));
    }
    parts.push(lock_table(&status.locks).render_or("no lock is held\n", look));
    if differ || others {
        parts.push("* differs from the other hosts\n".into());
    }
    parts.join("\n")
}

/// Returns the table of hosts, and true if some differ from the others.
fn host_table(hosts: &[HostRecord], now: UnixMs) -> (Table<6>, bool) {
    let mut table = Table::new([
        Column::fixed("HOST"),
        Column::fixed("PID").droppable(2),
        Column::fixed("UP").droppable(1),
        Column::fixed("VERSION"),
        Column::fixed("FILES"),
        Column::fixed("JOBS"),
    ]);
    let versions: Vec<&str> = hosts.iter().map(|host| host.version.as_str()).collect();
    let versions_differ = odd_ones(&versions);
    let files_differ = files_differ(hosts);
    for (at, host) in hosts.iter().enumerate() {
        let up = age(now.since(host.started_unix_ms));
        let since = clock(host.started_unix_ms, ZoneOffset::UTC, now);
        table.row([
            host.host.as_str().into(),
            host.pid.to_string().into(),
            Cell::timed(&up, &since),
            marked(&host.version, versions_differ[at]),
            marked(host.files.get(..DIGITS).unwrap_or(""), files_differ[at]),
            host.jobs.len().to_string().into(),
        ]);
    }
    let differ = versions_differ.iter().chain(&files_differ).any(|odd| *odd);
    (table, differ)
}

/// Returns for each host if its files differ from those of most hosts that have the same jobs.
fn files_differ(hosts: &[HostRecord]) -> Vec<bool> {
    let mut groups: BTreeMap<&[String], Vec<usize>> = BTreeMap::new();
    for (at, host) in hosts.iter().enumerate() {
        groups.entry(&host.jobs).or_default().push(at);
    }
    let mut differ = vec![false; hosts.len()];
    for group in groups.values() {
        let files: Vec<&str> = group.iter().map(|at| hosts[*at].files.as_str()).collect();
        for (at, is_odd) in group.iter().zip(odd_ones(&files)) {
            differ[*at] = is_odd;
        }
    }
    differ
}

/// Returns the table of jobs, each once with its hosts beneath, and true if some hosts differ from the others.
fn job_table(status: &Status, now: UnixMs) -> (Table<9>, bool) {
    let mut table = Table::new([
        Column::fixed("JOB"),
        Column::fixed("RUNS").droppable(3),
        Column::fixed("HOST"),
        Column::fixed("STATE"),
        Column::fixed("SINCE").droppable(4),
        Column::fixed("TOKEN").droppable(5),
        Column::fixed("LOCK").droppable(6),
        Column::fixed("NEXT").droppable(2),
        Column::text("WHY", 28).droppable(1),
    ]);
    let mut differ = false;
    for explanation in &status.explanations {
        let records = status
            .jobs
            .iter()
            .filter(|record| record.job == explanation.job);
        let records: Vec<&JobRecord> = records.collect();
        let odd = job_files_differ(&records);
        differ |= odd.contains(&true);
        let mut head = Some(job_head(status, &explanation.job));
        for (record, is_odd) in records.iter().zip(odd) {
            let [job, strip] = head.take().unwrap_or_default();
            table.row(job_row([job, strip], record, is_odd, explanation, now));
        }
        if let Some([job, strip]) = head {
            let why = explanation.reasons.first().map(|reason| &*reason.text);
            let dash = || Cell::from("-");
            let why = why.unwrap_or("-").into();
            table.row([
                job,
                strip,
                dash(),
                dash(),
                dash(),
                dash(),
                dash(),
                dash(),
                why,
            ]);
        }
    }
    (table, differ)
}

/// Returns the name of a job and the strip of its last outcomes.
fn job_head(status: &Status, job: &str) -> [Cell; 2] {
    let recent = status.recent.get(job).map_or(&[][..], Vec::as_slice);
    let recent = &recent[recent.len().saturating_sub(SHOWN)..];
    [job.into(), Cell::strip(recent.iter().copied())]
}

fn job_row(
    [job, strip]: [Cell; 2],
    record: &JobRecord,
    is_odd: bool,
    explanation: &Explanation,
    now: UnixMs,
) -> [Cell; 9] {
    let since = clock(record.since_unix_ms, ZoneOffset::UTC, now);
    let since = Cell::timed(&age(now.since(record.since_unix_ms)), &since);
    let (state, tint) = state_of(record, explanation);
    [
        job,
        strip,
        marked(&record.host, is_odd),
        Cell::tinted(state, tint),
        since,
        record
            .token
            .map_or_else(|| "-".into(), |token| token.to_string().into()),
        record.lock.as_str().into(),
        next_of(record, explanation, now),
        explanation.summary(&record.host).into(),
    ]
}

/// Returns the word of a job's state on a host. An operator's decision has precedence over the wait it causes.
fn state_of(record: &JobRecord, explanation: &Explanation) -> (&'static str, Tint) {
    let decision = explanation.decision_on(&record.host);
    let word = record.state.as_str();
    match (record.state, decision) {
        (JobState::Running | JobState::Pausing, _) => (word, Tint::Good),
        (JobState::Failed, _) => (word, Tint::Bad),
        (_, Some(decision)) => (decision, Tint::Warn),
        (JobState::StandingBack, None) => (word, Tint::Warn),
        (JobState::Sleeping | JobState::Waiting | JobState::Finished, None) => (word, Tint::Plain),
    }
}

/// Returns the time when a job continues: relative, and by the clock of its zone.
fn next_of(record: &JobRecord, explanation: &Explanation, now: UnixMs) -> Cell {
    let Some(next) = record.next_unix_ms else {
        return "-".into();
    };
    let tick = explanation
        .on(&record.host)
        .find_map(|reason| match &reason.kind {
            ReasonKind::NextTick(tick) => Some(tick),
            _ => None,
        });
    if let Some(tick) = tick {
        let at = clock(tick.at_unix_ms, tick.zone_offset(), now);
        Cell::timed(&until(tick.at_unix_ms, now), &at)
    } else {
        let at = clock(next, ZoneOffset::UTC, now);
        Cell::timed(&until(next, now), &at)
    }
}

/// Returns for each host if its version of the job differs from that of most hosts.
fn job_files_differ(records: &[&JobRecord]) -> Vec<bool> {
    let files: Vec<String> = records
        .iter()
        .map(|record| {
            let files = record.files.as_ref();
            files.map_or_else(String::new, |files| {
                format!("{} {}", files.plugin_sha256, files.settings)
            })
        })
        .collect();
    let files: Vec<&str> = files.iter().map(String::as_str).collect();
    odd_ones(&files)
}

fn tick_table(ticks: &[TickRecord], now: UnixMs) -> Table<7> {
    let mut table = Table::new([
        Column::fixed("TICK OF"),
        Column::fixed("AT"),
        Column::fixed("STATE"),
        Column::fixed("BY").droppable(1),
        Column::fixed("ATTEMPT").droppable(3),
        Column::fixed("TOKEN").droppable(2),
        Column::fixed("OUTCOME"),
    ]);
    for tick in ticks {
        let at = tick.tick_unix_ms;
        let when = if at > now {
            until(at, now)
        } else {
            format!("{} ago", age(now.since(at)))
        };
        let outcome = tick.outcome;
        let tint = if outcome.is_some_and(leasehold_records::Outcome::is_failure) {
            Tint::Bad
        } else {
            Tint::Plain
        };
        let outcome = outcome.map_or("-", leasehold_records::Outcome::as_str);
        table.row([
            tick.job.as_str().into(),
            Cell::timed(&at.to_string(), &when),
            tick.state.as_str().into(),
            tick.host.as_str().into(),
            tick.attempt.to_string().into(),
            tick.token.to_string().into(),
            Cell::tinted(outcome, tint),
        ]);
    }
    table
}

fn lock_table(locks: &[LockStatus]) -> Table<6> {
    let mut table = Table::new([
        Column::fixed("LOCK"),
        Column::fixed("PLACE"),
        Column::text("WHO", 20),
        Column::fixed("TOKEN").droppable(1),
        Column::fixed("LEASE").droppable(3),
        Column::fixed("TTL").droppable(2),
    ]);
    for lock in locks {
        for (role, entry) in with_roles(&lock.entries) {
            table.row([
                lock.lock.as_str().into(),
                describe_place(role, entry, lock.permits).into(),
                describe_owner(entry).into(),
                entry.token.to_string().into(),
                if entry.administrative {
                    "none".into()
                } else {
                    entry.lease.as_str().into()
                },
                entry
                    .ttl_s
                    .map_or_else(|| "-".into(), |ttl| format!("{ttl}s").into()),
            ]);
        }
    }
    table
}

/// Returns the place of an entry, with its mode and the permits that all holders have.
fn describe_place(role: QueueRole, entry: &EntryStatus, all: Option<PermitUse>) -> String {
    let place = match role {
        QueueRole::Holder => "holds".to_owned(),
        QueueRole::Waiter(ahead) => format!("#{ahead}"),
    };
    match (entry.mode, role, all) {
        (LockMode::Exclusive, ..) => place,
        (LockMode::Shared, ..) => format!("{place} shared"),
        (LockMode::Permits(own), QueueRole::Holder, Some(PermitUse { held, of })) => {
            format!("{place} {} ({held}/{of} held)", own.weight())
        }
        (LockMode::Permits(own), ..) => format!("{place} for {}", own.weight()),
    }
}

fn describe_owner(entry: &EntryStatus) -> String {
    match (&entry.job, &entry.host) {
        (Some(job), Some(host)) => format!("{job}@{host}"),
        _ if entry.administrative => {
            let name = entry.key.rsplit('/').next().unwrap_or_default();
            format!("administrative hold: {name}")
        }
        _ => "another client".into(),
    }
}

/// Returns a cell with a mark if its value differs from others.
fn marked(text: &str, is_odd: bool) -> Cell {
    if is_odd {
        Cell::tinted(&format!("{text} *"), Tint::Warn)
    } else {
        Cell::or_dash(text)
    }
}

#[cfg(test)]
mod tests;
