//! Emphasis in every theme: runs of cells with styles of their own, line by line.

use std::fmt::Write as _;

use super::stage::{at_night, looks, screen, theme};
use crate::app::View;
use crate::theme::ThemeName;

fn check(name: &str, view: View) {
    let (mut app, now) = at_night(view);
    let mut all = String::new();
    for chosen in [ThemeName::Mono, ThemeName::Dark, ThemeName::Light] {
        app.setup.theme = theme(chosen);
        let screen = screen(&mut app, now, (120, 35));
        let _ = write!(all, "{chosen:?}\n{}\n", looks(screen.buffer()));
    }
    insta::assert_snapshot!(name, all);
}

#[test]
fn locks() {
    check("looks_locks", View::Locks);
}

#[test]
fn queue() {
    check("looks_queue", View::Queue);
}

#[test]
fn sessions() {
    check("looks_sessions", View::Sessions);
}

#[test]
fn jobs() {
    check("looks_jobs", View::Jobs);
}

#[test]
fn events() {
    check("looks_events", View::Events);
}

#[test]
fn heatmap() {
    check("looks_heatmap", View::Heatmap);
}

#[test]
fn without_colours_there_is_no_colour() {
    for view in View::ALL {
        let (mut app, now) = at_night(view);
        app.setup.theme = theme(ThemeName::Mono);
        let screen = screen(&mut app, now, (120, 35));
        for cell in &screen.buffer().content {
            let reset = ratatui::style::Color::Reset;
            assert_eq!((cell.fg, cell.bg), (reset, reset), "{view:?}");
        }
    }
}
