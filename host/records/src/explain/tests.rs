//! Explanations of every state, as the sentences that an operator reads.

use leasehold_ids::Token;

use super::{QueueFact, StoreFacts, explain};
use crate::fixtures::{host_record, job_record};
use crate::{
    HoldKind, HoldMark, HolderRecord, HostRecord, JobHold, JobPlan, JobRecord, JobState,
    PendingVersion, UnixMs,
};

/// 2026-11-30T20:00:00Z.
const NOW: UnixMs = UnixMs::new(1_796_068_800_000);

fn ago(seconds: u64) -> UnixMs {
    NOW.before(std::time::Duration::from_secs(seconds))
}

fn ahead(seconds: u64) -> UnixMs {
    NOW.after(std::time::Duration::from_secs(seconds))
}

fn host(host: &str, jobs: &[&str]) -> HostRecord {
    HostRecord {
        started_unix_ms: ago(9_000),
        ..host_record(host, jobs)
    }
}

fn record(job: &str, host: &str, state: JobState) -> JobRecord {
    JobRecord {
        lock: "billing".into(),
        since_unix_ms: ago(192),
        ..job_record(job, host, state)
    }
}

fn entry(job: &str, host: &str, token: u64) -> QueueFact {
    QueueFact {
        key: format!("/leasehold/locks/billing/{token:x}"),
        token: Token::new(token),
        is_holder: false,
        is_administrative: false,
        owner: Some(HolderRecord {
            host: host.into(),
            job: job.into(),
            pid: 7,
            since_unix_ms: ago(191),
        }),
        text: String::new(),
    }
}

fn holder(entry: QueueFact) -> QueueFact {
    QueueFact {
        is_holder: true,
        ..entry
    }
}

fn nightly(host: &str, detail: &str) -> JobRecord {
    JobRecord {
        next_unix_ms: Some(ahead(21_603)),
        detail: detail.into(),
        plan: Some(JobPlan {
            schedule: "cron = \"0 3 * * *\"".into(),
            zone: Some("Europe/Berlin".into()),
            tick_unix_ms: Some(ahead(21_600)),
            zone_offset_s: Some(3600),
            attempt: None,
            reason: None,
        }),
        ..record("nightly", host, JobState::Sleeping)
    }
}

/// Returns the explanation as lines: the hosts, and the sentence.
fn lines(facts: &StoreFacts, job: &str) -> String {
    let explanation = explain(facts, job, NOW);
    let reasons = explanation.reasons.iter();
    let lines = reasons.map(|reason| format!("[{}] {}", reason.hosts.join(", "), reason.text));
    let lines: Vec<String> = lines.collect();
    format!("running: {}\n{}", explanation.running, lines.join("\n"))
}

#[test]
fn run_is_explained_with_its_start_and_its_waiters() {
    let running = JobRecord {
        token: Some(Token::new(1204)),
        pending: Some(PendingVersion {
            plugin_sha256: "0123456789abcdef".into(),
            since_unix_ms: ago(60),
        }),
        ..record("ledger", "web1", JobState::Running)
    };
    let waiting = |host| record("ledger", host, JobState::Waiting);
    let hosts = ["web1", "web2", "web3"].map(|name| host(name, &["ledger"]));
    let mut facts = StoreFacts::new(
        hosts.to_vec(),
        vec![waiting("web3"), running, waiting("web2")],
    );
    let queue = [("web1", 1204), ("web2", 1206), ("web3", 1207)];
    let mut queue = queue.map(|(host, token)| entry("ledger", host, token));
    queue[0].is_holder = true;
    facts.queues.insert("billing".into(), queue.to_vec());
    insta::assert_snapshot!(lines(&facts, "ledger"));
}

#[test]
fn next_tick_has_the_clock_of_its_zone_and_the_last_failure() {
    let facts = StoreFacts::new(
        vec![],
        vec![nightly("web1", ""), nightly("web2", "exit code 3")],
    );
    insta::assert_snapshot!(lines(&facts, "nightly"));
    let explanation = explain(&facts, "nightly", NOW);
    assert_eq!(explanation.summary("web1"), "");
    assert_eq!(
        explanation.summary("web2"),
        "its last run here failed: exit code 3"
    );
}

