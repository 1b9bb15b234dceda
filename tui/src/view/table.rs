//! Tables: columns that grow, shrink and go with the width, and rows of which only the visible are made.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use super::paint;
use crate::text;
use crate::theme::Theme;

/// The columns that a row's mark takes.
const MARK: usize = 1;
/// Columns that a name grows by while a number grows by one: it gains more from them.
const NAME_GROWS: usize = 3;

/// A column.
pub(super) struct TableColumn {
    pub(super) head: &'static str,
    /// The width below which it rather goes.
    pub(super) least: usize,
    /// The width beyond which it gains nothing.
    pub(super) most: usize,
    /// Whether it is numbers.
    pub(super) right: bool,
    /// How much it grows by while a number grows by one.
    pub(super) grows: usize,
    /// 0 never goes; of the others the highest goes first.
    pub(super) rank: u8,
}

impl TableColumn {
    pub(super) const fn text(head: &'static str, least: usize, most: usize, rank: u8) -> Self {
        Self {
            head,
            least,
            most,
            right: false,
            grows: NAME_GROWS,
            rank,
        }
    }

    pub(super) const fn number(head: &'static str, least: usize, most: usize, rank: u8) -> Self {
        Self {
            right: true,
            grows: 1,
            ..Self::text(head, least, most, rank)
        }
    }

    /// A line of signs, which says as much when it is short.
    pub(super) const fn line(head: &'static str, least: usize, most: usize, rank: u8) -> Self {
        Self {
            grows: 1,
            ..Self::text(head, least, most, rank)
        }
    }

    /// A number with a bar before it.
    pub(super) const fn bar(head: &'static str, least: usize, most: usize, rank: u8) -> Self {
        Self {
            right: true,
            ..Self::text(head, least, most, rank)
        }
    }
}

/// A text in a table, and how it looks.
pub(super) type TableCell = (String, Style);

/// A table whose columns have found their widths.
pub(super) struct FittedTable {
    columns: &'static [TableColumn],
    /// The width of each column; 0 for one that is not shown.
    widths: Vec<usize>,
    gap: usize,
}

impl FittedTable {
    /// Fits columns into `width`.
    pub(super) fn new(columns: &'static [TableColumn], width: u16) -> Self {
        let width = usize::from(width).saturating_sub(MARK);
        let mut widths: Vec<usize> = columns.iter().map(|column| column.least).collect();
        while needed(&widths, 1) > width {
            let shown = columns.iter().enumerate().filter(|(at, _)| widths[*at] > 0);
            match shown.max_by_key(|(_, column)| column.rank) {
                Some((at, column)) if column.rank > 0 => widths[at] = 0,
                _ => break,
            }
        }
        let kept: Vec<bool> = widths.iter().map(|width| *width > 0).collect();
        let mut spare = width.saturating_sub(needed(&widths, 1));
        let mut grew = true;
        while spare > 0 && grew {
            grew = false;
            for (at, column) in columns.iter().enumerate().filter(|(at, _)| kept[*at]) {
                let more = column.grows.min(column.most - widths[at]).min(spare);
                widths[at] += more;
                spare -= more;
                grew |= more > 0;
            }
        }
        let gap = if needed(&widths, 2) <= width { 2 } else { 1 };
        Self {
            columns,
            widths,
            gap,
        }
    }

    /// The width of the column of this head; 0 when it is not shown.
    pub(super) fn width(&self, head: &str) -> usize {
        let at = self.columns.iter().position(|column| column.head == head);
        at.map_or(0, |at| self.widths[at])
    }

    /// Draws the heads, and a sign at the one that rows are in order by.
    pub(super) fn head(&self, buffer: &mut Buffer, area: Rect, sort: (&str, bool), style: Style) {
        let area = paint::row(area, 0).intersection(buffer.area);
        let mut left = MARK;
        let last = self.shown().last().map(|(at, _)| at);
        for (at, column) in self.shown() {
            let wide = self.widths[at];
            let sorted = column.head == sort.0 && !column.head.is_empty();
            let sign = if sort.1 { "v" } else { "^" };
            let head = match (column.right, sorted) {
                (true, false) => text::fit_right(column.head, wide),
                // The sign stands in the gap, so that the head stays above its numbers; in a narrow one it would
                // touch the next head, and stands before its own.
                (true, true) if self.gap > 1 || last == Some(at) => {
                    text::fit_right(column.head, wide) + sign
                }
                (true, true) => text::fit_right(&format!("{sign}{}", column.head), wide),
                (false, false) => text::fit(column.head, wide),
                (false, true) => text::fit(&format!("{}{sign}", column.head), wide),
            };
            put(buffer, area, left, &head, style);
            left += wide + self.gap;
        }
    }

