//! Ten thousand locks: the rows shown are right, and rows not shown cost nothing.

use std::time::Duration;

use leasehold_lock::{KeyValue, Revision};
use leasehold_records::UnixMs;

use super::stage::{app, text};
use crate::app::{App, View};
use crate::model::fixture::{FixtureStore, kv};
use crate::view::table::made;

const LOCKS: i64 = 10_000;

/// Each lock with a holder and two waiters.
fn many() -> (App, UnixMs) {
    let mut store = FixtureStore::unread();
    let mut keys: Vec<KeyValue> = Vec::new();
    for lock in 0..LOCKS {
        for entry in 0..3 {
            let lease = 0x694d_0000_0000 + lock * 4 + entry;
            let name = format!("team-{:02}/service-{lock:05}", lock % 40);
            let key = store.key(&name, lease);
            let record = leasehold_records::HolderRecord {
                host: format!("host-{:03}", (lock + entry * 7) % 200),
                job: format!("job-{lock:05}"),
                pid: 1,
                since_unix_ms: store.now.before(Duration::from_millis(
                    u64::try_from((lock * 37 + entry) % 90_000).unwrap(),
                )),
            };
            let mut key = kv(&key, &record.to_json(), lease);
            key.create_revision = Revision::new(100 + entry * LOCKS + lock);
            key.mod_revision = key.create_revision;
            keys.push(key);
        }
    }
    store.revision = Revision::new(100_000);
    store.reading(keys);
    store.after(1_000).healthy();
    app(store)
}

#[test]
fn ten_thousand_locks() {
    let (mut app, now) = many();
    let mut all = text(&mut app, now, (120, 35));
    app.list_mut().select_at(usize::MAX);
    all += &text(&mut app, now, (120, 35));
    insta::assert_snapshot!("many", all);
}

#[test]
fn only_visible_rows_are_made() {
    let (mut app, now) = many();
    app.lock = Some("/leasehold/locks/team-00/service-00000".into());
    for view in View::ALL {
        app.view = view;
        made::ROWS.set(0);
        text(&mut app, now, (120, 35));
        assert!(made::ROWS.get() <= 35, "{view:?}: {}", made::ROWS.get());
    }
}
