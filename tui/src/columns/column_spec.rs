//! One line of a table of columns.

/// Columns that a name grows by while a number grows by one: it gains more from them.
const NAME_GROWS: usize = 3;

/// A column of a list.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ColumnSpec<C: 'static> {
    pub(crate) column: C,
    /// The head of the column, and its name in the line about the order.
    pub(crate) title: &'static str,
    /// Width on the screen; `None` for a column that only `--once` prints.
    pub(crate) width: Option<ColumnWidth>,
    /// The direction in which rows are first sorted by it; `None` for no order by it.
    pub(crate) sort: Option<SortDirection>,
    /// The filter searches it.
    pub(crate) is_filtered: bool,
    /// The table of `--once` has it.
    pub(crate) is_in_table: bool,
    /// Field of `--once --format csv`.
    pub(crate) csv: Option<&'static str>,
    /// Field of `--once --format json`, and its position there: the order of JSON is not that of the screen.
    pub(crate) json: Option<(u8, &'static str)>,
}

/// Direction of an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SortDirection {
    SmallestFirst,
    LargestFirst,
}

/// Rules for the width of a column.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ColumnWidth {
    /// The least width; with less room the column is left out.
    pub(crate) least: usize,
    /// The width beyond which it gains nothing.
    pub(crate) most: usize,
    /// Numbers are aligned at the right.
    pub(crate) is_right: bool,
    /// Its growth while a number grows by one.
    pub(crate) grows: usize,
    /// 0 is always shown; of the others the highest is left out first.
    pub(crate) rank: u8,
}

impl ColumnWidth {
    pub(crate) const fn text(least: usize, most: usize, rank: u8) -> Self {
        Self {
            least,
            most,
            is_right: false,
            grows: NAME_GROWS,
            rank,
        }
    }

    pub(crate) const fn number(least: usize, most: usize, rank: u8) -> Self {
        Self {
            is_right: true,
            grows: 1,
            ..Self::text(least, most, rank)
        }
    }

    /// A line of signs, which is as clear when it is short.
    pub(crate) const fn line(least: usize, most: usize, rank: u8) -> Self {
        Self {
            grows: 1,
            ..Self::text(least, most, rank)
        }
    }

    /// A number with a bar before it.
    pub(crate) const fn bar(least: usize, most: usize, rank: u8) -> Self {
        Self {
            is_right: true,
            ..Self::text(least, most, rank)
        }
    }
}

impl<C: Copy> ColumnSpec<C> {
    /// A column that is printed nowhere yet.
    pub(crate) const fn new(column: C, title: &'static str) -> Self {
        Self {
            column,
            title,
            width: None,
            sort: None,
            is_filtered: false,
            is_in_table: false,
            csv: None,
            json: None,
        }
    }

    /// Shows it on the screen.
    pub(crate) const fn on_screen(mut self, width: ColumnWidth) -> Self {
        self.width = Some(width);
        self
    }

    /// Lets rows be sorted by it.
    pub(crate) const fn sorted(mut self, first: SortDirection) -> Self {
        self.sort = Some(first);
        self
    }

    /// Lets the filter search it.
    pub(crate) const fn filtered(mut self) -> Self {
        self.is_filtered = true;
        self
    }

    /// Adds it to the table of `--once`.
    pub(crate) const fn in_table(mut self) -> Self {
        self.is_in_table = true;
        self
    }

    /// Adds a CSV field.
    pub(crate) const fn csv(mut self, name: &'static str) -> Self {
        self.csv = Some(name);
        self
    }

    /// Adds a JSON field.
    pub(crate) const fn json(mut self, position: u8, name: &'static str) -> Self {
        self.json = Some((position, name));
        self
    }
}
