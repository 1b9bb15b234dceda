//! The model after the facts of a store.

use std::fmt::Write as _;
use std::time::Duration;

use leasehold_lock::{FeedItem, Revision};
use leasehold_records::{AdminAction, AdminActionRecord, JobState, Root, UnixMs};

use super::fixture::{FixtureStore, kv};
use super::*;
use crate::fact::FactKind;

const LOCK: &str = "billing";

fn full(lock: &str) -> String {
    Root::default().lock(lock)
}

fn row<'a>(store: &'a FixtureStore, lock: &str) -> LockRow<'a> {
    let shown = store.model.shown(store.now);
    store
        .model
        .row(shown, &shown.state.locks[full(lock).as_str()])
}

/// The last events as sentences, oldest first.
fn last(store: &FixtureStore, count: usize) -> Vec<String> {
    let shown = store.model.shown(store.now);
    let events = store.model.events.before(shown.next).take(count);
    let mut told: Vec<String> = events
        .map(|(_, event)| format!("{} {}", event.kind.word(), event.kind.sentence()))
        .collect();
    told.reverse();
    told
}

/// Everything shown of locks, for comparing states.
fn picture(shown: ShownMoment<'_>) -> String {
    let mut text = String::new();
    for lock in shown.state.locks.values() {
        if lock.queue.is_empty() && lock.tenancy.since_unix_ms.is_none() {
            continue;
        }
        let _ = writeln!(text, "{} {:?}", lock.name, lock.tenancy);
        for entry in &lock.queue {
            let _ = writeln!(text, "  {entry:?}");
        }
    }
    let _ = writeln!(text, "{:?}", shown.state.jobs);
    text
}

#[test]
fn queue_is_ordered_by_create_revision_whatever_the_keys() {
    let mut store = FixtureStore::new();
    store.join(LOCK, "a", "host-1", 0x99);
    store.after(1_000).join(LOCK, "b", "host-2", 0x11);
    store.after(1_000).join_other(LOCK, 0x55);
    let shown = store.model.shown(store.now);
    let labels: Vec<String> = shown.state.locks[full(LOCK).as_str()]
        .queue
        .iter()
        .map(|entry| entry.who.label())
        .collect();
    assert_eq!(labels, ["a@host-1", "b@host-2", "client 55"]);
    let row = row(&store, LOCK);
    assert_eq!((row.state, row.waiters), (LockState::Contend, 2));
    assert_eq!(row.oldest(), Some(1_000));
    assert_eq!(row.held(), Some(2_000));
}

#[test]
fn released_lock_is_handed_off() {
    let mut store = FixtureStore::new();
    store.join(LOCK, "a", "host-1", 1);
    let token = store.after(500).join(LOCK, "b", "host-2", 2);
    store.after(1_500).leave(LOCK, 1);
    store
        .after(8)
        .job("b", "host-2", LOCK, JobState::Running, Some(token));
    let told = last(&store, 1);
    assert_eq!(
        told,
        ["HANDOFF a@host-1 held 2s -> b@host-2 token 1002 waited 1s"]
    );
    let stats = store.model.lock_stats(&full(LOCK)).unwrap();
    assert_eq!(stats.handoffs.percentile(50, store.now), Some(8));
    assert_eq!(stats.takeovers.count(store.now), 0);
    assert_eq!(row(&store, LOCK).state, LockState::Held);
}

#[test]
fn holder_deleted_with_its_whole_lease_is_taken_over() {
    let mut store = FixtureStore::new();
    store.host("host-1", 1, &["a"]);
    store.join(LOCK, "a", "host-1", 1);
    store.join(LOCK, "b", "host-2", 2);
    let (host, entry) = (Root::default().host("host-1"), store.key(LOCK, 1));
    store.after(3_000).delete(&[&host, &entry]);
    let taken = row(&store, LOCK);
    assert_eq!(taken.state, LockState::Takeover);
    assert_eq!(taken.was.unwrap().who.label(), "a@host-1");
    let told = last(&store, 2);
    assert!(told[0].starts_with("TAKEOVER a@host-1 lease ended, held 3s -> b@host-2"));
    assert_eq!(told[1], "GONE host-1 is down");
    store.after(60_000);
    assert_eq!(row(&store, LOCK).state, LockState::Held);
}

#[test]
fn holder_deleted_with_no_time_left_expired() {
    for (left, expected) in [(1, "EXPIRE"), (8, "RELEASE")] {
        let mut store = FixtureStore::new();
        store.join_other(LOCK, 5);
        store.ttl(5, left, 10);
        store.after(100).leave(LOCK, 5);
        assert!(last(&store, 1)[0].starts_with(expected), "{left}");
    }
}

