//! Plain tables: columns as wide as their widest cell, two spaces apart. Cells are made printable
//! here.

use leasehold_records::printable;

/// A table under construction.
pub(crate) struct Table<const N: usize> {
    head: [&'static str; N],
    rows: Vec<[String; N]>,
}

impl<const N: usize> Table<N> {
    pub(crate) const fn new(head: [&'static str; N]) -> Self {
        Self {
            head,
            rows: Vec::new(),
        }
    }

    pub(crate) fn row(&mut self, row: [String; N]) {
        self.rows.push(row.map(|cell| printable::line(&cell)));
    }

    /// Renders the table as text, or returns `none` if it has no row.
    pub(crate) fn render_or(&self, none: &str) -> String {
        if self.rows.is_empty() {
            none.to_owned()
        } else {
            self.render()
        }
    }

    /// Renders the table as text, one line a row, without blanks at line ends.
    fn render(&self) -> String {
        let mut widths = self.head.map(str::len);
        for row in &self.rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(cell.chars().count());
            }
        }
        let mut text = line(&self.head, &widths);
        for row in &self.rows {
            text.push_str(&line(row, &widths));
        }
        text
    }
}

fn line(cells: &[impl AsRef<str>], widths: &[usize]) -> String {
    let cells = cells.iter().zip(widths);
    let padded: Vec<String> = cells
        .map(|(cell, width)| format!("{:width$}", cell.as_ref()))
        .collect();
    format!("{}\n", padded.join("  ").trim_end())
}
