//! Effects of inputs: on the selection, on the shown moment, and, once confirmed, on other clients.

use std::time::Duration;

use crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use leasehold_lock::{LeaseId, Revision};
use leasehold_records::{JobState, UnixMs};

mod orders;

use super::*;
use crate::fact::Fact;
use crate::fact::FactKind;
use crate::keymap::Keymap;
use crate::model::fixture::FixtureStore;
use crate::theme::Theme;
use crate::theme::ThemeName;

struct TestApp {
    app: App,
    now: UnixMs,
}

impl TestApp {
    fn new(store: FixtureStore, allow_write: bool) -> Self {
        let setup = AppSetup {
            keymap: Keymap::default(),
            theme: Theme::choose(ThemeName::Mono, &|_| None),
            env: |_| None,
            mouse: true,
            allow_write,
            source: FactSource::Store("127.0.0.1:2379".into()),
            operator: "ann@desk".into(),
            zone: leasehold_orders::Tz::UTC,
        };
        let now = store.now;
        let mut app = App::new(store.model, setup);
        app.refresh(now);
        app.list_mut().window(10);
        Self { app, now }
    }

    fn press(&mut self, code: KeyCode) -> Vec<AppEffect> {
        let key = KeyEvent::new(code, KeyModifiers::NONE);
        self.app.update(AppInput::Key(key), self.now)
    }

    fn types(&mut self, text: &str) -> Vec<AppEffect> {
        text.chars()
            .flat_map(|c| self.press(KeyCode::Char(c)))
            .collect()
    }

    fn rows(&self) -> Vec<String> {
        let name = |row: &RowKey| match row {
            RowKey::Lock(lock) => self.app.model.scope.label(lock),
            RowKey::Entry(_, key) => key.rsplit('/').next().unwrap_or_default().to_owned(),
            RowKey::Session(lease) => lease.to_string(),
            RowKey::Job(job, host) => format!("{job}@{host}"),
            RowKey::Event(number) => number.to_string(),
        };
        self.app.list().rows().iter().map(name).collect()
    }

    fn selected(&self) -> String {
        let at = self.app.list().position();
        at.map_or_else(String::new, |at| self.rows()[at].clone())
    }

    fn note(&self) -> &str {
        self.app.note.as_ref().map_or("", |note| &note.text)
    }
}

/// a is contended, b is held, c is held by hand.
fn some() -> FixtureStore {
    let mut store = FixtureStore::new();
    let token = store.join("a", "led", "host-1", 1);
    store.job("led", "host-1", "a", JobState::Running, Some(token));
    store.after(1_000).join("a", "led", "host-2", 2);
    store.after(1_000).join_other("a", 3);
    store.join_other("b", 3);
    store.put("/leasehold/locks/c/hold", b"", 0);
    store
}

#[test]
fn locks_are_first_sorted_by_longest_wait() {
    let mut desk = TestApp::new(some(), false);
    assert_eq!(desk.rows(), ["a", "b", "c"]);
    // By name, the other way around.
    while desk.app.sort().title(View::Locks) != "LOCK" {
        desk.types("s");
    }
    desk.types("S");
    assert_eq!(desk.rows(), ["c", "b", "a"]);
}

#[test]
fn filter_applies_while_typed_and_esc_restores_the_last() {
    let mut desk = TestApp::new(some(), false);
    desk.types("/host-1");
    assert_eq!(desk.rows(), ["a"]);
    desk.press(KeyCode::Enter);
    desk.types("/");
    desk.app.update(AppInput::Key(ctrl('u')), desk.now);
    desk.types("hold");
    assert_eq!(desk.rows(), ["c"]);
    desk.press(KeyCode::Esc);
    assert_eq!(desk.rows(), ["a"]);
    desk.types("/(");
    assert!(desk.note().contains("pattern"), "{}", desk.note());
    assert_eq!(desk.rows(), ["a"], "what is no filter changes nothing");
    desk.press(KeyCode::Esc);
    assert_eq!(desk.note(), "", "the complaint goes with what it is about");
    desk.types("c");
    assert_eq!(desk.rows(), ["a", "b", "c"]);
}

fn ctrl(c: char) -> KeyEvent {
    KeyEvent::new(KeyCode::Char(c), KeyModifiers::CONTROL)
}

#[test]
fn enter_opens_a_lock_and_esc_returns() {
    let mut desk = TestApp::new(some(), false);
    desk.types("j");
    desk.press(KeyCode::Enter);
    assert_eq!(desk.app.view, View::Queue);
    assert_eq!(desk.rows(), ["3"]);
    desk.press(KeyCode::Esc);
    assert_eq!(
        (desk.app.view, desk.selected().as_str()),
        (View::Locks, "b")
    );
}

#[test]
fn queue_view_shows_locks_of_waiters_below_them() {
    let mut desk = TestApp::new(some(), false);
    desk.press(KeyCode::Enter);
    // The third entry of a also holds b.
    assert_eq!(desk.rows(), ["1", "2", "3", "3"]);
}

