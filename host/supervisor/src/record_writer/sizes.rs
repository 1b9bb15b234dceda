//! The sizes of a job's latest records, and the number of records that fit a number of bytes.

use std::collections::VecDeque;
use std::sync::Arc;

/// Names and sizes of the latest records, the newest last.
#[derive(Debug, Default)]
pub(super) struct Sizes(VecDeque<(Arc<str>, usize)>);

impl Sizes {
    /// Adds the size of a record, which replaces an earlier size of the same one. The latest `most` are kept.
    pub(super) fn add(&mut self, key: Arc<str>, bytes: usize, most: usize) {
        let known = self.0.iter_mut().rev().find(|(known, _)| *known == key);
        if let Some((_, known)) = known {
            *known = bytes;
            return;
        }
        if self.0.len() == most {
            self.0.pop_front();
        }
        self.0.push_back((key, bytes));
    }

    /// Returns the number of newest records, up to `most`, that are at most so many bytes together. Records of
    /// earlier processes and other hosts are assumed to be as large as the known ones.
    pub(super) fn fitting(&self, bytes: usize, most: usize) -> usize {
        let mut left = bytes;
        for (count, (_, size)) in self.0.iter().rev().enumerate() {
            match left.checked_sub(*size) {
                Some(rest) => left = rest,
                None => return count,
            }
        }
        let used = bytes - left;
        let beyond = match used / self.0.len().max(1) {
            0 => most,
            mean => left / mean,
        };
        self.0.len().saturating_add(beyond).min(most)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_records_count_and_one_that_grows_counts_once() {
        let mut sizes = Sizes::default();
        assert_eq!(sizes.fitting(10, 7), 7);
        for (key, bytes) in [("a", 50), ("b", 10), ("b", 30), ("c", 20)] {
            sizes.add(key.into(), bytes, 3);
        }
        assert_eq!(sizes.fitting(19, 7), 0);
        assert_eq!(sizes.fitting(50, 7), 2);
        assert_eq!(sizes.fitting(100, 7), 3);
        // Unknown records count as large as these: 33 bytes.
        assert_eq!(sizes.fitting(166, 7), 5);
        sizes.add("d".into(), 1, 3);
        assert_eq!(sizes.fitting(51, 3), 3);
    }
}
