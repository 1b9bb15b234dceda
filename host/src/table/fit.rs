//! The widths of a table's columns: shortened and left out by rank until they fit. Pure.

use super::GAP;

/// Rank from which a column has its short texts before any text is cut.
const UNIMPORTANT: u8 = 4;

/// A column of a table.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Column {
    pub(super) head: &'static str,
    /// Rank in the order of leaving out: the highest goes first. 0 for a column that always stays.
    rank: u8,
    /// Width to which it may be shortened; `None` for one that is never shortened.
    least: Option<usize>,
}

impl Column {
    /// Returns a column that is never shortened, unless the terminal is narrower than what must be shown.
    pub(crate) const fn fixed(head: &'static str) -> Self {
        Self {
            head,
            rank: 0,
            least: None,
        }
    }

    /// Returns a column that may be shortened to this width.
    pub(crate) const fn text(head: &'static str, least: usize) -> Self {
        Self {
            least: Some(least),
            ..Self::fixed(head)
        }
    }

    /// Lets the column be left out, before those of a lower rank.
    pub(crate) const fn droppable(self, rank: u8) -> Self {
        Self { rank, ..self }
    }
}

/// Widths of a column's widest cell: of its whole text, and of its short one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ColumnWidth {
    pub(super) whole: usize,
    pub(super) short: usize,
}

/// A column that is shown, with its width.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FittedColumn {
    pub(super) at: usize,
    pub(super) width: usize,
}

/// Returns the columns to show in so many terminal columns.
///
/// Columns of a high rank have their short texts first, then texts are cut to twice their least width, then the other
/// columns have their short texts, then texts are cut to the least. Columns are left out if that is not enough.
pub(super) fn fit(
    columns: &[Column],
    widths: &[ColumnWidth],
    is_empty: &[bool],
    most: Option<usize>,
) -> Vec<FittedColumn> {
    let whole = widths.iter().enumerate();
    let mut shown: Vec<FittedColumn> = whole
        .map(|(at, width)| FittedColumn {
            at,
            width: width.whole,
        })
        .collect();
    let Some(most) = most else {
        return shown;
    };
    // A column without content takes room from the others.
    shown.retain(|column| columns[column.at].rank == 0 || !is_empty[column.at]);
    let cut_to = |column: &FittedColumn, times: usize| match columns[column.at].least {
        Some(least) => column.width.min(least * times),
        None => column.width,
    };
    let least = |column: &FittedColumn| cut_to(column, 1).min(widths[column.at].short);
    while sum(shown.iter().map(least)) > most {
        let ranks = shown.iter().map(|column| columns[column.at].rank);
        match ranks.enumerate().max_by_key(|(_, rank)| *rank) {
            Some((at, rank)) if rank > 0 => {
                shown.remove(at);
            }
            _ => break,
        }
    }
    let short = |column: &FittedColumn| widths[column.at].short;
    collapse(&mut shown, most, short, |column| {
        columns[column.at].rank >= UNIMPORTANT
    });
    shrink(&mut shown, most, |column| cut_to(column, 2));
    collapse(&mut shown, most, short, |_| true);
    shrink(&mut shown, most, |column| cut_to(column, 1));
    // Even the rest may be too wide.
    shrink(&mut shown, most, |_| 1);
    while sum(shown.iter().map(|column| column.width)) > most && shown.len() > 1 {
        shown.pop();
    }
    shown
}

/// Gives columns their short texts, the last first, until all fit.
fn collapse(
    shown: &mut [FittedColumn],
    most: usize,
    short: impl Fn(&FittedColumn) -> usize,
    may: impl Fn(&FittedColumn) -> bool,
) {
    for at in (0..shown.len()).rev() {
        if sum(shown.iter().map(|column| column.width)) <= most {
            return;
        }
        if may(&shown[at]) {
            shown[at].width = shown[at].width.min(short(&shown[at]));
        }
    }
}

/// Takes one after the other from the widest column that is above its least width, until all fit.
fn shrink(shown: &mut [FittedColumn], most: usize, least: impl Fn(&FittedColumn) -> usize) {
    let floors: Vec<usize> = shown.iter().map(&least).collect();
    while sum(shown.iter().map(|column| column.width)) > most {
        let above = shown.iter_mut().zip(&floors);
        let widest = above
            .filter(|(column, floor)| column.width > **floor)
            .max_by_key(|(column, _)| column.width);
        match widest {
            Some((column, _)) => column.width -= 1,
            None => return,
        }
    }
}

/// Returns the width of a line of columns with these widths.
fn sum(widths: impl Iterator<Item = usize>) -> usize {
    let (count, sum) = widths.fold((0_usize, 0), |(count, sum), width| (count + 1, sum + width));
    sum + GAP * count.saturating_sub(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn plain(width: usize) -> ColumnWidth {
        ColumnWidth {
            whole: width,
            short: width,
        }
    }

    #[test]
    fn unimportant_times_go_before_texts_are_cut_and_others_after() {
        let columns = [
            Column::fixed("A").droppable(4),
            Column::fixed("B").droppable(2),
            Column::text("C", 10),
        ];
        let timed = ColumnWidth {
            whole: 12,
            short: 4,
        };
        let widths = |most| {
            let shown = fit(
                &columns,
                &[timed, timed, plain(30)],
                &[false; 3],
                Some(most),
            );
            shown.iter().map(|column| column.width).collect::<Vec<_>>()
        };
        assert_eq!(widths(58), [12, 12, 30]);
        assert_eq!(widths(57), [4, 12, 30]);
        assert_eq!(widths(45), [4, 12, 25]);
        assert_eq!(widths(39), [4, 4, 20]);
        assert_eq!(widths(25), [4, 4, 13]);
    }

    #[test]
    fn columns_go_by_rank_and_texts_shrink_before_that() {
        let columns = [
            Column::fixed("A"),
            Column::fixed("B").droppable(2),
            Column::fixed("C").droppable(1),
            Column::text("D", 10),
        ];
        let shown = |most| {
            let widths = [5, 5, 5, 40].map(plain);
            let shown = fit(&columns, &widths, &[false; 4], most);
            let shown = shown.iter().map(|column| (column.at, column.width));
            shown.collect::<Vec<_>>()
        };
        assert_eq!(shown(None), [(0, 5), (1, 5), (2, 5), (3, 40)]);
        assert_eq!(shown(Some(40)), [(0, 5), (1, 5), (2, 5), (3, 19)]);
        assert_eq!(shown(Some(30)), [(0, 5), (2, 5), (3, 16)]);
        assert_eq!(shown(Some(20)), [(0, 5), (3, 13)]);
        assert_eq!(shown(Some(8)), [(0, 3), (3, 3)]);
        assert_eq!(shown(Some(1)), [(0, 1)]);
    }

    #[test]
    fn droppable_column_without_content_is_left_out_of_a_terminal() {
        let columns = [Column::fixed("A"), Column::fixed("B").droppable(1)];
        let is_empty = [false, true];
        assert_eq!(
            fit(&columns, &[5, 5].map(plain), &is_empty, Some(80)).len(),
            1
        );
        assert_eq!(fit(&columns, &[5, 5].map(plain), &is_empty, None).len(), 2);
    }
}
