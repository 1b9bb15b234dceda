//! What covers the view: help, palette, description, output, a question. What is typed as a filter stands in
//! the footer instead, so that one sees what it finds.

mod confirm;
mod describe;
mod help;
mod logs;
mod palette;

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::Style;

use super::paint::{TextPage, TextPiece};
use super::scene::ViewScene;
use super::{inside, pane};
use crate::app::OpenOverlay;

/// Draws the overlay, if there is one, over `area`.
pub(super) fn render(frame: &mut Frame<'_>, area: Rect, scene: &ViewScene<'_>) {
    match &scene.app.overlay {
        None | Some(OpenOverlay::Filter { .. }) => {}
        Some(OpenOverlay::Help { top }) => help::render(frame, area, scene, *top),
        Some(OpenOverlay::Palette { typing, at }) => {
            palette::render(frame, area, scene, typing, *at);
        }
        Some(OpenOverlay::Describe { top }) => describe::render(frame, area, scene, *top),
        Some(OpenOverlay::Logs { up }) => logs::render(frame, area, scene, *up),
        Some(OpenOverlay::Confirm { order, typing }) => {
            confirm::render(frame, area, scene, order, typing);
        }
    }
}

/// A place in the middle of `area`, no larger than that.
fn middle(area: Rect, width: u16, height: u16) -> Rect {
    let (width, height) = (width.min(area.width), height.min(area.height));
    let x = area.x + (area.width - width) / 2;
    let y = area.y + (area.height - height) / 2;
    Rect::new(x, y, width, height)
}

/// A line of an overlay.
type OverlayLine = Vec<TextPiece>;

/// Shows `lines` from `top` on, or from as far down as still fills the place, over all of `area`.
fn scrolled(
    frame: &mut Frame<'_>,
    area: Rect,
    scene: &ViewScene<'_>,
    title: &str,
    lines: &[OverlayLine],
    top: usize,
) {
    let room = usize::from(inside(area).height);
    let top = top.min(lines.len().saturating_sub(room));
    let to = lines.len().min(top + room);
    let right = if lines.len() > room {
        format!("{}-{to} of {}", top + 1, lines.len())
    } else {
        String::new()
    };
    let inner = pane::over(frame, area, scene, title, &right);
    let mut page = TextPage::new(frame.buffer_mut(), inner);
    for line in &lines[top..to] {
        page.line(line);
    }
}

/// A line of one text.
fn plain(text: impl Into<String>, style: Style) -> OverlayLine {
    vec![TextPiece::new(text, style)]
}
