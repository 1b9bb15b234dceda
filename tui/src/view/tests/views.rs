//! Every view on a small, a usual and a large screen.

use std::fmt::Write as _;

use super::stage::{SIZES, at_night, text};
use crate::app::View;

fn check(name: &str, view: View) {
    let (mut app, now) = at_night(view);
    let mut all = String::new();
    for size in SIZES {
        let _ = write!(
            all,
            "{}x{}\n{}\n",
            size.0,
            size.1,
            text(&mut app, now, size)
        );
    }
    insta::assert_snapshot!(name, all);
}

#[test]
fn locks() {
    check("locks", View::Locks);
}

#[test]
fn queue() {
    check("queue", View::Queue);
}

#[test]
fn sessions() {
    check("sessions", View::Sessions);
}

#[test]
fn jobs() {
    check("jobs", View::Jobs);
}

#[test]
fn events() {
    check("events", View::Events);
}

#[test]
fn heatmap() {
    check("heatmap", View::Heatmap);
}