#[test]
fn admin_action_explains_a_forced_leave() {
    let mut store = FixtureStore::new();
    let token = store.join(LOCK, "a", "host-1", 1);
    let key = store.key(LOCK, 1);
    let deed = AdminActionRecord {
        action: AdminAction::StopRun,
        by: "ann@desk".into(),
        lock: full(LOCK),
        key: key.clone(),
        token: token.into(),
        lease: "1".into(),
        whom: "a@host-1".into(),
        at_unix_ms: store.now,
        job: None,
        host: None,
        why: String::new(),
    };
    let trace = Root::default().admin_action(store.now, 7);
    let traced = kv(&trace, &deed.to_json(), 9);
    store.change(vec![(key, None), (trace, Some(traced))]);
    let told = last(&store, 2);
    assert_eq!(told[0], "FORCED a@host-1 forced out, held 0ms");
    assert_eq!(told[1], "DEED ann@desk stop-run of a@host-1 (lease 1)");
}

#[test]
fn key_without_lease_is_a_hold_and_late_renewal_expiring() {
    let mut store = FixtureStore::new();
    let key = format!("{}/maintenance", full(LOCK));
    store.put(&key, b"until Monday", 0);
    assert_eq!(row(&store, LOCK).state, LockState::AdminHold);
    store.join("other", "a", "host-1", 1);
    store.ttl(1, 10, 10);
    assert_eq!(row(&store, "other").state, LockState::Held);
    store.after(6_500).ttl(1, 3, 10);
    assert_eq!(row(&store, "other").state, LockState::Expiring);
}

#[test]
fn entry_with_a_new_value_keeps_its_place_and_age() {
    let mut store = FixtureStore::new();
    let token = store.join_other(LOCK, 5);
    let key = store.key(LOCK, 5);
    store.after(2_000);
    let mut again = kv(&key, b"batch 7", 5);
    again.create_revision = token;
    store.change(vec![(key, Some(again))]);
    let row = row(&store, LOCK);
    assert_eq!(row.holder.as_ref().unwrap().who.label(), "batch 7");
    assert_eq!(
        row.holder.unwrap().since_unix_ms,
        Some(store.now.before(Duration::from_secs(2)))
    );
}

#[test]
fn lost_store_is_not_an_empty_one() {
    let mut store = FixtureStore::new();
    store.join(LOCK, "a", "host-1", 1);
    let reason = "connection \u{1b}[2J refused".into();
    store.send(FactKind::Keys(FeedItem::Down { reason }));
    assert!(matches!(store.model.link, StoreLink::Down { .. }));
    assert_eq!(row(&store, LOCK).state, LockState::Held);
    assert!(last(&store, 1)[0].contains("connection \u{fffd}[2J refused"));
    // Meanwhile it was released, and another client acquired it.
    store.skip(10);
    let other = kv(&store.key(LOCK, 2), b"", 2);
    store
        .after(5_000)
        .reading(vec![KeyValueAt(other).at(1_009)]);
    assert_eq!(store.model.link, StoreLink::Live);
    let row = row(&store, LOCK);
    assert_eq!(row.holder.unwrap().who.label(), "client 2");
    let told = last(&store, 2);
    assert!(told[0].starts_with("HANDOFF a@host-1"), "{told:?}");
    assert_eq!(told[1], "LIVE everything was read");
}

struct KeyValueAt(leasehold_lock::KeyValue);

impl KeyValueAt {
    fn at(mut self, revision: i64) -> leasehold_lock::KeyValue {
        self.0.create_revision = Revision::new(revision);
        self.0.mod_revision = self.0.create_revision;
        self.0
    }
}

#[test]
fn model_frozen_shows_one_moment_and_counts_changes() {
    let mut store = FixtureStore::new();
    store.join(LOCK, "a", "host-1", 1);
    store.model.freeze(store.now);
    let frozen = store.now;
    store.after(10_000).join(LOCK, "b", "host-2", 2);
    store.after(10_000).leave(LOCK, 1);
    assert_eq!(row(&store, LOCK).waiters, 0);
    assert_eq!(store.model.shown(store.now).now, frozen);
    assert_eq!(store.model.changes_behind(), 2);
    store.model.show_present();
    assert_eq!(row(&store, LOCK).holder.unwrap().who.label(), "b@host-2");
}

