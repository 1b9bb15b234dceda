//! The picture of the dashboard in the pages is the drawn screen.

use super::stage::{at_night, screen};
use crate::app::View;
use crate::svg::render;

/// Path of the picture, from the root of this crate.
const FILE: &str = "dashboard.svg";

#[test]
fn dashboard_svg_is_what_the_locks_view_draws() {
    let (mut app, now) = at_night(View::Locks);
    let screen = screen(&mut app, now, (120, 35));
    let title = "The dashboard: locks, the queue of the selected one, its run, and what happened";
    let drawn = render(screen.buffer(), title);
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(FILE);
    if std::env::var("INSTA_UPDATE").is_ok_and(|update| update == "always") {
        std::fs::write(&path, &drawn).unwrap();
    }
    let shown = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        shown == drawn,
        "{} is not what is drawn: INSTA_UPDATE=always makes it anew",
        path.display()
    );
}
