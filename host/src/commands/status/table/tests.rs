//! Tables of `status` as an operator sees them, at several widths.

use leasehold_records::Outcome::{Done, Exit, Running};
use std::collections::BTreeMap;

use leasehold_lock::queue_role::holders;
use leasehold_lock::{LockMode, Revision, Token};
use leasehold_records::explain::{QueueFact, StoreFacts, explain};
use leasehold_records::fixtures::{host_record, job_record};
use leasehold_records::{HoldMark, HolderRecord, JobFiles, JobPlan, Outcome, TickState};

use super::*;
use crate::absent_host::AbsentHost;

/// 2026-11-30T20:00:00Z.
const NOW: UnixMs = UnixMs::new(1_796_068_800_000);

fn ago(seconds: u64) -> UnixMs {
    NOW.before(std::time::Duration::from_secs(seconds))
}

fn ahead(seconds: u64) -> UnixMs {
    NOW.after(std::time::Duration::from_secs(seconds))
}

fn host(host: &str, version: &str, files: &str) -> HostRecord {
    HostRecord {
        pid: 42,
        version: version.into(),
        started_unix_ms: ago(90_061),
        files: files.into(),
        ..host_record(host, &["ledger", "nightly"])
    }
}

fn job(job: &str, host: &str, state: JobState) -> JobRecord {
    JobRecord {
        lock: "billing".into(),
        since_unix_ms: ago(192),
        token: (state == JobState::Running).then_some(Token::new(1204)),
        files: Some(JobFiles {
            plugin_sha256: if host == "web3" { "01" } else { "00" }.into(),
            settings: "aa".into(),
        }),
        ..job_record(job, host, state)
    }
}

fn nightly(host: &str, detail: &str) -> JobRecord {
    JobRecord {
        next_unix_ms: Some(ahead(21_603)),
        detail: detail.into(),
        lock: "nightly".into(),
        plan: Some(JobPlan {
            schedule: "cron = \"0 3 * * *\"".into(),
            zone: Some("Europe/Berlin".into()),
            tick_unix_ms: Some(ahead(21_600)),
            zone_offset_s: Some(3600),
            attempt: None,
            reason: None,
        }),
        ..job("nightly", host, JobState::Sleeping)
    }
}

fn entry(key: &str, token: u64, owner: Option<(&str, &str)>) -> EntryStatus {
    EntryStatus {
        key: format!("/leasehold/locks/billing/{key}"),
        token: Token::new(token),
        lease: if key == "maintenance" { "0" } else { key }.into(),
        mode: LockMode::Exclusive,
        ttl_s: (token == 1204).then_some(9),
        administrative: key == "maintenance",
        job: owner.map(|(job, _)| job.into()),
        host: owner.map(|(_, host)| host.into()),
    }
}

fn tick(state: TickState, outcome: Option<Outcome>) -> TickRecord {
    TickRecord {
        job: "nightly".into(),
        tick_unix_ms: ago(64_800),
        state,
        host: "web2\u{1b}[31m".into(),
        lock_key: String::new(),
        token: Token::new(1190),
        attempt: 2,
        run_id: String::new(),
        claimed_unix_ms: ago(64_799),
        ended_unix_ms: None,
        outcome,
        before: None,
        schedule: String::new(),
        dropped: false,
        retry_unix_ms: None,
    }
}

fn absent() -> AbsentHost {
    AbsentHost {
        host: "web4".into(),
        drain: HoldMark {
            by: "ada@desk".into(),
            why: "a new disk".into(),
            at_unix_ms: ago(600),
            until_unix_ms: None,
        },
    }
}

