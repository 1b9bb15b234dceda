//! Panes: a frame, a title at the left, and the position in a list at the right.

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

/// Draws the frame of a pane and returns its inside.
pub(super) fn frame(frame: &mut Frame<'_>, area: Rect, scene: &ViewScene<'_>, title: &str) -> Rect {
    draw(frame, area, scene, title, "", false)
}

/// Like [`frame`], for the pane with the cursor, with the position in its list.
pub(super) fn list(
    frame: &mut Frame<'_>,
    area: Rect,
    scene: &ViewScene<'_>,
    title: &str,
    right: &str,
) -> Rect {
    draw(frame, area, scene, title, right, true)
}

/// Like [`list`], over earlier content.
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

/// Style of text over a frame, without the style of the frame.
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

/// Rows of a list on the screen: `12-23 of 212`.
pub(super) fn place(list: &RowList) -> String {
    let (from, len) = (list.top(), list.len());
    let to = len.min(from + list.height());
    if len == 0 {
        return String::new();
    }
    let count = |number: usize| text::count(number as u64);
    format!("{}-{} of {}", count(from + 1), count(to), count(len))
}

/// Notes in a list's title: the age of the state of a lost store, and the follow mode.
pub(super) fn notes(scene: &ViewScene<'_>) -> String {
    let mut notes = String::new();
    if let StoreLink::Down { since, .. } = scene.app.model.link
        && scene.shown.is_live
    {
        let age = text::age(scene.now.millis_since(since));
        notes = format!("  LAST KNOWN, {age} OLD");
    }
    if scene.app.follow {
        notes.push_str("  FOLLOWING");
    }
    notes
}
