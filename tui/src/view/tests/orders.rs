//! Jobs that operators hold, and the forms of their orders.

use std::fmt::Write as _;

use crossterm::event::{KeyCode, KeyEvent};
use leasehold_records::{DrainMark, HoldMark, HostControl, JobControl, JobState, UnixMs};

use super::stage::{app, night, text};
use crate::app::{App, AppInput, View};
use crate::fact::{Fact, FactKind};
use crate::keymap::Command;

/// Sizes of the drawings, the smallest screen first.
const SIZES: [(u16, u16); 3] = [(60, 15), (80, 24), (120, 35)];

/// The jobs of that night: inv is paused, host-1 is drained.
fn held() -> (App, UnixMs) {
    let mut store = night();
    let mark = |why: &str, until| HoldMark {
        by: "ann@desk".into(),
        why: why.into(),
        at_unix_ms: store.now,
        until_unix_ms: until,
    };
    let later = store.now.after(std::time::Duration::from_hours(2));
    let pause = JobControl {
        pause: Some(mark("the disk of the database is full", Some(later))),
    };
    let drain = HostControl {
        drain: Some(DrainMark {
            mark: mark("kernel update", None),
            keep: false,
        }),
    };
    store.put("/leasehold/control/jobs/inv", &pause.to_json(), 0);
    store.put("/leasehold/control/hosts/host-1", &drain.to_json(), 0);
    store.job(
        "inv",
        "host-2",
        "billing/invoice-07",
        JobState::StandingBack,
        None,
    );
    store.after(65_000);
    let (mut app, now) = app(store);
    app.view = View::Jobs;
    app.setup.allow_write = true;
    app.refresh(now);
    (app, now)
}

fn press(app: &mut App, now: UnixMs, code: KeyCode) {
    app.update(AppInput::Key(KeyEvent::from(code)), now);
}

fn select(app: &mut App, job: &str, host: &str) {
    let row = crate::app::RowKey::Job(job.into(), host.into());
    app.list_mut().select(row);
}

#[test]
fn held_jobs() {
    let mut all = String::new();
    for size in SIZES {
        let (mut app, now) = held();
        select(&mut app, "inv", "host-2");
        let _ = writeln!(all, "{}", text(&mut app, now, size));
    }
    insta::assert_snapshot!("held_jobs", all);
}

#[test]
fn held_job_is_described_with_all_reasons() {
    let (mut app, now) = held();
    select(&mut app, "inv", "host-2");
    app.command(Command::Describe, now);
    insta::assert_snapshot!("held_job_described", text(&mut app, now, (80, 24)));
}

#[test]
fn forms_of_orders() {
    let mut all = String::new();
    for command in [
        Command::Trigger,
        Command::Pause,
        Command::Resume,
        Command::PauseAll,
        Command::ResumeAll,
        Command::Stop,
        Command::Restart,
        Command::Drain,
        Command::Undrain,
    ] {
        let (mut app, now) = held();
        select(&mut app, "inv", "host-3");
        app.command(command, now);
        let _ = writeln!(all, "{}\n{}", command.name(), text(&mut app, now, (80, 24)));
    }
    insta::assert_snapshot!("order_forms", all);
}

#[test]
fn form_with_typed_text_fits_every_size() {
    let mut all = String::new();
    for size in SIZES {
        let (mut app, now) = held();
        select(&mut app, "inv", "host-3");
        app.command(Command::Pause, now);
        for c in "the disk is full".chars() {
            press(&mut app, now, KeyCode::Char(c));
        }
        press(&mut app, now, KeyCode::Enter);
        for c in "noon".chars() {
            press(&mut app, now, KeyCode::Char(c));
        }
        press(&mut app, now, KeyCode::Enter);
        let _ = writeln!(all, "{}", text(&mut app, now, size));
    }
    insta::assert_snapshot!("order_form_typed", all);
}

#[test]
fn long_answer_names_the_view_with_all_of_it() {
    let (mut app, now) = held();
    let answer = "the store refused the order: its user may not write it; grant it readwrite on /leasehold/control/";
    app.apply(Fact {
        at_unix_ms: now,
        kind: FactKind::Answer(Err(answer.into())),
    });
    let screen = text(&mut app, now, (80, 24));
    let last = screen.lines().rfind(|line| line.contains("refused"));
    let last = last.unwrap_or_default().trim_matches('"');
    insta::assert_snapshot!(
        last.trim(),
        @"! the store refused the order: its user may not write it; grant i… 5 all of it"
    );
    app.command(Command::ViewEvents, now);
    app.command(Command::Describe, now);
    let screen = text(&mut app, now, (80, 24));
    assert!(screen.contains("/leasehold/control/"), "{screen}");
}
