//! Every promise on evidence that keeps it and on evidence that breaks it.

use leasehold_tests::checks::history::Change;
use serde_json::{Value, json};

use super::*;

const DEADLINE: u64 = 1_000_000;

/// One run of a job with ticks, recorded and marked, as its host and the store saw it.
struct Run {
    host: &'static str,
    token: u64,
    tick: u64,
    from: u64,
    until: u64,
}

impl Run {
    const fn new(host: &'static str, token: u64, tick: u64, from: u64, until: u64) -> Self {
        Self {
            host,
            token,
            tick,
            from,
            until,
        }
    }

    fn event(&self, name: &str, at: u64) -> Event {
        let line = json!({
            "event": name, "host": self.host, "job": "tick-0", "lock": "tick-0", "token": self.token,
            "run": format!("{}-{}", self.host, self.token), "boot_ns": at, "tick": self.tick.to_string(),
            "outcome": "done", "stopped_ns": self.until, "deadline_ns": DEADLINE,
            "last_admitted_ns": self.until - 1,
        });
        Event::parse(&line.to_string())
    }

    fn events(&self) -> Vec<Event> {
        vec![
            self.event("acquired", self.from),
            self.event("run-started", self.from),
            self.event("guest", self.from + 1),
            self.event("run-ended", self.until),
            self.event("released", self.until + 1),
        ]
    }

    /// Entry, claim, record, mark and release, from the token on.
    fn changes(&self) -> Vec<Change> {
        let entry = format!("/leasehold/locks/tick-0/{}", self.host);
        let record = json!({
            "job": "tick-0", "host": self.host, "lock": "tick-0", "lock_key": entry, "token": self.token,
            "sequence": 0, "run_id": format!("{}-{}", self.host, self.token), "attempt": 1,
            "plugin_sha256": "", "started_unix_ms": 1, "outcome": "done",
        });
        vec![
            put(&entry, self.token, &json!({})),
            self.tick("claimed", self.token + 1),
            put(
                &format!("/leasehold/runs/tick-0/{}", self.token),
                self.token + 2,
                &record,
            ),
            self.tick("done", self.token + 3),
            Change {
                key: entry,
                revision: self.token + 4,
                put: None,
            },
        ]
    }

    fn tick(&self, state: &str, revision: u64) -> Change {
        let record = json!({
            "job": "tick-0", "tick_unix_ms": self.tick, "state": state, "host": self.host, "lock_key": "",
            "token": self.token, "attempt": 1, "run_id": "", "claimed_unix_ms": 1,
        });
        put("/leasehold/ticks/tick-0", revision, &record)
    }
}

fn put(key: &str, revision: u64, value: &Value) -> Change {
    Change {
        key: key.to_owned(),
        revision,
        put: Some((revision, value.to_string())),
    }
}

fn evidence(runs: &[Run]) -> Evidence {
    let life = |run: &Run| Life {
        events: run.events(),
        name: run.host.to_owned(),
        killed: false,
        frozen: false,
        died: None,
    };
    Evidence {
        lives: runs.iter().map(life).collect(),
        history: StoreHistory {
            since: 1,
            changes: runs.iter().flat_map(Run::changes).collect(),
        },
    }
}

fn usual() -> Evidence {
    evidence(&[
        Run::new("a", 10, 1_000, 100, 200),
        Run::new("b", 20, 2_000, 300, 400),
    ])
}

/// Names of the promises that the evidence breaks.
fn broken(evidence: &Evidence) -> Vec<&'static str> {
    let verdict = judge(evidence).unwrap();
    let broken = verdict
        .promises
        .iter()
        .filter(|(_, cases)| !cases.is_empty());
    let names: Vec<_> = broken.map(|(name, _)| *name).collect();
    assert_eq!(names.is_empty(), verdict.holds());
    names
}

#[test]
fn evidence_that_keeps_every_promise_holds() {
    assert!(broken(&usual()).is_empty());
}

#[test]
fn every_overlap_is_counted_and_so_is_a_token_that_falls() {
    let runs = [
        Run::new("a", 10, 1_000, 100, 200),
        Run::new("b", 20, 2_000, 150, 400),
        Run::new("c", 30, 3_000, 390, 500),
    ];
    let verdict = judge(&evidence(&runs)).unwrap();
    let overlaps = verdict
        .promises
        .iter()
        .find(|(name, _)| *name == "overlaps");
    assert_eq!(overlaps.unwrap().1.len(), 2);
    let falls = [
        Run::new("a", 20, 1_000, 100, 200),
        Run::new("b", 10, 2_000, 300, 400),
    ];
    assert!(broken(&evidence(&falls)).contains(&"tokens out of order"));
}

#[test]
fn a_call_after_the_deadline_is_found() {
    let late = [Run::new("a", 10, 1_000, 100, DEADLINE + 2)];
    assert_eq!(broken(&evidence(&late)), ["late calls"]);
}

#[test]
fn a_run_without_a_record_or_recorded_as_running_is_found() {
    let mut without = usual();
    let history = &mut without.history.changes;
    history.retain(|change| !change.key.contains("/runs/"));
    assert_eq!(broken(&without), ["runs without a record"]);
    let mut running = usual();
    for change in &mut running.history.changes {
        if let (true, Some((_, json))) = (change.key.contains("/runs/"), &mut change.put) {
            *json = json.replace("\"done\"", "\"running\"");
        }
    }
    assert_eq!(broken(&running), ["runs without a record"]);
}

#[test]
fn a_tick_that_is_begun_after_it_was_done_is_found() {
    let runs = [
        Run::new("a", 10, 1_000, 100, 200),
        Run::new("b", 20, 1_000, 300, 400),
    ];
    assert_eq!(
        broken(&evidence(&runs)),
        ["ticks begun after done", "ticks repeated in silence"]
    );
}

#[test]
fn an_unmarked_tick_may_run_again_if_that_was_logged() {
    let first = Run::new("a", 10, 1_000, 100, 200);
    let again = Run::new("b", 20, 1_000, 300, 400);
    let unmarked = first.event("tick-unmarked", 250);
    let mut lost = evidence(&[first, again]);
    let is_mark = |change: &Change| change.revision == 13;
    lost.history.changes.retain(|change| !is_mark(change));
    assert_eq!(broken(&lost), ["ticks repeated in silence"]);
    let mut logged = evidence(&[
        Run::new("a", 10, 1_000, 100, 200),
        Run::new("b", 20, 1_000, 300, 400),
    ]);
    logged.history = lost.history;
    logged.lives[0].events.push(unmarked);
    assert!(broken(&logged).is_empty());
}

#[test]
fn a_host_that_died_by_itself_is_found() {
    let mut died = usual();
    died.lives[0].died = Some("exit code 1".to_owned());
    assert_eq!(broken(&died), ["hosts that died"]);
}
