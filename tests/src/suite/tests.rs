//! Verdicts of the suite over made-up logs.

use super::*;
use serde_json::json;

fn event(host: &str, name: &str, token: u64, at: u64) -> Event {
    let line = json!({
        "event": name, "host": host, "job": "j", "lock": "l", "token": token, "run": format!("{host}{token}"),
        "boot_ns": at, "cluster_id": "c", "outcome": "done", "stopped_ns": at, "deadline_ns": 9_000,
    });
    Event::parse(&line.to_string())
}

fn host(name: &str, token: u64, from: u64, until: u64) -> Vec<Event> {
    vec![
        event(name, "store-connected", token, 1),
        event(name, "acquired", token, from),
        event(name, "run-started", token, from),
        event(name, "guest", token, from + 1),
        event(name, "run-ended", token, until),
        event(name, "released", token, until + 1),
    ]
}

fn log(number: usize, events: &[Event], ended: Ended) -> HostLog {
    HostLog::new(number, "", events, ended).unwrap()
}

#[test]
fn a_host_without_a_store_is_not_judged() {
    let events = [event("a", "run-started", 5, 10)];
    assert!(HostLog::new(0, "", &events, Ended::default()).is_none());
}

#[test]
fn overlapping_hosts_are_found_also_of_the_same_name() {
    let first = log(0, &host("a", 5, 100, 200), Ended::default());
    let after = log(1, &host("a", 9, 300, 400), Ended::default());
    judge(&[first.clone(), after], Suspended::default()).unwrap();
    for name in ["a", "b"] {
        let early = log(1, &host(name, 9, 150, 400), Ended::default());
        let why = judge(&[first.clone(), early], Suspended::default()).unwrap_err();
        assert!(
            why.contains("C1") && why.contains(&format!("{name}#1")),
            "{why}"
        );
    }
}

#[test]
fn a_run_without_an_end_is_excused_by_a_kill_alone() {
    let events = &host("a", 5, 100, 200)[..4];
    let killed = Ended {
        killed: true,
        ..Ended::default()
    };
    judge(&[log(0, events, killed)], Suspended::default()).unwrap();
    let why = judge(&[log(0, events, Ended::default())], Suspended::default()).unwrap_err();
    assert!(why.contains("C8"), "{why}");
}

#[test]
fn operators_excuse_overlaps_and_lossy_stores_excuse_tokens() {
    let first = log(0, &host("a", 5, 100, 200), Ended::default());
    let early = log(1, &host("b", 9, 150, 400), Ended::default());
    let lower = log(1, &host("b", 3, 300, 400), Ended::default());
    let removal = Suspended {
        removal: true,
        ..Suspended::default()
    };
    judge(&[first.clone(), early], removal).unwrap();
    let why = judge(&[first.clone(), lower.clone()], removal).unwrap_err();
    assert!(why.contains("C2"), "{why}");
    let forgot = Suspended {
        history: true,
        ..Suspended::default()
    };
    judge(&[first, lower], forgot).unwrap();
}

#[test]
fn ledgers_are_found_in_the_config_with_their_prefix_and_root() {
    let config = r#"
        store = { root = "/r/" }
        [jobs.a]
        plugin = "/p/ledger.wasm"
        config = { prefix = "book/" }
        [jobs.b]
        plugin = "ledger.wasm"
        [jobs.c]
        plugin = "other.wasm"
    "#;
    let log = HostLog::new(0, config, &host("a", 5, 1, 2), Ended::default()).unwrap();
    let journals: Vec<_> = log.journals.values().map(String::as_str).collect();
    assert_eq!(journals, ["/r/kv/book/journal", "/r/kv/ledger/journal"]);
    assert_eq!(log.store.root, "/r/");
}
