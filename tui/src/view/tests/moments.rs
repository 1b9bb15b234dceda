//! Loading, lost, empty, frozen, past, replayed: each must differ from the others at a glance.

use std::fmt::Write as _;
use std::time::Duration;

use leasehold_lock::FeedItem;
use leasehold_records::UnixMs;

use super::stage::{EVENING, app, line, night, screen, select, text};
use crate::app::{App, FactSource, View};
use crate::fact::FactKind;
use crate::filter::Filter;
use crate::keymap::Command;
use crate::model::fixture::FixtureStore;

/// The lines that differ: the first ones and the last two.
fn telling(app: &mut App, now: UnixMs) -> String {
    let screen = screen(app, now, (120, 24));
    let lines = (0..8)
        .chain(22..24)
        .map(|y| line(screen.buffer(), y).trim_end().to_owned());
    lines.collect::<Vec<_>>().join("\n") + "\n\n"
}

fn down(store: &mut FixtureStore) {
    let reason = "transport error: tcp connect to 10.0.0.7:2379 refused".into();
    store.send(FactKind::Keys(FeedItem::Down { reason }));
    store.after(12_000);
}

#[test]
fn moments() {
    let mut all = String::new();
    let mut tell = |name: &str, app: &mut App, now: UnixMs| {
        let _ = write!(all, "{name}\n{}", telling(app, now));
    };
    let (mut loading, now) = app(FixtureStore::unread());
    tell("loading", &mut loading, now.after(Duration::from_secs(3)));

    let mut store = FixtureStore::unread();
    down(&mut store);
    let (mut never, now) = app(store);
    tell("never heard", &mut never, now);

    let mut store = FixtureStore::new();
    store.healthy();
    let (mut empty, now) = app(store);
    tell("empty", &mut empty, now);
    for view in View::ALL {
        empty.view = view;
        tell(&format!("empty {view:?}"), &mut empty, now);
    }

    let mut store = night();
    down(&mut store);
    let (mut lost, now) = app(store);
    tell("lost", &mut lost, now);
    lost.filter = Filter::parse("no such lock").unwrap();
    tell("lost and filtered", &mut lost, now);

    let (mut filtered, now) = app(night());
    filtered.filter = Filter::parse("billing").unwrap();
    tell("filtered", &mut filtered, now);
    filtered.filter = Filter::parse("bill*zzz").unwrap();
    tell("filtered to nothing", &mut filtered, now);
    insta::assert_snapshot!("moments", all);
}

#[test]
fn past() {
    let mut all = String::new();
    let mut tell = |name: &str, app: &mut App, now: UnixMs| {
        let _ = write!(all, "{name}\n{}", telling(app, now));
    };
    let (mut app, now) = app(night());
    app.command(Command::Freeze, now);
    tell("frozen", &mut app, now.after(Duration::from_secs(9)));
    for _ in 0..5 {
        app.command(Command::StepBack, now);
    }
    tell("five steps back", &mut app, now);
    app.model.seek(now, EVENING);
    tell("the beginning", &mut app, now);
    app.model.show_present();
    let health = leasehold_lock::StoreHealth {
        version: "3.5.1".into(),
        members: 3,
        revision: leasehold_lock::Revision::new(1_203_000),
        ..leasehold_lock::StoreHealth::default()
    };
    app.model.health = Some(Ok(health));
    tell("behind", &mut app, now);
    app.model.health = Some(Err("it does not say".into()));
    tell("no health", &mut app, now);
    app.setup.source = FactSource::Recording {
        file: "/var/tmp/incident-2026-01-02.jsonl".into(),
        ended: now,
    };
    tell("recording", &mut app, UnixMs::default());
    app.command(Command::JumpBack10s, now);
    tell("recording, ten seconds back", &mut app, UnixMs::default());
    insta::assert_snapshot!("past", all);
}

#[test]
fn lost_store_is_shown_on_every_screen() {
    let mut store = night();
    down(&mut store);
    let (mut app, now) = app(store);
    for view in View::ALL {
        app.view = view;
        for size in [(60, 15), (80, 24), (100, 30), (250, 70)] {
            let said = text(&mut app, now, size);
            assert!(
                said.contains("DISCONNECTED 12s"),
                "{view:?} {size:?}\n{said}"
            );
        }
    }
}

#[test]
fn restarted_job_is_shown_behind_its_own_expiring_entry() {
    let mut store = FixtureStore::new();
    store.join("billing", "inv", "host-1", 1);
    store.after(3_000).join("billing", "inv", "host-1", 2);
    store.healthy();
    store.ttl(1, 7, 10);
    store.ttl(2, 9, 10);
    let (mut app, now) = app(store);
    let mut all = String::new();
    for (view, size) in [
        (View::Locks, (200, 50)),
        (View::Queue, (120, 24)),
        (View::Queue, (160, 24)),
    ] {
        app.view = view;
        app.lock = Some("/leasehold/locks/billing".into());
        app.refresh(now);
        if view == View::Locks {
            select(&mut app, now, "billing");
        }
        let screen = screen(&mut app, now, size);
        let lines = (0..size.1).map(|y| line(screen.buffer(), y).trim_end().to_owned());
        let about = |line: &String| line.contains("entry") || line.contains("blast");
        let lines: Vec<String> = lines.filter(about).collect();
        let _ = writeln!(all, "{view:?} {size:?}\n{}\n", lines.join("\n"));
    }
    insta::assert_snapshot!(all);
}
