//! Columns of the Sessions view.

use std::borrow::Cow;

use super::column_spec::{ColumnSpec, ColumnWidth, SortDirection};
use crate::model::{LeaseTtl, SessionBrief, SessionRow};

/// A column about a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SessionColumn {
    Session,
    Lease,
    Ttl,
    Holds,
    Waits,
    Contents,
}

/// The columns, in the order of the screen.
pub(crate) const SESSION_COLUMNS: [ColumnSpec<SessionColumn>; 6] = {
    use ColumnWidth as Width;
    use SortDirection::{LargestFirst, SmallestFirst};
    [
        ColumnSpec::new(SessionColumn::Session, "SESSION")
            .on_screen(Width::text(16, 30, 0))
            .sorted(SmallestFirst)
            .filtered(),
        ColumnSpec::new(SessionColumn::Lease, "LEASE")
            .on_screen(Width::text(9, 18, 1))
            .filtered(),
        ColumnSpec::new(SessionColumn::Ttl, "TTL")
            .on_screen(Width::bar(6, 17, 0))
            .sorted(SmallestFirst),
        ColumnSpec::new(SessionColumn::Holds, "HOLDS")
            .on_screen(Width::number(5, 6, 0))
            .sorted(LargestFirst)
            .filtered(),
        ColumnSpec::new(SessionColumn::Waits, "WAITS")
            .on_screen(Width::number(5, 6, 0))
            .sorted(LargestFirst)
            .filtered(),
        ColumnSpec::new(SessionColumn::Contents, "WHAT").on_screen(Width::text(10, 400, 2)),
    ]
};

impl SessionColumn {
    /// The number that rows are sorted by, smallest first; `None` for text, which leaves them in the order of names.
    pub(crate) fn rank(
        self,
        row: &SessionBrief,
        ttl: impl FnOnce() -> Option<LeaseTtl>,
    ) -> Option<u64> {
        match self {
            Self::Ttl => Some(ttl().map_or(0, |ttl| ttl.left_ms.saturating_add(1))),
            Self::Holds => Some(row.holds as u64),
            Self::Waits => Some(row.waits as u64),
            Self::Session | Self::Lease | Self::Contents => None,
        }
    }

    /// Adds the texts that the filter searches in this column: for counts of locks, the names of the locks.
    pub(crate) fn filter_texts<'a>(self, row: &'a SessionRow, texts: &mut Vec<Cow<'a, str>>) {
        match self {
            Self::Session => texts.push(row.whose.as_str().into()),
            Self::Lease => texts.push(row.lease.to_string().into()),
            Self::Holds => texts.extend(row.holds.iter().map(|(lock, _)| Cow::from(&**lock))),
            Self::Waits => texts.extend(row.waits.iter().map(|(lock, ..)| Cow::from(&**lock))),
            Self::Ttl | Self::Contents => {}
        }
    }
}
