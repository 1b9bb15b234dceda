//! Where things were drawn, for the mouse.

use ratatui::layout::{Position, Rect};

use super::view::View;

/// Where things were drawn the last time.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct HitAreas {
    /// The tab of each view.
    pub(crate) tabs: [Rect; View::ALL.len()],
    /// The rows of the list, without its head.
    pub(crate) list: Rect,
}

impl HitAreas {
    /// The view whose tab is there.
    pub(super) fn tab(&self, column: u16, row: u16) -> Option<View> {
        let at = self
            .tabs
            .iter()
            .position(|tab| tab.contains(Position::new(column, row)))?;
        View::ALL.get(at).copied()
    }

    /// The line of the list that is there, from its top.
    pub(super) fn line(&self, column: u16, row: u16) -> Option<usize> {
        let inside = self.list.contains(Position::new(column, row));
        inside.then(|| usize::from(row - self.list.y))
    }
}
