//! Areas and lines that overlays share.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::Style;

use super::super::layout::inside;
use super::super::paint::{TextPage, TextPiece};
use super::super::pane;
use super::super::scene::ViewScene;

/// Area in the middle of `area`, no larger than that.
pub(super) fn middle(area: Rect, width: u16, height: u16) -> Rect {
    let (width, height) = (width.min(area.width), height.min(area.height));
    let x = area.x + (area.width - width) / 2;
    let y = area.y + (area.height - height) / 2;
    Rect::new(x, y, width, height)
}

/// A line of an overlay.
pub(super) type OverlayLine = Vec<TextPiece>;

/// Shows `lines` from `top` on, or the last page if `top` is beyond it, over all of `area`.
pub(super) fn scrolled(
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
pub(super) fn plain(text: impl Into<String>, style: Style) -> OverlayLine {
    vec![TextPiece::new(text, style)]
}
