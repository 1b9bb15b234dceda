//! Drawing fails at no size, and a screen that is too small shows the needed size.

use super::stage::{at_night, screen, text};
use crate::app::{OpenOverlay, TextInput, View};

fn overlays() -> Vec<Option<OpenOverlay>> {
    let typing = TextInput::new("billing 漢字");
    vec![
        None,
        Some(OpenOverlay::Help { top: 9_999 }),
        Some(OpenOverlay::Describe { top: 3 }),
        Some(OpenOverlay::Logs { up: 9_999 }),
        Some(OpenOverlay::Palette {
            typing: TextInput::default(),
            at: 7,
        }),
        Some(OpenOverlay::Filter {
            typing,
            before: String::new(),
        }),
    ]
}

/// Draws at these sizes, with each overlay in turn.
fn draw_at(view: View, sizes: impl Iterator<Item = (u16, u16)>) {
    let overlays = overlays();
    let (mut app, now) = at_night(view);
    for ((width, height), nth) in sizes.zip(0..) {
        app.overlay.clone_from(&overlays[nth % overlays.len()]);
        screen(&mut app, now, (width, height));
    }
}

#[test]
fn drawing_never_fails_at_any_size() {
    for (at, view) in (0..).zip(View::ALL) {
        let all = (1..=130).flat_map(|width| (1..=40).map(move |height| (width, height)));
        // Each size with one of the views, each view at every width and every height.
        draw_at(
            view,
            all.filter(|(width, height)| (width + 5 * height) % 6 == at),
        );
    }
}

#[test]
fn drawing_never_fails_at_any_width_or_height() {
    for view in View::ALL {
        draw_at(
            view,
            (60..=130).flat_map(|width| [(width, 15), (width, 35)]),
        );
        draw_at(
            view,
            (15..=70).flat_map(|height| [(60, height), (250, height)]),
        );
    }
}

#[test]
fn screen_too_small_shows_the_needed_size() {
    let (mut app, now) = at_night(View::Locks);
    let said = text(&mut app, now, (59, 15));
    assert!(
        said.contains("terminal too small: 60x15 needed, this is 59x15"),
        "{said}"
    );
    let said = text(&mut app, now, (20, 9));
    assert!(said.contains("terminal too small:"), "{said}");
    insta::assert_snapshot!("smallest", text(&mut app, now, (60, 15)));
}
