//! Panes: a frame, a title at the left, and where one stands in it at the right.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::Line;
use ratatui::widgets::{Block, Clear, Widget};

use super::paint;
use super::scene::ViewScene;
use crate::app::RowList;
use crate::model::StoreLink;
use crate::text;

/// Draws the frame of a pane and gives what is inside.
pub(super) fn frame(frame: &mut Frame<'_>, area: Rect, scene: &ViewScene<'_>, title: &str) -> Rect {
    draw(frame, area, scene, title, "", false)
}

/// As [`frame`], for the pane that the keys move in, with where one stands in it.
pub(super) fn list(
    frame: &mut Frame<'_>,
    area: Rect,
    scene: &ViewScene<'_>,
    title: &str,
    right: &str,
) -> Rect {
    draw(frame, area, scene, title, right, true)
}

/// As [`list`], over whatever was drawn there before.
pub(super) fn over(
    frame: &mut Frame<'_>,
    area: Rect,
    scene: &ViewScene<'_>,
    title: &str,
    right: &str,
) -> Rect {
    let buffer = frame.buffer_mut();
    Clear.render(area, buffer);
    if let Some(x) = area.x.checked_sub(1) {
        // The second half of a wide character would hide the edge.
        for y in area.top()..area.bottom() {
            if let Some(cell) = buffer.cell_mut((x, y))
                && text::width(cell.symbol()) > 1
            {
                cell.set_symbol(" ");
            }
        }
    }
    draw(frame, area, scene, title, right, true)
}

/// A style for what is drawn over a frame, with nothing of the frame's own left.
fn over_border(style: Style) -> Style {
    Style::reset().patch(style)
}

fn draw(
    frame: &mut Frame<'_>,
    area: Rect,
    scene: &ViewScene<'_>,
    title: &str,
    right: &str,
    has_keys: bool,
) -> Rect {
    let theme = scene.theme;
    let style = if has_keys {
        theme.border_focused
    } else {
        theme.border
    };
    let room = usize::from(area.width).saturating_sub(4);
    let right = paint::cut(right, room);
    let left = room.saturating_sub(text::width(&right) + 3);
    let title = paint::cut(title, left);
    let mut block = Block::bordered().border_style(style);
    if !title.is_empty() {
        block = block.title(Line::styled(format!(" {title} "), over_border(theme.title)));
    }
    if !right.is_empty() {
        let right = Line::styled(format!(" {right} "), over_border(theme.dim)).right_aligned();
        block = block.title(right);
    }
    let inner = block.inner(area);
    block.render(area, frame.buffer_mut());
    inner
}

/// Where the window of a list stands: `12-23 of 212`.
pub(super) fn place(list: &RowList) -> String {
    let (from, len) = (list.top(), list.len());
    let to = len.min(from + list.height());
    if len == 0 {
        return String::new();
    }
    let count = |number: usize| text::count(number as u64);
    format!("{}-{} of {}", count(from + 1), count(to), count(len))
}

/// What stands in a list's title beside its name: how old it is when nothing is heard, and what is kept
/// in sight.
pub(super) fn notes(scene: &ViewScene<'_>) -> String {
    let mut notes = String::new();
    if let StoreLink::Down { since, .. } = scene.app.model.link
        && scene.shown.is_live
    {
        let age = text::age(scene.now.saturating_sub(since));
        notes = format!("  LAST KNOWN, {age} OLD");
    }
    if scene.app.follow {
        notes.push_str("  FOLLOWING");
    }
    notes
}