#[test]
fn rows_keep_their_places_while_the_cursor_moves() {
    let mut store = some();
    store.join_other("d", 9);
    let mut desk = TestApp::new(store, false);
    desk.types("jj");
    assert_eq!(
        (desk.rows().join(" "), desk.selected()),
        ("a b c d".into(), "c".into())
    );
    // d is now waited for by two, for longer than a is.
    let mut keys = Vec::new();
    for lease in [10, 11] {
        let key = format!("/leasehold/locks/d/{lease:x}");
        let mut kv = crate::model::fixture::kv(&key, b"", lease);
        kv.create_revision = Revision::new(2_000 + lease);
        keys.push(leasehold_lock::KeyChange {
            key,
            revision: kv.create_revision,
            now: Some(kv),
        });
    }
    let kind = FactKind::Keys(leasehold_lock::FeedItem::Changes {
        revision: Revision::new(2_011),
        changes: keys,
    });
    desk.app.apply(Fact {
        at_unix_ms: desk.now.before(Duration::from_mins(1)),
        kind,
    });
    desk.now = desk.now.after(Duration::from_millis(500));
    desk.app.update(AppInput::Tick, desk.now);
    assert_eq!(desk.rows().join(" "), "a b c d", "held while moving");
    desk.now = desk.now.after(Duration::from_secs(5));
    desk.app.update(AppInput::Tick, desk.now);
    assert_eq!(desk.rows().join(" "), "d a b c");
    assert_eq!(desk.selected(), "c");
}

#[test]
fn rows_frozen_do_not_change_and_live_rows_do() {
    let mut desk = TestApp::new(some(), false);
    desk.types(" ");
    assert!(!desk.app.shown(desk.now).is_live);
    let kind = FactKind::Keys(leasehold_lock::FeedItem::Changes {
        revision: Revision::new(3_000),
        changes: vec![leasehold_lock::KeyChange {
            key: "/leasehold/locks/b/3".into(),
            revision: Revision::new(3_000),
            now: None,
        }],
    });
    desk.now = desk.now.after(Duration::from_secs(10));
    desk.app.apply(Fact {
        at_unix_ms: desk.now,
        kind,
    });
    desk.app.update(AppInput::Tick, desk.now);
    assert_eq!(desk.app.model.changes_behind(), 1);
    let holder = |desk: &TestApp| {
        let lock = &desk.app.shown(desk.now).state.locks["/leasehold/locks/b"];
        lock.queue.len()
    };
    assert_eq!(holder(&desk), 1);
    desk.types("]");
    assert_eq!(holder(&desk), 0);
    desk.types("[");
    assert_eq!(holder(&desk), 1);
    desk.types("L");
    assert!(desk.app.shown(desk.now).is_live && holder(&desk) == 0);
    desk.types("]");
    assert_eq!(desk.note(), "there is nothing further in that direction");
}

#[test]
fn admin_commands_without_allow_write_are_refused() {
    let mut desk = TestApp::new(some(), false);
    for key in ["x", "X", "K"] {
        assert!(desk.types(key).is_empty());
        assert!(desk.app.overlay.is_none());
        assert!(desk.note().contains("--allow-write"), "{}", desk.note());
    }
}

#[test]
fn run_is_stopped_only_after_typing_the_lock_name() {
    let mut desk = TestApp::new(some(), true);
    desk.types("K");
    desk.types("wrong");
    assert!(desk.press(KeyCode::Enter).is_empty());
    assert!(
        desk.note().starts_with("nothing was done"),
        "{}",
        desk.note()
    );
    desk.types("K");
    desk.types("a");
    let effects = desk.press(KeyCode::Enter);
    let [AppEffect::Order(AdminOrder::Entry(order))] = effects.as_slice() else {
        panic!("{effects:?}");
    };
    assert_eq!(order.deed, EntryAction::StopRun);
    assert_eq!(order.key, "/leasehold/locks/a/1");
    assert_eq!(order.create_revision, Revision::new(1_001));
    assert_eq!(order.whom, "led@host-1");
}

/// Fails if the first of several holders is taken where none is selected.
#[test]
fn one_of_several_holders_must_be_selected() {
    let mut store = FixtureStore::new();
    let reader = |store: &FixtureStore, lease| format!("{}-r", store.key("a", lease));
    for lease in [1, 2] {
        let key = reader(&store, lease);
        store.put(&key, b"", lease);
    }
    let mut desk = TestApp::new(store, true);
    for key in ["K", "X"] {
        desk.types(key);
        assert!(desk.app.overlay.is_none());
        assert!(
            desk.note().contains("2 hold a: select one"),
            "{}",
            desk.note()
        );
    }
}

#[test]
fn waiter_can_only_be_removed_and_holder_only_stopped() {
    let mut desk = TestApp::new(some(), true);
    desk.types("x");
    assert!(
        desk.note().contains("stop its run instead"),
        "{}",
        desk.note()
    );
    desk.press(KeyCode::Enter);
    desk.types("jK");
    assert!(
        desk.note().contains("remove its entry instead"),
        "{}",
        desk.note()
    );
    desk.types("x");
    desk.types("a");
    let effects = desk.press(KeyCode::Enter);
    assert!(
        matches!(effects.as_slice(), [AppEffect::Order(AdminOrder::Entry(order))] if order.deed == EntryAction::RemoveEntry && order.lease == LeaseId::new(2))
    );
}

