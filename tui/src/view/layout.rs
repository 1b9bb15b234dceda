//! Areas on the screen: the rows of a list, and the inside of a pane.

use std::ops::Range;

use ratatui::layout::Rect;

use crate::app::App;

/// Sets the number of rows that fit into `area`, below `heads` lines, and returns the rows on the screen.
pub(super) fn window(app: &mut App, area: Rect, heads: u16) -> (Rect, Range<usize>) {
    let heads = heads.min(area.height);
    let rows = Rect::new(area.x, area.y + heads, area.width, area.height - heads);
    app.hit_areas.list = rows;
    let range = app.list_mut().window(rows.height.into());
    (rows, range)
}

/// Inside of a pane's frame.
pub(super) fn inside(area: Rect) -> Rect {
    ratatui::widgets::Block::bordered().inner(area)
}