/// Random contention, walked back to its beginning and forward to its end.
#[test]
fn going_back_shows_every_moment_as_it_was() {
    let mut random = fastrand::Rng::with_seed(7);
    let mut store = FixtureStore::new();
    let mut moments = vec![picture(store.model.shown(store.now))];
    for _ in 0..200 {
        store.after(random.u64(1..500));
        let (lock, lease) = (["x", "y", "z"][random.usize(0..3)], random.i64(1..6));
        let key = store.key(lock, lease);
        let stands = store.model.shown(UnixMs::default()).state.locks.values();
        let stands = stands.flat_map(|lock| &lock.queue).any(|e| *e.key == *key);
        if stands {
            store.leave(lock, lease);
        } else {
            store.join(lock, "job", &format!("host-{lease}"), lease);
        }
        moments.push(picture(store.model.shown(store.now)));
    }
    let now = store.now;
    for moment in moments.iter().rev().skip(1) {
        assert!(store.model.step_back(now));
        let shown = picture(store.model.shown(now));
        assert_eq!(&shown, moment);
    }
    assert!(!store.model.step_back(now), "before the beginning");
    for moment in &moments[1..] {
        assert!(store.model.step_forward(now));
        assert_eq!(&picture(store.model.shown(now)), moment);
    }
    assert!(!store.model.step_forward(now), "after the end");
}

#[test]
fn past_beyond_the_history_is_not_shown() {
    let mut store = FixtureStore::new();
    store.join(LOCK, "a", "host-1", 1);
    store.model.freeze(store.now);
    for lease in 10..2_000 {
        store.after(10).join_other("busy", lease);
        store.leave("busy", lease);
    }
    // The frozen moment has been dropped; the oldest known one is shown.
    let first = store.model.history.first();
    assert_eq!(store.model.shown(UnixMs::default()).next, first);
    assert!(!store.model.step_back(store.now));
    assert!(store.model.step_forward(store.now));
    assert_eq!(row(&store, LOCK).holder.unwrap().who.label(), "a@host-1");
}

#[test]
fn seeking_finds_the_moment() {
    let mut store = FixtureStore::new();
    for lease in 1..=10 {
        store.after(1_000).join_other(LOCK, lease);
    }
    let began = store.now.before(Duration::from_secs(10));
    store
        .model
        .seek(store.now, began.after(Duration::from_millis(4_500)));
    assert_eq!(row(&store, LOCK).waiters, 3);
    store
        .model
        .seek(store.now, began.after(Duration::from_secs(9)));
    assert_eq!(row(&store, LOCK).waiters, 8);
    store.model.seek(store.now, UnixMs::default());
    assert_eq!(row(&store, LOCK).state, LockState::Free);
}

#[test]
fn wait_graph_across_locks_counts_waiters_and_finds_cycles() {
    let mut store = FixtureStore::new();
    // 1 holds x and waits for y; 2 holds y; 3 and 4 wait for x.
    store.join_other("x", 1);
    store.join_other("y", 2);
    store.join_other("y", 1);
    store.join_other("x", 3);
    store.join_other("x", 4);
    let blocked = |store: &FixtureStore, lock: &str| {
        let state = store.model.shown(UnixMs::default()).state;
        blocked_by(state, &full(lock))
    };
    let found = blocked(&store, "y");
    assert_eq!((found.waiters, found.locks), (3, 2));
    assert!(found.cycle.is_empty());
    store.join_other("x", 2);
    let found = blocked(&store, "y");
    let cycle: Vec<&str> = found.cycle.iter().map(|lock| &**lock).collect();
    assert_eq!(cycle, [full("y"), full("x")]);
}

#[test]
fn restarted_job_behind_its_own_old_entry_is_no_cycle() {
    let mut store = FixtureStore::new();
    store.join("x", "a", "host-1", 1);
    store.join("x", "a", "host-1", 2);
    let found = blocked_by(store.model.shown(UnixMs::default()).state, &full("x"));
    assert_eq!((found.waiters, found.locks), (1, 1));
    assert_eq!(found.cycle, Vec::<std::sync::Arc<str>>::new());
    let queue = &store.model.shown(UnixMs::default()).state.locks[full("x").as_str()].queue;
    let waiter = &queue.waiters()[0];
    assert_eq!(
        queue.predecessor(waiter).map(|entry| entry.lease.get()),
        Some(1)
    );
    assert_eq!(queue.predecessor(&queue.holders()[0]), None);
}

