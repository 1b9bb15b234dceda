//! A cluster in the middle of a bad night, and a screen for it.

use std::fmt::Write as _;

use leasehold_lock::Revision;
use leasehold_records::{JobState, Outcome, UnixMs};
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::buffer::Buffer;
use ratatui::style::{Color, Modifier, Style};

use crate::app::{App, AppSetup, FactSource, RowKey, View};
use crate::keymap::Keymap;
use crate::model::fixture::{BEGAN, FixtureStore};
use crate::theme::{Theme, ThemeName};
use crate::view::draw;

pub(super) const SIZES: [(u16, u16); 3] = [(80, 24), (120, 35), (250, 70)];

const HOST_1: i64 = 0x694d_9a3f_4401_0c41;
const HOST_2: i64 = 0x694d_9a3f_4401_0d5f;
const HOST_3: i64 = 0x694d_9a3f_4401_3c07;
const HOST_4: i64 = 0x694d_9a3f_4401_7a11;
const HOST_9: i64 = 0x694d_9a3f_4401_0999;
const CTL: i64 = 0x694d_9a3f_4402_1111;

/// The hosts and their jobs.
pub(super) fn night() -> FixtureStore {
    let mut store = FixtureStore::new();
    store.revision = Revision::new(1_198_800);
    for (host, lease) in [
        ("host-1", HOST_1),
        ("host-2", HOST_2),
        ("host-3", HOST_3),
        ("host-4", HOST_4),
        ("host-9", HOST_9),
    ] {
        store.host(host, lease, &["etl", "inv", "led", "pdf", "vac"]);
    }
    let etl = store
        .after(10_000)
        .join("etl/daily", "etl", "host-4", HOST_4);
    store.job("etl", "host-4", "etl/daily", JobState::Running, Some(etl));
    store.run("etl", "host-4", "etl/daily", etl, Outcome::Running);
    let vac = store
        .after(60_000)
        .join("cron/vacuum", "vac", "host-9", HOST_9);
    store.run("vac", "host-9", "cron/vacuum", vac, Outcome::Running);
    reports(&mut store);
    store.put("/leasehold/locks/deploy/freeze/until-monday", b"ann", 0);
    store.put("/legacy/mutex/694d9a3f44021111", b"etcdctl lock", CTL);
    store.after(3_480_000).skip(3_200);
    contention(&mut store);
    store.after(40_000);
    let vac = store.join("cron/vacuum", "vac", "host-2", HOST_2);
    store.after(12_000);
    let gone = [
        store.key("cron/vacuum", HOST_9),
        "/leasehold/hosts/host-9".into(),
    ];
    store.delete(&[&gone[0], &gone[1]]);
    store
        .after(30)
        .run("vac", "host-9", "cron/vacuum", vac, Outcome::Abandoned);
    store.job("vac", "host-2", "cron/vacuum", JobState::Running, Some(vac));
    leases(&mut store);
    store.after(1_000).healthy();
    store
}

/// Short work that is repeated.
fn reports(store: &mut FixtureStore) {
    for round in 0..4 {
        for (host, lease) in [("host-2", HOST_2), ("host-3", HOST_3)] {
            let token = store.after(2_000).join("report/pdf", "pdf", host, lease);
            store
                .after(9)
                .job("pdf", host, "report/pdf", JobState::Running, Some(token));
            let outcome = if round == 2 {
                Outcome::Retry
            } else {
                Outcome::Done
            };
            store
                .after(4_000)
                .run("pdf", host, "report/pdf", token, outcome);
            store.job("pdf", host, "report/pdf", JobState::Sleeping, None);
            store.leave("report/pdf", lease);
        }
    }
    store.after(100).join_other("cron/reindex", CTL);
    store.after(5_000).leave("cron/reindex", CTL);
}

/// A waiter holds a lock with waiters of its own.
fn contention(store: &mut FixtureStore) {
    let led = store.join("billing/ledger", "led", "host-1", HOST_1);
    store.job(
        "led",
        "host-1",
        "billing/ledger",
        JobState::Running,
        Some(led),
    );
    let inv = store
        .after(8_000)
        .join("billing/invoice-07", "inv", "host-3", HOST_3);
    store.job(
        "inv",
        "host-3",
        "billing/invoice-07",
        JobState::Running,
        Some(inv),
    );
    store.run("inv", "host-3", "billing/invoice-07", inv, Outcome::Running);
    store
        .after(14_000)
        .join("billing/invoice-07", "inv", "host-2", HOST_2);
    store.job(
        "inv",
        "host-2",
        "billing/invoice-07",
        JobState::Waiting,
        None,
    );
    store
        .after(17_000)
        .join("billing/invoice-07", "led", "host-1", HOST_1);
    store.join("etl/daily", "etl", "host-2", HOST_2);
    for waiter in 0..4 {
        store
            .after(2_500)
            .join_other("billing/ledger", CTL + 2 + waiter);
    }
    for waiter in 0..7 {
        store
            .after(5_000)
            .join_other("billing/invoice-07", CTL + 20 + waiter);
    }
    let pdf = store
        .after(20_000)
        .join("report/pdf", "pdf", "host-3", HOST_3);
    store.job("pdf", "host-3", "report/pdf", JobState::Running, Some(pdf));
    store.job("old", "host-1", "old/import", JobState::Failed, None);
}