    /// Draws a row; `cells` are those of all columns, shown or not.
    pub(super) fn row(
        &self,
        buffer: &mut Buffer,
        area: Rect,
        cells: &[TableCell],
        is_selected: bool,
        theme: &Theme,
    ) {
        #[cfg(test)]
        made::ROWS.set(made::ROWS.get() + 1);
        let area = area.intersection(buffer.area);
        let mut left = MARK;
        for (at, column) in self.shown() {
            let Some((text, style)) = cells.get(at) else {
                break;
            };
            let wide = self.widths[at];
            // Reversed, what is dim would be a patch of another background.
            let is_quiet = *style == theme.dim || *style == theme.spark;
            let style = if is_selected && is_quiet {
                &theme.text
            } else {
                style
            };
            let text = if column.right {
                text::fit_right(text, wide)
            } else {
                text::fit(text, wide)
            };
            put(buffer, area, left, &text, *style);
            left += wide + self.gap;
        }
        if is_selected {
            select(buffer, area, theme);
        }
    }

    fn shown(&self) -> impl Iterator<Item = (usize, &'static TableColumn)> + '_ {
        let all = self.columns.iter().enumerate();
        all.filter(|(at, _)| self.widths[*at] > 0)
    }
}

/// Marks a row as the selected one: a sign, and the whole of it highlighted.
pub(super) fn select(buffer: &mut Buffer, area: Rect, theme: &Theme) {
    put(buffer, area, 0, ">", Style::new());
    buffer.set_style(area.intersection(buffer.area), theme.selected);
}

fn put(buffer: &mut Buffer, area: Rect, left: usize, text: &str, style: Style) {
    let width = usize::from(area.width);
    if area.is_empty() || left >= width {
        return;
    }
    let x = area.x + u16::try_from(left).unwrap_or(u16::MAX);
    if text::width(text) > width - left {
        let text = text::fit(text, width - left);
        buffer.set_stringn(x, area.y, text, width - left, style);
    } else {
        buffer.set_stringn(x, area.y, text, width - left, style);
    }
}

fn needed(widths: &[usize], gap: usize) -> usize {
    let shown = widths.iter().filter(|width| **width > 0).count();
    widths.iter().sum::<usize>() + gap * shown.saturating_sub(1)
}

/// Counts rows, to tell whether some are made that nobody sees.
#[cfg(test)]
pub(super) mod made {
    use std::cell::Cell;

    thread_local! {
        pub(in crate::view) static ROWS: Cell<usize> = const { Cell::new(0) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COLUMNS: [TableColumn; 4] = [
        TableColumn::text("NAME", 8, 20, 0),
        TableColumn::text("STATE", 6, 6, 0),
        TableColumn::number("AGE", 4, 4, 1),
        TableColumn::text("60s", 10, 60, 2),
    ];

    fn widths(width: u16) -> Vec<usize> {
        FittedTable::new(&COLUMNS, width).widths
    }

    #[test]
    fn columns_go_in_order_of_rank_and_the_rest_grows_up_to_its_most() {
        assert_eq!(widths(200), [20, 6, 4, 60]);
        assert_eq!(widths(40), [13, 6, 4, 13]);
        assert_eq!(widths(31), [18, 6, 4, 0]);
        assert_eq!(widths(18), [10, 6, 0, 0]);
        assert_eq!(widths(3), [8, 6, 0, 0]);
    }

    #[test]
    fn sign_of_the_order_never_touches_the_head_of_the_next_column() {
        const COLUMNS: [TableColumn; 2] = [
            TableColumn::number("FENCE", 7, 7, 0),
            TableColumn::text("60s", 10, 10, 0),
        ];
        let heads = |width: u16| {
            let mut buffer = Buffer::empty(Rect::new(0, 0, width, 1));
            let table = FittedTable::new(&COLUMNS, width);
            let area = buffer.area;
            table.head(&mut buffer, area, ("FENCE", true), Style::new());
            let cells = buffer.content().iter();
            cells.map(ratatui::buffer::Cell::symbol).collect::<String>()
        };
        let narrow = u16::try_from(MARK + 7 + 1 + 10).unwrap();
        assert_eq!(heads(narrow).trim(), "vFENCE 60s");
        assert_eq!(heads(narrow + 1).trim(), "FENCEv 60s");
    }

    #[test]
    fn a_row_stays_in_its_place_however_narrow_that_is() {
        let style = Style::new();
        let theme = Theme::choose(crate::theme::ThemeName::Mono, &|_| None);
        let cells = ["漢字漢字漢字", "HELD", "4m12s", ".:-"].map(|text| (text.to_owned(), style));
        for width in 0..40 {
            let mut buffer = Buffer::empty(Rect::new(0, 0, 42, 3));
            let area = Rect::new(1, 1, width, 1);
            let table = FittedTable::new(&COLUMNS, width);
            table.head(&mut buffer, area, ("AGE", true), style);
            table.row(&mut buffer, area, &cells, true, &theme);
            for (x, y) in (0..42).flat_map(|x| (0..3).map(move |y| (x, y))) {
                let inside = area.contains((x, y).into());
                assert!(inside || buffer[(x, y)].symbol() == " ", "{width}: {x} {y}");
            }
        }
    }
}
