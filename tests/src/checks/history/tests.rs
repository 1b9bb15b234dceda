//! Every check on a right history, and on one for each way in which it must fail.

use serde_json::json;

use super::*;

const LOCKS: &str = "/l/locks/";

fn put(key: &str, created: u64, revision: u64, value: &str) -> Change {
    Change {
        key: key.to_owned(),
        revision,
        put: Some((created, value.to_owned())),
    }
}

fn entry(host: &str, revision: u64) -> Change {
    put(&format!("/l/locks/x/{host}"), revision, revision, host)
}

fn deleted(key: &str, revision: u64) -> Change {
    Change {
        key: key.to_owned(),
        revision,
        put: None,
    }
}

fn gone(host: &str, revision: u64) -> Change {
    deleted(&format!("/l/locks/x/{host}"), revision)
}

fn settled(number: u64, revision: u64) -> Change {
    let journal = json!({ "transfers": number, "pending": null }).to_string();
    put("/l/kv/ledger/journal", 4, revision, &journal)
}

fn history(changes: &[Change]) -> StoreHistory {
    let mut changes = changes.to_vec();
    changes.sort_by_key(|change| change.revision);
    StoreHistory { since: 1, changes }
}

fn grant(host: &str, token: u64) -> Release {
    Release {
        host: host.to_owned(),
        lock: "x".to_owned(),
        token,
        at_ns: token,
    }
}

fn log(grants: &[(&str, u64)]) -> Log {
    let grants = grants.iter().map(|(host, token)| grant(host, *token));
    Log {
        grants: grants.collect(),
        ..Log::default()
    }
}

fn acknowledged(host: &str, token: u64, number: u64) -> Acknowledged {
    Acknowledged {
        grant: grant(host, token),
        key: "/l/kv/ledger/journal".to_owned(),
        number,
    }
}

/// Holder a, then b and c in their order, with a transfer by each of the first two.
fn usual() -> Vec<Change> {
    vec![
        entry("a", 2),
        entry("b", 3),
        settled(1, 5),
        entry("c", 6),
        gone("a", 7),
        settled(2, 8),
        gone("b", 9),
    ]
}

fn without(revision: u64) -> Vec<Change> {
    let mut changes = usual();
    changes.retain(|change| change.revision != revision);
    changes
}

#[track_caller]
fn fails(verdict: Result<(), String>, with: &[&str]) {
    let why = verdict.unwrap_err();
    for part in with {
        assert!(why.contains(part), "{part:?} is not in {why:?}");
    }
}

fn judge(changes: &[Change]) -> Result<(), String> {
    let log = log(&[("a", 2), ("b", 3), ("c", 6)]);
    let writes = [acknowledged("a", 2, 1), acknowledged("b", 3, 2)];
    all(&history(changes), LOCKS, &log, &writes)
}

#[test]
fn a_right_history_passes() {
    judge(&usual()).unwrap();
}

#[test]
fn h1_a_token_without_an_entry_is_found() {
    fails(judge(&without(6)), &["H1", "c was granted", "token 6"]);
    // An update is not a creation, and compacted changes are unknown.
    let updated = [put("/l/locks/x/a", 2, 5, "a")];
    let verdict = grants_have_entries(&history(&updated), LOCKS, &log(&[("a", 5)]));
    fails(verdict, &["H1", "token 5"]);
    let mut compacted = history(&updated);
    compacted.since = 6;
    grants_have_entries(&compacted, LOCKS, &log(&[("a", 5)])).unwrap();
}

#[test]
fn h1_an_entry_of_another_lock_or_below_an_entry_does_not_count() {
    let elsewhere = [
        put("/l/locks/y/a", 2, 2, "a"),
        put("/l/locks/x/a/b", 3, 3, "b"),
    ];
    for token in [2, 3] {
        let log = log(&[("a", token)]);
        fails(
            grants_have_entries(&history(&elsewhere), LOCKS, &log),
            &["H1"],
        );
    }
}