/// Fails if the text for several locks is taken for the name of one, which has no queue.
#[test]
fn job_under_two_locks_is_explained_by_the_one_it_waits_for() {
    let mut store = FixtureStore::new();
    store.join("b", "other", "host-2", 2);
    store.join("a", "move", "host-1", 1);
    store.join("b", "move", "host-1", 1);
    store.job("move", "host-1", "a+b", JobState::Waiting, None);
    let state = store.model.shown(store.now).state;
    let facts = state.facts_of(&Root::default(), "move");
    let reasons = leasehold_records::explain::explain(&facts, "move", store.now);
    let text = reasons.summary("host-1");
    assert!(
        text.contains("other@host-2") && text.contains("`b`"),
        "{text}"
    );
}

#[test]
fn lock_left_by_an_earlier_session_blocks_nothing_of_the_next() {
    let mut store = FixtureStore::new();
    // The job held x, and now waits for y, which another client holds that waits for x.
    store.join("x", "a", "host-1", 1);
    store.join_other("y", 3);
    store.join_other("x", 3);
    store.join("y", "a", "host-1", 2);
    let found = blocked_by(store.model.shown(UnixMs::default()).state, &full("y"));
    assert!(found.cycle.is_empty() && found.locks == 1, "{found:?}");
    // In one session it is a deadlock.
    store.leave("y", 2);
    store.join("y", "a", "host-1", 1);
    let found = blocked_by(store.model.shown(UnixMs::default()).state, &full("y"));
    assert_eq!(found.cycle.len(), 2, "{found:?}");
}

#[test]
fn session_row_lists_locks_held_and_waited_for() {
    let mut store = FixtureStore::new();
    store.host("host-1", 1, &["a", "b"]);
    store.join("x", "a", "host-1", 1);
    store.join_other("y", 2);
    store.join("y", "b", "host-1", 1);
    let rows = store.model.sessions(store.model.shown(store.now));
    assert_eq!(rows.len(), 2);
    assert_eq!(rows[0].whose, "host-1");
    assert_eq!((rows[0].holds.len(), rows[0].waits.len()), (1, 1));
    assert_eq!(rows[0].waits[0].2, 1);
    assert_eq!(rows[1].whose, "client 2");
}

/// Holders and locks by lease are updated with each entry; here they are computed anew and compared.
fn is_kept_right(store: &FixtureStore) {
    let (model, shown) = (&store.model, store.model.shown(store.now));
    let mut anew = StoreState::default();
    for lock in shown.state.locks.values() {
        for entry in &lock.queue {
            let item = store_item::StoreItem::Entry(lock.name.clone(), entry.clone());
            anew.put(&model.scope, &entry.key, Some(item));
        }
    }
    assert_eq!(shown.state.held_locks, anew.held_locks);
    assert_eq!(shown.state.lease_locks, anew.lease_locks);

    let rows = model.sessions(shown);
    let briefs = Model::session_briefs(shown);
    let whole: Vec<_> = rows
        .iter()
        .map(|row| (row.lease, row.holds.len(), row.waits.len()))
        .collect();
    let brief: Vec<_> = briefs
        .iter()
        .map(|brief| (brief.lease, brief.holds, brief.waits))
        .collect();
    assert_eq!(brief, whole);
    for row in rows {
        let alone = model.sessions_of(shown, &[row.lease]);
        assert_eq!(format!("{alone:?}"), format!("{:?}", [row]));
    }
}

#[test]
fn derived_maps_after_random_changes_agree_with_queues() {
    for seed in 0..20 {
        let mut random = fastrand::Rng::with_seed(seed);
        let mut store = FixtureStore::new();
        store.host("host-2", 2, &["a"]);
        for turn in 0..300 {
            let lock = format!("lock-{}", random.u8(..6));
            let lease = random.i64(1..8);
            match random.u8(..8) {
                0 | 1 => store.join(&lock, "a", &format!("host-{lease}"), lease),
                2 | 3 => store.join_other(&lock, lease),
                4 => store.put(&format!("{}/by-hand", full(&lock)), b"", 0),
                5 => store.delete(&[&format!("{}/by-hand", full(&lock))]),
                // The same key under another lease, as another client may have it.
                6 => store.put(&store.key(&lock, lease), b"x", random.i64(1..8)),
                _ => store.leave(&lock, lease),
            };
            if turn % 20 == 0 {
                is_kept_right(&store);
            }
        }
        for step in 0..200 {
            store.model.step_back(store.now);
            if step % 20 == 0 {
                is_kept_right(&store);
            }
        }
        for _ in 0..100 {
            store.model.step_forward(store.now);
        }
        is_kept_right(&store);
    }
}
