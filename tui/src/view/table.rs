//! Tables: columns fitted to the width, and rows of which only the visible ones are made.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use super::paint;
use crate::columns::{ColumnSpec, ColumnWidth};
use crate::text;
use crate::theme::Theme;

/// Columns of a row's mark.
const MARK: usize = 1;
/// A text in a table, and its style.
pub(super) type TableCell = (String, Style);

/// A table whose columns have found their widths.
pub(super) struct FittedTable<C: 'static> {
    columns: Vec<(&'static ColumnSpec<C>, ColumnWidth)>,
    /// The width of each column; 0 for one that is not shown.
    widths: Vec<usize>,
    gap: usize,
}

impl<C: Copy + PartialEq> FittedTable<C> {
    /// Fits columns into `width`.
    pub(super) fn new(specs: &'static [ColumnSpec<C>], width: u16) -> Self {
        let width = usize::from(width).saturating_sub(MARK);
        let columns: Vec<_> = specs
            .iter()
            .filter_map(|spec| Some((spec, spec.width?)))
            .collect();
        let mut widths: Vec<usize> = columns.iter().map(|(_, column)| column.least).collect();
        while needed(&widths, 1) > width {
            let shown = columns.iter().enumerate().filter(|(at, _)| widths[*at] > 0);
            match shown.max_by_key(|(_, (_, column))| column.rank) {
                Some((at, (_, column))) if column.rank > 0 => widths[at] = 0,
                _ => break,
            }
        }
        let kept: Vec<bool> = widths.iter().map(|width| *width > 0).collect();
        let mut spare = width.saturating_sub(needed(&widths, 1));
        let mut grew = true;
        while spare > 0 && grew {
            grew = false;
            for (at, (_, column)) in columns.iter().enumerate().filter(|(at, _)| kept[*at]) {
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

    /// Draws the heads, and a sign at the column of the order.
    pub(super) fn head(
        &self,
        buffer: &mut Buffer,
        area: Rect,
        sort: Option<(C, bool)>,
        style: Style,
    ) {
        let area = paint::row(area, 0).intersection(buffer.area);
        let mut left = MARK;
        let last = self.shown().last().map(|(at, _)| at);
        for (at, (spec, column)) in self.shown() {
            let wide = self.widths[at];
            let mark = sort.filter(|(sorted, _)| *sorted == spec.column);
            let sign = if mark.is_some_and(|(_, reverse)| reverse) {
                "v"
            } else {
                "^"
            };
            let head = match (column.is_right, mark.is_some()) {
                (true, false) => text::fit_right(spec.title, wide),
                // The sign is in the gap, so that the head stays above its numbers; in a narrow gap it would touch
                // the next head, and is before its own.
                (true, true) if self.gap > 1 || last == Some(at) => {
                    text::fit_right(spec.title, wide) + sign
                }
                (true, true) => text::fit_right(&format!("{sign}{}", spec.title), wide),
                (false, false) => text::fit(spec.title, wide),
                (false, true) => text::fit(&format!("{}{sign}", spec.title), wide),
            };
            put(buffer, area, left, &head, style);
            left += wide + self.gap;
        }
    }

    /// Draws a row; `cell_of` computes the cell of a column for its width.
    pub(super) fn row(
        &self,
        buffer: &mut Buffer,
        area: Rect,
        cell_of: impl Fn(C, usize) -> TableCell,
        is_selected: bool,
        theme: &Theme,
    ) {
        #[cfg(test)]
        made::ROWS.set(made::ROWS.get() + 1);
        let area = area.intersection(buffer.area);
        let mut left = MARK;
        for (at, (spec, column)) in self.shown() {
            let wide = self.widths[at];
            let (text, style) = cell_of(spec.column, wide);
            // Reversed, a dim style would look like another background.
            let is_quiet = style == theme.dim || style == theme.spark;
            let style = if is_selected && is_quiet {
                theme.text
            } else {
                style
            };
            let text = if column.is_right {
                text::fit_right(&text, wide)
            } else {
                text::fit(&text, wide)
            };
            put(buffer, area, left, &text, style);
            left += wide + self.gap;
        }
        if is_selected {
            select(buffer, area, theme);
        }
    }

    fn shown(&self) -> impl Iterator<Item = (usize, &(&'static ColumnSpec<C>, ColumnWidth))> {
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

/// Counter of rows, to find rows that are made but not visible.
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

    const COLUMNS: [ColumnSpec<usize>; 4] = [
        ColumnSpec::new(0, "NAME").on_screen(ColumnWidth::text(8, 20, 0)),
        ColumnSpec::new(1, "STATE").on_screen(ColumnWidth::text(6, 6, 0)),
        ColumnSpec::new(2, "AGE").on_screen(ColumnWidth::number(4, 4, 1)),
        ColumnSpec::new(3, "60s").on_screen(ColumnWidth::text(10, 60, 2)),
    ];

    fn widths(width: u16) -> Vec<usize> {
        FittedTable::new(&COLUMNS, width).widths
    }

    #[test]
    fn columns_are_dropped_by_rank_and_the_rest_grows() {
        assert_eq!(widths(200), [20, 6, 4, 60]);
        assert_eq!(widths(40), [13, 6, 4, 13]);
        assert_eq!(widths(31), [18, 6, 4, 0]);
        assert_eq!(widths(18), [10, 6, 0, 0]);
        assert_eq!(widths(3), [8, 6, 0, 0]);
    }

    #[test]
    fn sort_sign_never_touches_the_next_head() {
        const COLUMNS: [ColumnSpec<bool>; 2] = [
            ColumnSpec::new(true, "FENCE").on_screen(ColumnWidth::number(7, 7, 0)),
            ColumnSpec::new(false, "60s").on_screen(ColumnWidth::text(10, 10, 0)),
        ];
        let heads = |width: u16| {
            let mut buffer = Buffer::empty(Rect::new(0, 0, width, 1));
            let table = FittedTable::new(&COLUMNS, width);
            let area = buffer.area;
            table.head(&mut buffer, area, Some((true, true)), Style::new());
            let cells = buffer.content().iter();
            cells.map(ratatui::buffer::Cell::symbol).collect::<String>()
        };
        let narrow = u16::try_from(MARK + 7 + 1 + 10).unwrap();
        assert_eq!(heads(narrow).trim(), "vFENCE 60s");
        assert_eq!(heads(narrow + 1).trim(), "FENCEv 60s");
    }

    #[test]
    fn row_stays_in_its_area_at_every_width() {
        let style = Style::new();
        let theme = Theme::choose(crate::theme::ThemeName::Mono, &|_| None);
        let cells = ["漢字漢字漢字", "HELD", "4m12s", ".:-"].map(|text| (text.to_owned(), style));
        for width in 0..40 {
            let mut buffer = Buffer::empty(Rect::new(0, 0, 42, 3));
            let area = Rect::new(1, 1, width, 1);
            let table = FittedTable::new(&COLUMNS, width);
            table.head(&mut buffer, area, Some((2, true)), style);
            table.row(
                &mut buffer,
                area,
                |at: usize, _| cells[at].clone(),
                true,
                &theme,
            );
            for (x, y) in (0..42).flat_map(|x| (0..3).map(move |y| (x, y))) {
                let inside = area.contains((x, y).into());
                assert!(inside || buffer[(x, y)].symbol() == " ", "{width}: {x} {y}");
            }
        }
    }
}
