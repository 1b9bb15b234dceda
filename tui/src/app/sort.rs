//! Order of a view's rows.

use super::view::View;
use crate::columns::{
    ColumnSpec, JOB_COLUMNS, LOCK_COLUMNS, LockColumn, SESSION_COLUMNS, SortDirection,
};

/// A column, and the direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct SortOrder {
    /// Number of the column among those that rows can be sorted by.
    column: usize,
    pub(crate) reverse: bool,
}

impl SortOrder {
    /// The first order of each view: locks by the longest wait, the rest by name.
    pub(super) fn defaults() -> [Self; View::ALL.len()] {
        let by_name = Self {
            column: 0,
            reverse: false,
        };
        View::ALL.map(|view| match view {
            View::Locks | View::Heatmap => Self::by(&LOCK_COLUMNS, LockColumn::Oldest),
            View::Queue | View::Sessions | View::Jobs | View::Events => by_name,
        })
    }

    fn by<C: Copy + PartialEq>(specs: &[ColumnSpec<C>], column: C) -> Self {
        let mut sorted = specs.iter().filter(|spec| spec.sort.is_some());
        let found = sorted.position(|spec| spec.column == column);
        let spec = specs.iter().find(|spec| spec.column == column);
        Self {
            column: found.unwrap_or(0),
            reverse: spec.and_then(|spec| spec.sort) == Some(SortDirection::LargestFirst),
        }
    }

    /// Columns that the rows of a view can be sorted by; none for views with an order of their own.
    fn columns(view: View) -> Vec<(&'static str, SortDirection)> {
        fn of<C>(specs: &[ColumnSpec<C>]) -> Vec<(&'static str, SortDirection)> {
            let sorted = specs.iter();
            sorted
                .filter_map(|spec| Some((spec.title, spec.sort?)))
                .collect()
        }
        match view {
            View::Locks | View::Heatmap => of(&LOCK_COLUMNS),
            View::Sessions => of(&SESSION_COLUMNS),
            View::Jobs => of(&JOB_COLUMNS),
            View::Queue | View::Events => Vec::new(),
        }
    }

    /// Rows of this view can be sorted.
    pub(crate) fn is_offered(view: View) -> bool {
        !Self::columns(view).is_empty()
    }

    /// The column of `specs` that rows are sorted by.
    pub(crate) fn column<C: Copy>(self, specs: &[ColumnSpec<C>]) -> Option<C> {
        let mut sorted = specs.iter().filter(|spec| spec.sort.is_some());
        sorted.nth(self.column).map(|spec| spec.column)
    }

    /// The column and the direction, for the head of a table.
    pub(crate) fn mark<C: Copy>(self, specs: &[ColumnSpec<C>]) -> Option<(C, bool)> {
        Some((self.column(specs)?, self.reverse))
    }

    /// The title of the column.
    pub(crate) fn title(self, view: View) -> &'static str {
        let columns = Self::columns(view);
        columns.get(self.column).map_or("", |(title, _)| title)
    }

    /// The order by the next column, in its own direction.
    pub(super) fn next(self, view: View) -> Self {
        let columns = Self::columns(view);
        let column = (self.column + 1) % columns.len().max(1);
        let direction = columns.get(column).map(|(_, direction)| *direction);
        Self {
            column,
            reverse: direction == Some(SortDirection::LargestFirst),
        }
    }

    pub(super) const fn reversed(self) -> Self {
        Self {
            reverse: !self.reverse,
            ..self
        }
    }
}
