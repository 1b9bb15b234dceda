//! Areas of the last frame that react to the mouse.

use ratatui::layout::{Position, Rect};

use super::view::View;

/// Areas of the last frame that react to the mouse.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct HitAreas {
    /// Tab of each view.
    pub(crate) tabs: [Rect; View::ALL.len()],
    /// Rows of the list, without its head.
    pub(crate) list: Rect,
}

impl HitAreas {
    /// Finds the view whose tab is at this position.
    pub(super) fn tab(&self, column: u16, row: u16) -> Option<View> {
        let at = self
            .tabs
            .iter()
            .position(|tab| tab.contains(Position::new(column, row)))?;
        View::ALL.get(at).copied()
    }

    /// Finds the line of the list at this position, counted from its top.
    pub(super) fn line(&self, column: u16, row: u16) -> Option<usize> {
        let inside = self.list.contains(Position::new(column, row));
        inside.then(|| usize::from(row - self.list.y))
    }
}