#[test]
fn h2_a_grant_that_passed_a_living_waiter_is_found() {
    // c is granted and ends while b, which came before it, still waits.
    let mut changes = without(9);
    changes.extend([gone("c", 10), gone("b", 11)]);
    fails(
        no_waiter_is_overtaken(&history(&changes), LOCKS, &log(&[("a", 2), ("c", 6)])),
        &["H2", "token 6", "/l/locks/x/b", "deleted at 11"],
    );
    let mut changes = without(9);
    changes.push(gone("c", 10));
    fails(
        no_waiter_is_overtaken(&history(&changes), LOCKS, &log(&[("a", 2), ("c", 6)])),
        &["H2", "never deleted"],
    );
}

#[test]
fn h2_a_waiter_that_gave_up_and_came_back_is_behind() {
    let changes = [
        entry("a", 2),
        entry("b", 3),
        gone("b", 4),
        entry("c", 5),
        entry("b", 6),
        gone("a", 7),
        gone("c", 8),
    ];
    let grants = log(&[("a", 2), ("c", 5), ("b", 6)]);
    no_waiter_is_overtaken(&history(&changes), LOCKS, &grants).unwrap();
}

#[test]
fn h2_entries_that_end_together_pass_none() {
    let changes = [entry("a", 2), entry("b", 3), gone("a", 5), gone("b", 5)];
    no_waiter_is_overtaken(&history(&changes), LOCKS, &log(&[("a", 2), ("b", 3)])).unwrap();
}

#[test]
fn h3_an_acknowledged_write_that_is_missing_or_doubled_is_found() {
    fails(
        judge(&without(8)),
        &["H3", "transfer 2", "not in the store's history"],
    );
    let mut twice = without(9);
    twice.extend([settled(2, 10), gone("b", 11)]);
    fails(judge(&twice), &["H3", "transfer 2", "2 times", "[8, 10]"]);
    // A transfer that is pending is not made.
    let mut pending = without(8);
    let journal = json!({ "transfers": 2, "pending": { "amount": 1 } }).to_string();
    pending.push(put("/l/kv/ledger/journal", 4, 8, &journal));
    fails(judge(&pending), &["H3", "transfer 2"]);
}

#[test]
fn h3_a_write_outside_its_entrys_life_is_found() {
    let mut late = without(9);
    late.retain(|change| change.revision != 8);
    late.extend([gone("b", 8), settled(2, 9)]);
    fails(judge(&late), &["H3", "written at 9", "deleted at 8"]);
    // Under the right entry's token, and under a token that came later.
    let writes = [acknowledged("c", 6, 1)];
    fails(
        acknowledged_writes_stand_once(&history(&usual()), LOCKS, &writes),
        &["H3", "written at 5", "created at 6"],
    );
}

#[test]
fn acknowledgements_are_read_from_the_ledgers_own_lines() {
    let line = |job: &str, text: &str| {
        let line = json!({
            "event": "guest", "host": "a", "job": job, "lock": "x", "token": 2, "boot_ns": 9, "text": text,
        });
        Event::parse(&line.to_string())
    };
    let events = [
        line("ledger", "opened with total 500"),
        line("ledger", "transfer 17: 5 from account 1 to account 2"),
        line("other", "transfer 18: 5 from account 1 to account 2"),
    ];
    let journals = BTreeMap::from([("ledger".to_owned(), "/l/kv/ledger/journal".to_owned())]);
    let read = Acknowledged::read(&events, &journals).unwrap();
    let numbers: Vec<_> = read
        .iter()
        .map(|write| (write.number, write.grant.token))
        .collect();
    assert_eq!(numbers, [(17, 2)]);
}

#[test]
fn watch_responses_are_read_as_etcdctl_writes_them() {
    let line = r#"{"Header":{"revision":4},"Events":[{"kv":{"key":"YQ==","create_revision":2,"mod_revision":3,"version":2,"value":"Yw=="}},{"type":1,"kv":{"key":"YQ==","mod_revision":4}}],"CompactRevision":0,"Canceled":false,"Created":false}"#;
    let read = StoreHistory::read(1, [line]).unwrap();
    assert_eq!(read.changes, [put("a", 2, 3, "c"), deleted("a", 4)]);
    assert_eq!(read.until(), 4);
    assert!(StoreHistory::read(1, ["no"]).is_err());
    assert_eq!(text("bGVhc2Vob2xkCg==").as_deref(), Some("leasehold\n"));
    assert_eq!(text("*"), None);
}
