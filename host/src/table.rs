//! Plain tables: columns as wide as their widest cell, two spaces apart. Cells are made printable here.
//!
//! On a terminal a table is as wide as the terminal allows. Columns are shortened and left out by their rank, and no
//! line is wrapped.
//!
//! - `cell`: a text and its tint. `fit`: the widths of the columns; pure.

mod cell;
mod fit;

pub(crate) use cell::{Cell, Tint};
pub(crate) use fit::Column;

use crate::look::Look;
use fit::{ColumnWidth, FittedColumn, fit};

/// Spaces between two columns.
const GAP: usize = 2;

/// A table under construction.
pub(crate) struct Table<const N: usize> {
    columns: [Column; N],
    rows: Vec<[Cell; N]>,
}

impl<const N: usize> Table<N> {
    pub(crate) const fn new(columns: [Column; N]) -> Self {
        Self {
            columns,
            rows: Vec::new(),
        }
    }

    pub(crate) fn row(&mut self, row: [Cell; N]) {
        self.rows.push(row);
    }

    /// Renders the table as printable text, or returns `none` if it has no row.
    pub(crate) fn render_or(&self, none: &str, look: Look) -> String {
        if self.rows.is_empty() {
            none.to_owned()
        } else {
            self.render(look)
        }
    }

    /// Renders the table, one line a row, without blanks at line ends.
    fn render(&self, look: Look) -> String {
        let widths: Vec<ColumnWidth> = (0..N).map(|at| self.widest(at)).collect();
        let is_empty: Vec<bool> = (0..N)
            .map(|at| self.rows.iter().all(|row| row[at].is_empty()))
            .collect();
        let shown = fit(&self.columns, &widths, &is_empty, look.width);
        let head: [Cell; N] = self
            .columns
            .map(|column| Cell::tinted(column.head, Tint::Head));
        let mut text = line(&head, &shown, look);
        for row in &self.rows {
            text.push_str(&line(row, &shown, look));
        }
        text
    }

    /// Returns the widths of the widest cell of a column, its head included.
    fn widest(&self, at: usize) -> ColumnWidth {
        let head = self.columns[at].head.len();
        let widest = |widths: &mut dyn Iterator<Item = usize>| widths.max().unwrap_or(0).max(head);
        ColumnWidth {
            whole: widest(&mut self.rows.iter().map(|row| row[at].width())),
            short: widest(&mut self.rows.iter().map(|row| row[at].short_width())),
        }
    }
}

fn line(cells: &[Cell], shown: &[FittedColumn], look: Look) -> String {
    let mut text = String::new();
    let mut blanks = 0;
    for column in shown {
        let cell = &cells[column.at];
        let (painted, width) = cell.paint(column.width, look);
        if width > 0 {
            text.push_str(&" ".repeat(blanks));
            text.push_str(&painted);
            blanks = 0;
        }
        blanks += column.width - width + GAP;
    }
    text.push('\n');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table<4> {
        let mut table = Table::new([
            Column::fixed("JOB"),
            Column::fixed("STATE").droppable(1),
            Column::fixed("TICK").droppable(2),
            Column::text("WHY", 8),
        ]);
        table.row([
            "ledger".into(),
            Cell::tinted("running", Tint::Good),
            "-".into(),
            "a long reason \u{1b}[31m that is shown as far as it fits".into(),
        ]);
        table.row(["日本".into(), "waiting".into(), "-".into(), Cell::default()]);
        table
    }

    #[test]
    fn wide_table_is_complete_and_narrow_one_fits_its_width() {
        insta::assert_snapshot!(table().render_or("", Look::plain()), @r"
        JOB     STATE    TICK  WHY
        ledger  running  -     a long reason �[31m that is shown as far as it fits
        日本    waiting  -
        ");
        insta::assert_snapshot!(table().render_or("", Look::wide(40)), @r"
        JOB     STATE    WHY
        ledger  running  a long reason �[31m th…
        日本    waiting
        ");
        insta::assert_snapshot!(table().render_or("", Look::wide(20)), @r"
        JOB     WHY
        ledger  a long reas…
        日本
        ");
        for width in 1..80 {
            let text = table().render_or("", Look::wide(width));
            for line in text.lines() {
                let wide = unicode_width::UnicodeWidthStr::width(line);
                assert!(wide <= width, "{wide} of {width}: {line}");
            }
        }
    }

    #[test]
    fn colours_and_characters_follow_the_look() {
        let ascii = Look {
            unicode: false,
            ..Look::wide(20)
        };
        let text = table().render_or("", ascii);
        assert!(text.contains("a long reas~"), "{text}");
        let coloured = Look {
            colours: true,
            ..Look::plain()
        };
        let text = table().render_or("", coloured);
        assert!(text.contains("\u{1b}[32mrunning\u{1b}[0m  -"), "{text}");
        assert!(!text.contains("\u{1b}[31m that"), "{text}");
        assert_eq!(
            Table::new([Column::fixed("X")]).render_or("none\n", coloured),
            "none\n"
        );
    }
}
