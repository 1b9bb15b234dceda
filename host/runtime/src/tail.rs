//! The end of a run's output, kept within a bound for the record.
//!
//! The end is kept, not the beginning, because a failed job reports its reason there.

use std::collections::VecDeque;

/// The last lines of one run, in one buffer, so that many short lines take no more memory than their bytes.
#[derive(Debug)]
pub(crate) struct OutputTail {
    held: VecDeque<u8>,
    most: usize,
    truncated: u64,
}

impl OutputTail {
    /// Makes a tail of at most `most` bytes, line ends included.
    pub(crate) fn of(most: u64) -> Self {
        Self {
            held: VecDeque::new(),
            most: usize::try_from(most).unwrap_or(usize::MAX),
            truncated: 0,
        }
    }

    pub(crate) fn push(&mut self, line: &str) {
        self.held.extend(line.as_bytes());
        self.held.push_back(b'\n');
        while self.held.len() > self.most {
            let first = self.held.iter().position(|byte| *byte == b'\n');
            let cut = match first.map(|end| end + 1) {
                Some(first) if first < self.held.len() => first,
                // The only line is too long by itself: its end is kept.
                _ => self.cut_between_characters(self.held.len() - self.most),
            };
            self.held.drain(..cut);
            self.truncated += cut as u64;
        }
    }

    fn cut_between_characters(&self, at_least: usize) -> usize {
        let inside = |byte: &&u8| **byte & 0b1100_0000 == 0b1000_0000;
        at_least + self.held.range(at_least..).take_while(inside).count()
    }

    /// Returns the number of bytes that did not fit.
    pub(crate) fn truncated(&self) -> u64 {
        self.truncated
    }

    /// Returns the text, after a note if earlier output is missing.
    pub(crate) fn text(&mut self) -> String {
        let kept = String::from_utf8_lossy(self.held.make_contiguous());
        if self.truncated == 0 {
            return kept.into_owned();
        }
        format!(
            "[{} bytes of earlier output left out]\n{kept}",
            self.truncated
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_is_kept_and_what_is_missing_is_said() {
        let mut tail = OutputTail::of(12);
        for line in ["first", "second", "third"] {
            tail.push(line);
        }
        assert_eq!(
            tail.text(),
            "[13 bytes of earlier output left out]\nthird\n"
        );
        assert_eq!(tail.truncated(), 13);
    }

    #[test]
    fn a_line_longer_than_the_bound_keeps_its_end() {
        let mut tail = OutputTail::of(5);
        tail.push("abcdéfgh");
        assert_eq!(tail.text(), "[6 bytes of earlier output left out]\nfgh\n");
        tail.push("");
        assert_eq!(tail.text(), "[6 bytes of earlier output left out]\nfgh\n\n");
    }
}