#[test]
fn revoking_a_lease_names_its_consequence() {
    let mut desk = TestApp::new(some(), true);
    desk.types("3");
    let rows = desk.rows();
    let at = rows.iter().position(|row| row == "3").expect("a session");
    desk.app.list_mut().select_at(at);
    desk.types("X");
    let Some(OpenOverlay::Confirm { order, .. }) = &desk.app.overlay else {
        panic!("{}", desk.note());
    };
    assert_eq!(
        order.consequence,
        "client 3 loses its lease: 1 held lock(s) and 1 place(s) in queues"
    );
    assert_eq!(order.confirm, "b");
}

#[test]
fn admin_commands_in_the_past_are_refused() {
    let mut desk = TestApp::new(some(), true);
    desk.types(" K");
    assert!(desk.note().contains("this is the past"), "{}", desk.note());
}

#[test]
fn recording_plays_pauses_and_stops_at_its_end() {
    let mut store = FixtureStore::new();
    for lease in 1..=5 {
        store.after(1_000).join_other("a", lease);
    }
    let ended = store.now;
    let mut desk = TestApp::new(store, false);
    desk.app.setup.source = FactSource::Recording {
        file: "incident".into(),
        ended,
    };
    // At any later time.
    desk.now = ended.after(Duration::from_hours(24));
    desk.types("O");
    let depth = |desk: &TestApp| {
        let locks = &desk.app.shown(desk.now).state.locks;
        locks
            .get("/leasehold/locks/a")
            .map_or(0, |lock| lock.queue.len())
    };
    assert_eq!(depth(&desk), 0);
    desk.types(" ");
    desk.now = desk.now.after(Duration::from_millis(2_500));
    desk.app.update(AppInput::Tick, desk.now);
    assert_eq!(depth(&desk), 3);
    desk.types(" ");
    desk.now = desk.now.after(Duration::from_mins(1));
    desk.app.update(AppInput::Tick, desk.now);
    assert_eq!(depth(&desk), 3, "it stands still");
    desk.types("L");
    assert_eq!(depth(&desk), 5);
}

#[test]
fn palette_runs_the_chosen_command() {
    let mut desk = TestApp::new(some(), false);
    desk.types(":heat");
    desk.press(KeyCode::Enter);
    assert_eq!(desk.app.view, View::Heatmap);
    desk.types(":quit");
    assert_eq!(desk.press(KeyCode::Enter), [AppEffect::Quit]);
}

#[test]
fn copy_gives_the_full_name_or_key() {
    let mut desk = TestApp::new(some(), false);
    let copied = desk.types("y");
    assert_eq!(copied, [AppEffect::Copy("/leasehold/locks/a".into())]);
    desk.press(KeyCode::Enter);
    let copied = desk.types("y");
    assert_eq!(copied, [AppEffect::Copy("/leasehold/locks/a/1".into())]);
}

#[test]
fn wanted_leases_are_those_on_the_screen_and_running_out() {
    let mut store = some();
    for n in 0..50 {
        store.join_other(&format!("z{n:02}"), 100 + n);
    }
    store.ttl(149, 3, 10);
    let desk = TestApp::new(store, false);
    let wanted = desk.app.wanted_leases(desk.now);
    for lease in [1, 2, 3, 149].map(LeaseId::new) {
        assert!(wanted.contains(&lease), "{lease} of {wanted:?}");
    }
    assert!(wanted.len() < 20, "{wanted:?}");
    let hold = wanted.contains(&LeaseId::NONE);
    assert!(!hold, "what has no lease cannot be asked about");
}

#[test]
fn key_release_does_nothing_and_control_c_quits() {
    let mut desk = TestApp::new(some(), false);
    let released = KeyEvent {
        kind: KeyEventKind::Release,
        ..KeyEvent::new(KeyCode::Char('q'), KeyModifiers::NONE)
    };
    assert!(
        desk.app
            .update(AppInput::Key(released), desk.now)
            .is_empty()
    );
    desk.types("/");
    assert_eq!(
        desk.app.update(AppInput::Key(ctrl('c')), desk.now),
        [AppEffect::Quit]
    );
}

#[test]
fn note_disappears_after_ten_seconds() {
    let mut desk = TestApp::new(some(), false);
    desk.types("x");
    desk.now = desk.now.after(Duration::from_secs(10));
    desk.app.update(AppInput::Tick, desk.now);
    assert_eq!(desk.note(), "");
}

#[test]
fn queue_view_without_locks_shows_the_first_lock_to_come() {
    let mut desk = TestApp::new(FixtureStore::new(), false);
    desk.types("2");
    assert_eq!(desk.rows(), [""; 0]);
    let some = some();
    desk.app.model = some.model;
    desk.app.refresh(some.now);
    assert_eq!(desk.rows(), ["1", "2", "3", "3"]);
}
