//! Columns of the Locks view and of `--once`.

use super::cell_value::CellValue;
use super::column_spec::{ColumnSpec, ColumnWidth, SortDirection};
use crate::model::LockRow;

/// A column about a lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LockColumn {
    Lock,
    FullName,
    State,
    Holder,
    Held,
    Ttl,
    TtlGranted,
    Waiters,
    Oldest,
    Token,
    Depths,
    Lease,
}

/// The columns, in the order of the screen, of CSV and of the table of `--once`.
pub(crate) const LOCK_COLUMNS: [ColumnSpec<LockColumn>; 12] = {
    use ColumnWidth as Width;
    use SortDirection::{LargestFirst, SmallestFirst};
    [
        ColumnSpec::new(LockColumn::Lock, "LOCK")
            .on_screen(Width::text(16, 40, 0))
            .sorted(SmallestFirst)
            .filtered()
            .in_table()
            .csv("lock")
            .json(0, "lock"),
        ColumnSpec::new(LockColumn::FullName, "NAME").json(1, "name"),
        ColumnSpec::new(LockColumn::State, "STATE")
            .on_screen(Width::text(10, 10, 0))
            .sorted(SmallestFirst)
            .filtered()
            .in_table()
            .csv("state")
            .json(2, "state"),
        ColumnSpec::new(LockColumn::Holder, "HOLDER")
            .on_screen(Width::text(18, 44, 0))
            .filtered()
            .in_table()
            .csv("holder"),
        ColumnSpec::new(LockColumn::Held, "HELD")
            .on_screen(Width::number(6, 7, 5))
            .sorted(LargestFirst)
            .in_table()
            .csv("held_ms")
            .json(4, "held_ms"),
        ColumnSpec::new(LockColumn::Ttl, "TTL")
            .on_screen(Width::bar(6, 17, 0))
            .sorted(SmallestFirst)
            .in_table()
            .csv("ttl_ms")
            .json(6, "ttl_ms"),
        ColumnSpec::new(LockColumn::TtlGranted, "GRANTED").json(7, "ttl_granted_ms"),
        ColumnSpec::new(LockColumn::Waiters, "WAIT")
            .on_screen(Width::number(4, 5, 0))
            .sorted(LargestFirst)
            .in_table()
            .csv("waiters")
            .json(3, "waiters"),
        ColumnSpec::new(LockColumn::Oldest, "OLDEST")
            .on_screen(Width::number(6, 7, 3))
            .sorted(LargestFirst)
            .in_table()
            .csv("oldest_wait_ms")
            .json(5, "oldest_wait_ms"),
        ColumnSpec::new(LockColumn::Token, "FENCE")
            .on_screen(Width::number(7, 12, 4))
            .sorted(LargestFirst)
            .in_table()
            .csv("token"),
        ColumnSpec::new(LockColumn::Depths, "60s").on_screen(Width::line(12, 60, 6)),
        ColumnSpec::new(LockColumn::Lease, "LEASE").csv("lease"),
    ]
};

impl LockColumn {
    /// Computes the cell of `row`.
    pub(crate) fn value<'a>(self, row: &LockRow<'a>) -> CellValue<'a> {
        match self {
            Self::Lock => CellValue::Text(row.label),
            Self::FullName => CellValue::Text(row.name),
            Self::State => CellValue::State(row.state),
            Self::Holder => CellValue::Owner(row.holder.map(|holder| &holder.who)),
            Self::Held => CellValue::Span(row.held()),
            Self::Ttl => CellValue::Ttl(row.ttl),
            Self::TtlGranted => CellValue::Span(row.ttl.map(|ttl| ttl.granted_ms)),
            Self::Waiters => CellValue::Count(row.waiters),
            Self::Oldest => CellValue::Span(row.oldest()),
            Self::Token => CellValue::Token(row.token()),
            Self::Depths => CellValue::Depths,
            Self::Lease => CellValue::Lease(row.holder.map(|holder| holder.lease)),
        }
    }

    /// The columns that the filter searches.
    pub(crate) fn filtered() -> impl Iterator<Item = Self> {
        let filtered = LOCK_COLUMNS.iter().filter(|spec| spec.is_filtered);
        filtered.map(|spec| spec.column)
    }
}
