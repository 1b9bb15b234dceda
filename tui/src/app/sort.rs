//! By what a view's rows are in order.

use super::view::View;

/// A column, and the direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct SortOrder {
    /// The number of the column in [`SortOrder::columns`].
    column: usize,
    pub(crate) reverse: bool,
}

impl SortOrder {
    /// What each view begins with: locks by who has waited longest, the rest by name.
    pub(super) fn defaults() -> [Self; View::ALL.len()] {
        let by = |column, reverse| Self { column, reverse };
        View::ALL.map(|view| match view {
            View::Locks | View::Heatmap => by(5, true),
            _ => by(0, false),
        })
    }

    /// The columns that a view's rows can be in order by; none for views whose order is their meaning.
    pub(crate) const fn columns(view: View) -> &'static [&'static str] {
        match view {
            View::Locks | View::Heatmap => {
                &["LOCK", "STATE", "HELD", "TTL", "WAIT", "OLDEST", "FENCE"]
            }
            View::Sessions => &["SESSION", "TTL", "HOLDS", "WAITS"],
            View::Jobs => &["JOB", "HOST", "STATE", "SINCE"],
            View::Queue | View::Events => &[],
        }
    }

    /// The name of the column.
    pub(crate) fn name(self, view: View) -> &'static str {
        Self::columns(view).get(self.column).copied().unwrap_or("")
    }

    /// The next column; numbers begin with the largest.
    pub(super) fn next(self, view: View) -> Self {
        let column = (self.column + 1) % Self::columns(view).len().max(1);
        let name = Self::columns(view).get(column).copied().unwrap_or("");
        Self {
            column,
            reverse: matches!(
                name,
                "HELD" | "WAIT" | "OLDEST" | "FENCE" | "HOLDS" | "WAITS"
            ),
        }
    }

    pub(super) const fn reversed(self) -> Self {
        Self {
            reverse: !self.reverse,
            ..self
        }
    }
}