#[test]
fn each_hindrance_is_a_sentence_about_its_host() {
    let lacking = JobRecord {
        detail: "secret `db` cannot be read: no file /etc/db\u{1b}[2J".into(),
        next_unix_ms: Some(ahead(30)),
        ..record("j", "a", JobState::StandingBack)
    };
    let full = JobRecord {
        detail: "no free slot on this host (max_runs = 4)".into(),
        ..record("j", "b", JobState::StandingBack)
    };
    let backing_off = JobRecord {
        detail: "trap: unreachable".into(),
        next_unix_ms: Some(ahead(12)),
        plan: Some(JobPlan {
            attempt: Some(3),
            ..JobPlan::default()
        }),
        ..record("j", "c", JobState::Sleeping)
    };
    let failed = JobRecord {
        detail: "it asked for no other attempt".into(),
        ..record("j", "d", JobState::Failed)
    };
    let earlier = JobRecord {
        next_unix_ms: Some(ahead(60)),
        ..record("j", "f", JobState::Sleeping)
    };
    let facts = StoreFacts::new(
        vec![host("g", &["j"])],
        vec![
            lacking,
            full,
            backing_off,
            failed,
            record("j", "e", JobState::Finished),
            earlier,
            record("j", "h", JobState::Waiting),
        ],
    );
    insta::assert_snapshot!(lines(&facts, "j"));
}

#[test]
fn blocking_clients_are_named_with_their_keys() {
    let waiting = || vec![record("j", "a", JobState::Waiting)];
    let mut facts = StoreFacts::new(vec![], waiting());
    let hold = QueueFact {
        key: "/leasehold/locks/billing/maintenance".into(),
        is_administrative: true,
        owner: None,
        text: "db upgrade, ask ops".into(),
        ..entry("", "", 5)
    };
    let foreign = QueueFact {
        owner: None,
        ..entry("", "", 6)
    };
    let mut shown = Vec::new();
    for first in [hold, foreign, entry("tick", "web3", 7)] {
        let queue = vec![holder(first), entry("j", "z", 8), entry("j", "a", 9)];
        facts.queues.insert("billing".into(), queue);
        shown.push(lines(&facts, "j"));
    }
    facts
        .queues
        .insert("billing".into(), vec![holder(entry("j", "a", 9))]);
    shown.push(lines(&facts, "j"));
    insta::assert_snapshot!(shown.join("\n"));
}