fn leases(store: &mut FixtureStore) {
    store.ttl(HOST_4, 8, 30);
    store.ttl(HOST_1, 29, 30);
    store.after(4_000);
    store.ttl(HOST_2, 27, 30);
    store.ttl(HOST_3, 25, 30);
    store.ttl(CTL, 60, 60);
}

pub(super) fn theme(name: ThemeName) -> Theme {
    let env = |variable: &str| (variable == "COLORTERM").then(|| "truecolor".to_owned());
    Theme::choose(name, &env)
}

/// The program in front of a cluster.
pub(super) fn app(store: FixtureStore) -> (App, UnixMs) {
    let setup = AppSetup {
        keymap: Keymap::default(),
        env: |_| None,
        theme: theme(ThemeName::Dark),
        mouse: true,
        allow_write: false,
        source: FactSource::Store("10.0.0.7:2379".into()),
        operator: "ann@desk".into(),
        zone: leasehold_orders::Tz::UTC,
    };
    (App::new(store.model, setup), store.now)
}

/// The program in one of its views, in the middle of that night.
pub(super) fn at_night(view: View) -> (App, UnixMs) {
    let (mut app, now) = app(night());
    app.view = view;
    app.lock = Some("/leasehold/locks/billing/invoice-07".into());
    app.refresh(now);
    (app, now)
}

/// Selects a lock by its short name.
pub(super) fn select(app: &mut App, now: UnixMs, lock: &str) {
    app.refresh(now);
    let name = format!("/leasehold/locks/{lock}");
    app.list_mut().select(RowKey::Lock(name.into()));
}

/// Draws, and returns the screen.
pub(super) fn screen(app: &mut App, now: UnixMs, (width, height): (u16, u16)) -> TestBackend {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal.draw(|frame| draw(frame, app, now)).unwrap();
    terminal.backend().clone()
}

/// The screen as text.
pub(super) fn text(app: &mut App, now: UnixMs, size: (u16, u16)) -> String {
    screen(app, now, size).to_string()
}

/// One line of the screen.
pub(super) fn line(buffer: &Buffer, y: u16) -> String {
    (0..buffer.area.width)
        .map(|x| buffer[(x, y)].symbol())
        .collect()
}

/// Runs of cells with styles of their own: `12-19 yellow bold`.
pub(super) fn looks(buffer: &Buffer) -> String {
    let mut out = String::new();
    for y in 0..buffer.area.height {
        let mut runs: Vec<(u16, u16, String)> = Vec::new();
        for x in 0..buffer.area.width {
            let look = look(buffer[(x, y)].style());
            match runs.last_mut() {
                Some((_, to, last)) if *last == look => *to = x,
                _ => runs.push((x, x, look)),
            }
        }
        let runs = runs.into_iter().filter(|(_, _, look)| !look.is_empty());
        let runs: Vec<String> = runs
            .map(|(from, to, look)| format!("{from}-{to} {look}"))
            .collect();
        let _ = writeln!(out, "{y:>2}: {}", runs.join(", "));
    }
    out
}

fn look(style: Style) -> String {
    let mut words = Vec::new();
    for (color, what) in [(style.fg, ""), (style.bg, "on ")] {
        match color {
            None | Some(Color::Reset) => {}
            Some(Color::Indexed(index)) => words.push(format!("{what}{index}")),
            Some(color) => words.push(format!("{what}{color}").to_lowercase()),
        }
    }
    for (modifier, word) in [
        (Modifier::BOLD, "bold"),
        (Modifier::DIM, "dim"),
        (Modifier::UNDERLINED, "underlined"),
        (Modifier::REVERSED, "reversed"),
    ] {
        if style.add_modifier.contains(modifier) {
            words.push(word.into());
        }
    }
    words.join(" ")
}

/// First moment of a night.
pub(super) const EVENING: UnixMs = BEGAN;
