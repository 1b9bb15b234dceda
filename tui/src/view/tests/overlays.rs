//! Overlays of a view.

use std::fmt::Write as _;

use leasehold_lock::LeaseId;

use super::stage::{SIZES, at_night, select, text};
use crate::app::{App, OpenOverlay, RowKey, View};
use crate::fact::{Fact, FactKind, OutputFact};
use crate::keymap::Command;
use leasehold_follow::{OutputItem, RunHead};
use leasehold_lock::Token;
use leasehold_records::{OutputLine, OutputStream, RunKey, UnixMs};

const USUAL: (u16, u16) = (120, 35);

/// The program after a command and some typed text.
fn typed(view: View, command: Command, typing: &str) -> (App, UnixMs) {
    let (mut app, now) = at_night(view);
    app.setup.allow_write = true;
    app.command(command, now);
    for c in typing.chars() {
        let key = crossterm::event::KeyEvent::from(crossterm::event::KeyCode::Char(c));
        app.update(crate::app::AppInput::Key(key), now);
    }
    (app, now)
}

#[test]
fn help() {
    let (mut app, now) = at_night(View::Locks);
    app.command(Command::Help, now);
    let all = SIZES.map(|size| text(&mut app, now, size)).join("\n");
    insta::assert_snapshot!("help", all);
}

#[test]
fn inputs_with_typed_text() {
    let mut all = String::new();
    for (command, typing) in [
        (Command::Filter, "billing"),
        (Command::Filter, "bill[ing"),
        (Command::Palette, "le"),
        (Command::Palette, "nothing of this kind"),
        (Command::StopRun, "billing/inv"),
    ] {
        let (mut app, now) = typed(View::Locks, command, typing);
        let _ = write!(
            all,
            "{}: {typing}\n{}\n",
            command.name(),
            text(&mut app, now, (80, 24))
        );
    }
    insta::assert_snapshot!("typed", all);
}

#[test]
fn describe() {
    let mut all = String::new();
    for view in View::ALL {
        let (mut app, now) = at_night(view);
        if view == View::Locks {
            select(&mut app, now, "cron/vacuum");
        }
        if view == View::Queue {
            app.list_mut().select_at(2);
        }
        app.overlay = Some(OpenOverlay::Describe { top: 0 });
        let _ = write!(all, "{view:?}\n{}\n", text(&mut app, now, USUAL));
    }
    insta::assert_snapshot!("describe", all);
}

#[test]
fn logs() {
    let (mut app, now) = at_night(View::Jobs);
    app.overlay = Some(OpenOverlay::Logs { up: 0 });
    insta::assert_snapshot!("logs", text(&mut app, now, (80, 24)));
}

/// Applies live output of the selected job.
fn output(app: &mut App, now: UnixMs, fact: OutputFact) {
    let (job, _) = app.job(now).expect("a job is selected");
    app.apply(Fact {
        at_unix_ms: now,
        kind: FactKind::Output(job, Box::new(fact)),
    });
}

fn live_line(stream: OutputStream, text: &str) -> OutputFact {
    let run = live_head().key;
    let line = OutputLine {
        at_unix_ms: UnixMs::new(1),
        stream,
        level: None,
        text: text.into(),
    };
    OutputFact::Item(OutputItem::Line { run, line })
}

fn live_head() -> RunHead {
    RunHead {
        key: RunKey {
            job: "etl".into(),
            token: Token::new(7),
            sequence: 0,
        },
        host: "host-4".into(),
        attempt: 1,
        started_unix_ms: UnixMs::new(1_764_500_401_000),
    }
}

#[test]
fn live_output_follows_and_holds_still_when_scrolled_up() {
    let (mut app, now) = at_night(View::Jobs);
    app.overlay = Some(OpenOverlay::Logs { up: 0 });
    output(&mut app, now, OutputFact::Began);
    output(
        &mut app,
        now,
        OutputFact::Item(OutputItem::Began(live_head())),
    );
    output(
        &mut app,
        now,
        live_line(OutputStream::Stderr, "no \u{1b}[31mroom"),
    );
    for number in 0..30 {
        output(
            &mut app,
            now,
            live_line(OutputStream::Stdout, &format!("line {number}")),
        );
    }
    let following = text(&mut app, now, (70, 18));
    assert!(
        following.contains("following") && following.contains("line 29"),
        "{following}"
    );
    app.overlay = Some(OpenOverlay::Logs { up: 30 });
    let paused = text(&mut app, now, (70, 18));
    assert!(
        paused.contains("no \u{fffd}[31mroom") && paused.contains("paused"),
        "{paused}"
    );
    for number in 30..50 {
        output(
            &mut app,
            now,
            live_line(OutputStream::Stdout, &format!("line {number}")),
        );
    }
    // The rows stay; their numbers are the same.
    let later = text(&mut app, now, (70, 18));
    assert!(
        later.contains("no \u{fffd}[31mroom") && !later.contains("line 49"),
        "{later}"
    );
}

#[test]
fn user_who_may_not_follow_sees_a_sentence_and_the_record() {
    let (mut app, now) = at_night(View::Jobs);
    app.overlay = Some(OpenOverlay::Logs { up: 0 });
    let before = text(&mut app, now, (80, 24));
    let refused = OutputFact::Refused("no live output: this user may not write".into());
    output(&mut app, now, refused);
    let after = text(&mut app, now, (80, 24));
    assert!(
        after.contains("no live output: this user may not write"),
        "{after}"
    );
    let last = before.lines().rev().find(|line| line.contains("batch"));
    assert!(last.is_none_or(|line| after.contains(line)), "{after}");
}

#[test]
fn description_of_a_deleted_row_names_the_deletion() {
    for row in [
        RowKey::Lock("/leasehold/locks/none".into()),
        RowKey::Entry("/leasehold/locks/none".into(), "none".into()),
        RowKey::Session(LeaseId::new(7)),
        RowKey::Event(9_999),
    ] {
        let (mut app, now) = at_night(View::Locks);
        app.list_mut().select(row.clone());
        app.overlay = Some(OpenOverlay::Describe { top: 0 });
        let said = text(&mut app, now, USUAL);
        assert!(
            [
                "no longer exists",
                "has been deleted",
                "has ended",
                "not remembered"
            ]
            .iter()
            .any(|sentence| said.contains(sentence)),
            "{row:?}\n{said}"
        );
    }
}

#[test]
fn cursor_is_at_the_input_whatever_its_length() {
    let long = "漢字 ".repeat(60);
    for typing in ["", "abc", long.as_str()] {
        let (mut app, now) = typed(View::Locks, Command::Filter, typing);
        let mut screen = super::stage::screen(&mut app, now, (80, 24));
        let at = ratatui::backend::Backend::get_cursor_position(&mut screen).unwrap();
        assert_eq!(at.y, 23);
        let expected = " filter: ".len() + crate::text::width(typing);
        if expected < 79 {
            assert_eq!(usize::from(at.x), expected);
        } else {
            assert!((77..80).contains(&at.x), "{at}");
        }
    }
}