/// Fails when an entry of a session that died counts as the job's place in the queue.
#[test]
fn entry_of_an_earlier_session_blocks_its_own_host() {
    let mut facts = StoreFacts::new(vec![], vec![record("j", "a", JobState::Waiting)]);
    let queue = vec![holder(entry("j", "a", 7)), entry("j", "a", 9)];
    facts.queues.insert("billing".into(), queue);
    insta::assert_snapshot!(lines(&facts, "j"), @r"
    running: false
    [a] has waited for 3m12s behind j@a (an earlier session), which holds lock `billing`, token 7; alone in the queue
    ");
}

/// Fails when a host that has just come back appears to hold the lock of its dead session.
#[test]
fn lone_entry_older_than_the_wait_is_not_its_own() {
    let mut facts = StoreFacts::new(vec![], vec![record("j", "a", JobState::Waiting)]);
    let mut earlier = holder(entry("j", "a", 7));
    if let Some(owner) = &mut earlier.owner {
        owner.since_unix_ms = ago(193);
    }
    facts.queues.insert("billing".into(), vec![earlier.clone()]);
    insta::assert_snapshot!(lines(&facts, "j"), @r"
    running: false
    [a] is joining the queue of lock `billing` since 19:56:48 UTC (3m12s)
    ");
    let queue = vec![earlier, entry("j", "a", 9)];
    facts.queues.insert("billing".into(), queue);
    insta::assert_snapshot!(lines(&facts, "j"), @r"
    running: false
    [a] has waited for 3m12s behind j@a (an earlier session), which holds lock `billing`, token 7; alone in the queue
    ");
}

/// Fails when a pause that only one host shows counts for another.
#[test]
fn pause_of_one_host_is_none_of_another() {
    let hold = JobHold {
        kind: HoldKind::Paused,
        mark: HoldMark {
            by: "ada@desk".into(),
            why: String::new(),
            at_unix_ms: ago(600),
            until_unix_ms: None,
        },
    };
    let paused = JobRecord {
        holds: vec![hold],
        ..record("j", "a", JobState::StandingBack)
    };
    let facts = StoreFacts::new(vec![], vec![paused, record("j", "b", JobState::Running)]);
    let mut explanation = explain(&facts, "j", NOW);
    assert!(explanation.paused && explanation.running);
    explanation.keep_only("b");
    assert!(!explanation.paused && explanation.running);
}

#[test]
fn wait_is_explained_by_the_first_lock_that_is_not_had() {
    let both = JobRecord {
        lock: "billing+audit".into(),
        ..record("j", "a", JobState::Waiting)
    };
    let mut facts = StoreFacts::new(vec![], vec![both]);
    let own = entry("j", "a", 9);
    let readers = [6, 7, 8].map(|token| holder(entry("read", "web3", token)));
    let mut shown = Vec::new();
    for others in [&readers[..], &readers[..2], &[]] {
        let mut audit = others.to_vec();
        audit.push(QueueFact {
            is_holder: others.is_empty(),
            ..own.clone()
        });
        facts
            .queues
            .insert("billing".into(), vec![holder(own.clone())]);
        facts.queues.insert("audit".into(), audit);
        shown.push(lines(&facts, "j"));
    }
    insta::assert_snapshot!(shown.join("\n"));
}

#[test]
fn operators_decisions_replace_the_lack_that_they_cause() {
    let decision = |until| HoldMark {
        by: "ada@desk".into(),
        why: "disk is full".into(),
        at_unix_ms: ago(600),
        until_unix_ms: until,
    };
    let held = JobRecord {
        detail: "paused by an operator".into(),
        holds: vec![JobHold {
            kind: HoldKind::Paused,
            mark: decision(None),
        }],
        ..record("j", "a", JobState::StandingBack)
    };
    let mut facts = StoreFacts::new(vec![], vec![held, record("j", "b", JobState::StandingBack)]);
    let recorded = lines(&facts, "j");
    facts.drains.insert("a".into(), decision(None));
    let drained = lines(&facts, "j");
    facts.drains.clear();
    facts
        .pauses
        .insert("j".into(), decision(Some(ahead(3_600))));
    let paused = lines(&facts, "j");
    facts.pauses.insert("j".into(), decision(Some(ago(1))));
    assert_eq!(lines(&facts, "j"), recorded, "a pause that is over");
    facts.pause_of_all = Some(decision(None));
    let all = lines(&facts, "j");
    insta::assert_snapshot!([recorded, drained, paused, all].join("\n"));
}

#[test]
fn job_without_a_live_host_is_explained_by_that() {
    let facts = StoreFacts::new(vec![host("a", &[]), host("b", &["other"])], vec![]);
    insta::assert_snapshot!(lines(&facts, "j"), @r"
    running: false
    [] no live host has it; 2 hosts are alive
    ");
    insta::assert_snapshot!(lines(&StoreFacts::default(), "j"), @r"
    running: false
    [] no host is alive
    ");
}

#[test]
fn reason_in_json_has_its_kind_and_its_sentence() {
    let facts = StoreFacts::new(vec![], vec![nightly("web1", "")]);
    let json = serde_json::to_value(explain(&facts, "nightly", NOW)).unwrap();
    let reason = &json["reasons"][0];
    assert_eq!(reason["kind"], "next-tick");
    assert_eq!(reason["hosts"][0], "web1");
    assert_eq!(reason["at_unix_ms"], ahead(21_600).as_u64());
    assert_eq!(reason["zone"], "Europe/Berlin");
    assert!(reason["text"].as_str().unwrap().starts_with("next tick at"));
}
