//! List of rows with a selection. Rows are identified by their subject, never by their number.
//!
//! The selected row stays selected wherever it moves. While the cursor moves, no row moves: new ones are added at the
//! end, the others keep their places.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use leasehold_lock::LeaseId;

/// Subject of a row.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum RowKey {
    /// A lock, by its full name.
    Lock(Arc<str>),
    /// An entry: its lock's full name and its key.
    Entry(Arc<str>, Arc<str>),
    /// A lease.
    Session(LeaseId),
    /// A job on a host.
    Job(String, String),
    /// An event, by its number.
    Event(u64),
}

/// Rows, with the selection and the part on the screen.
#[derive(Debug, Default)]
pub(crate) struct RowList {
    rows: Vec<RowKey>,
    selected: Option<RowKey>,
    /// Last position of the selected row, used after the row is deleted.
    at: usize,
    top: usize,
    /// Number of rows that fit the screen, as last drawn.
    height: usize,
    /// A row has been chosen with a key or the mouse. Until then the first row is selected.
    is_chosen: bool,
}

impl RowList {
    /// Replaces the rows. With `hold`, known rows keep their order.
    pub(crate) fn set(&mut self, rows: Vec<RowKey>, hold: bool) {
        let rows = if hold { self.keep_order(rows) } else { rows };
        self.rows = rows;
        if !self.is_chosen {
            (self.at, self.top) = (0, 0);
            self.selected = self.rows.first().cloned();
            return;
        }
        // The selected row also keeps its line on the screen.
        let line = self.at.saturating_sub(self.top);
        let at = self
            .selected
            .as_ref()
            .and_then(|selected| self.rows.iter().position(|row| row == selected));
        // The row that has taken the position of the deleted one.
        self.at = at.unwrap_or_else(|| self.at.min(self.rows.len().saturating_sub(1)));
        self.selected = self.rows.get(self.at).cloned();
        self.top = self.at.saturating_sub(line);
        self.scroll();
    }

    fn keep_order(&self, rows: Vec<RowKey>) -> Vec<RowKey> {
        let positions: HashMap<&RowKey, usize> = self
            .rows
            .iter()
            .enumerate()
            .map(|(at, row)| (row, at))
            .collect();
        let mut rows = rows;
        rows.sort_by_key(|row| positions.get(row).copied().unwrap_or(usize::MAX));
        rows
    }

    /// Sets the number of rows that fit the screen, and returns the rows on it.
    pub(crate) fn window(&mut self, height: usize) -> Range<usize> {
        self.height = height;
        self.scroll();
        self.top..self.rows.len().min(self.top + height)
    }

    fn scroll(&mut self) {
        let last = self.rows.len().saturating_sub(self.height.max(1));
        if self.at < self.top {
            self.top = self.at;
        } else if self.height > 0 && self.at >= self.top + self.height {
            self.top = self.at + 1 - self.height;
        }
        self.top = self.top.min(last);
    }

    pub(crate) fn rows(&self) -> &[RowKey] {
        &self.rows
    }

    pub(crate) fn len(&self) -> usize {
        self.rows.len()
    }

    pub(crate) const fn selected(&self) -> Option<&RowKey> {
        self.selected.as_ref()
    }

    /// Number of the selected row.
    pub(crate) fn position(&self) -> Option<usize> {
        self.selected.as_ref().map(|_| self.at)
    }

    /// The first row on the screen.
    pub(crate) const fn top(&self) -> usize {
        self.top
    }

    pub(crate) const fn height(&self) -> usize {
        self.height
    }

    /// Selects row number `at`, or the nearest one.
    pub(crate) fn select_at(&mut self, at: usize) {
        self.is_chosen = true;
        self.at = at.min(self.rows.len().saturating_sub(1));
        self.selected = self.rows.get(self.at).cloned();
        self.scroll();
    }

    /// Selects the first row, now and whenever the rows change.
    pub(crate) fn select_first(&mut self) {
        self.select_at(0);
        self.is_chosen = false;
    }

    /// Moves the selection by this many rows.
    pub(crate) fn move_by(&mut self, rows: isize) {
        self.select_at(self.at.saturating_add_signed(rows));
    }

    /// Selects a row by its subject, now or once it exists.
    pub(crate) fn select(&mut self, row: RowKey) {
        if let Some(at) = self.rows.iter().position(|other| *other == row) {
            self.at = at;
        }
        self.selected = Some(row);
        self.is_chosen = true;
        self.scroll();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn locks(names: &[&str]) -> Vec<RowKey> {
        names
            .iter()
            .map(|name| RowKey::Lock((*name).into()))
            .collect()
    }

    fn names(list: &RowList) -> String {
        let name = |row: &RowKey| match row {
            RowKey::Lock(name) => name.to_string(),
            _ => String::new(),
        };
        let names: Vec<String> = list.rows().iter().map(name).collect();
        names.join(" ")
    }

    #[test]
    fn selection_stays_on_its_row_when_rows_move() {
        let mut list = RowList::default();
        list.set(locks(&["a", "b", "c"]), false);
        list.select_at(1);
        list.set(locks(&["c", "x", "a", "b"]), false);
        assert_eq!(list.selected(), Some(&RowKey::Lock("b".into())));
        assert_eq!(list.position(), Some(3));
    }

    #[test]
    fn cursor_stays_when_its_row_is_deleted() {
        let mut list = RowList::default();
        list.set(locks(&["a", "b", "c"]), false);
        list.select_at(1);
        list.set(locks(&["a", "c"]), false);
        assert_eq!(list.selected(), Some(&RowKey::Lock("c".into())));
        list.set(Vec::new(), false);
        assert_eq!(list.selected(), None);
        list.set(locks(&["z"]), false);
        assert_eq!(list.selected(), Some(&RowKey::Lock("z".into())));
    }

    #[test]
    fn rows_held_keep_their_order() {
        let mut list = RowList::default();
        list.set(locks(&["a", "b", "c"]), false);
        list.set(locks(&["new", "c", "b", "a"]), true);
        assert_eq!(names(&list), "a b c new");
        list.set(locks(&["new", "c", "b", "a"]), false);
        assert_eq!(names(&list), "new c b a");
    }

    #[test]
    fn row_chosen_keeps_its_line_and_unchosen_is_the_first() {
        let mut list = RowList::default();
        list.set(locks(&["b", "c", "d", "e"]), false);
        list.set(locks(&["a", "b", "c", "d", "e"]), false);
        assert_eq!(list.selected(), Some(&RowKey::Lock("a".into())));
        assert_eq!(list.window(3), 0..3);
        list.select_at(1);
        list.set(locks(&["x", "y", "a", "b", "c", "d", "e"]), false);
        assert_eq!(list.window(3), 2..5);
        assert_eq!(list.position(), Some(3));
    }

    #[test]
    fn window_follows_the_cursor_and_stays_full() {
        let mut list = RowList::default();
        let all: Vec<String> = (0..100).map(|n| n.to_string()).collect();
        let all: Vec<&str> = all.iter().map(String::as_str).collect();
        list.set(locks(&all), false);
        assert_eq!(list.window(10), 0..10);
        list.select_at(25);
        assert_eq!(list.window(10), 16..26);
        list.move_by(-12);
        assert_eq!(list.window(10), 13..23);
        list.select_at(usize::MAX);
        assert_eq!(list.window(10), 90..100);
        list.set(locks(&all[..5]), false);
        assert_eq!(list.window(10), 0..5);
    }
}
