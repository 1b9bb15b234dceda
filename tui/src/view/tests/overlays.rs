//! Overlays of a view.

use std::fmt::Write as _;

use leasehold_lock::LeaseId;

use super::stage::{SIZES, at_night, select, text};
use crate::app::{App, OpenOverlay, RowKey, View};
use crate::keymap::Command;

const USUAL: (u16, u16) = (120, 35);

/// The program after a command and some typed text.
fn typed(view: View, command: Command, typing: &str) -> (App, u64) {
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