fn status() -> Status {
    let hosts = vec![
        host("web1", "0.2.0", "3f2a91c0aa11"),
        host("web2", "0.2.0", "3f2a91c0aa11"),
        host("web3", "0.1.0", "77aa00bb11cc"),
    ];
    let lacking = JobRecord {
        detail: "no free slot on this host (max_runs = 4)".into(),
        ..job("ledger", "web3", JobState::StandingBack)
    };
    let jobs = vec![
        job("ledger", "web1", JobState::Running),
        job("ledger", "web2", JobState::Waiting),
        lacking,
        nightly("web1", ""),
        nightly("web2", "exit code 3"),
    ];
    let fact = |host: &str, token: u64| QueueFact {
        key: format!("/leasehold/locks/billing/{token}"),
        token: Token::new(token),
        is_holder: token == 1204,
        is_administrative: false,
        owner: Some(HolderRecord {
            host: host.into(),
            job: "ledger".into(),
            pid: 1,
            since_unix_ms: ago(192),
        }),
        text: String::new(),
    };
    let mut facts = StoreFacts::new(hosts.clone(), jobs.clone());
    let queue = vec![fact("web1", 1204), fact("web2", 1206)];
    facts.queues.insert("billing".into(), queue);
    let by = HoldMark {
        by: "ada@desk".into(),
        why: "disk is full".into(),
        at_unix_ms: ago(600),
        until_unix_ms: None,
    };
    facts.pauses.insert("nightly".into(), by);
    Status {
        not_permitted: Vec::new(),
        revision: Some(Revision::new(12)),
        hosts,
        absent: vec![absent()],
        jobs,
        ticks: vec![tick(TickState::Done, Some(Exit))],
        locks: vec![LockStatus {
            permits: None,
            lock: "billing".into(),
            entries: vec![
                entry("694d", 1204, Some(("ledger", "web1"))),
                entry("694e", 1206, Some(("ledger", "web2"))),
                entry("694f", 1207, None),
                entry("maintenance", 1209, None),
            ],
        }],
        recent: BTreeMap::from([
            ("ledger".into(), vec![Done, Done, Exit, Done, Running]),
            ("nightly".into(), vec![Done, Exit]),
        ]),
        explanations: ["ledger", "nightly", "orphan"]
            .map(|job| explain(&facts, job, NOW))
            .to_vec(),
    }
}

#[test]
fn status_shows_jobs_once_with_hosts_and_reasons_at_any_width() {
    insta::assert_snapshot!("status_piped", render(&status(), NOW, Look::plain()));
    for width in [200, 80, 60] {
        let text = render(&status(), NOW, Look::wide(width));
        let widest = text.lines().map(|line| line.chars().count()).max();
        assert!(widest.is_some_and(|widest| widest <= width), "{text}");
        insta::assert_snapshot!(format!("status_{width}"), text);
    }
}

#[test]
fn status_without_records_is_three_sentences() {
    let nothing = Status {
        hosts: Vec::new(),
        absent: Vec::new(),
        jobs: Vec::new(),
        ticks: Vec::new(),
        locks: Vec::new(),
        recent: BTreeMap::new(),
        explanations: Vec::new(),
        ..status()
    };
    insta::assert_snapshot!(render(&nothing, NOW, Look::plain()), @r"
    no host is alive

    no job is known

    no lock is held
    ");
    let of_absent_host = Status {
        absent: vec![absent()],
        ..nothing
    };
    insta::assert_snapshot!(
        render(&of_absent_host, NOW, Look::plain()),
        @r#"web4 does not run: drained by ada@desk: "a new disk", since 19:50 UTC (10m00s); `leasehold undrain web4` ends that"#
    );
}

#[test]
fn holders_of_permits_and_shared_locks_show_their_modes() {
    let permit = |weight| LockMode::permits(weight, 3).unwrap();
    let row = |token, mode, host| EntryStatus {
        mode,
        ..entry(&format!("{token:x}"), token, Some(("w", host)))
    };
    let lock = |lock: &str, entries: Vec<EntryStatus>| LockStatus {
        lock: lock.into(),
        permits: PermitUse::count(holders(&entries)),
        entries,
    };
    let locks = [
        lock(
            "workers",
            vec![
                row(1, permit(2), "web1"),
                row(2, permit(1), "web2"),
                row(3, permit(1), "web3"),
            ],
        ),
        lock(
            "ledger",
            vec![
                row(4, LockMode::Shared, "web1"),
                row(5, LockMode::Exclusive, "web2"),
                row(6, LockMode::Shared, "web3"),
            ],
        ),
    ];
    insta::assert_snapshot!(lock_table(&locks).render_or("", Look::plain()));
}
