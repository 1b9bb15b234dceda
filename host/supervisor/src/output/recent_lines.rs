//! The last lines of one run, within a bound, and their positions in its output.

use std::collections::VecDeque;

use leasehold_records::OutputLine;

/// Memory that a line takes beyond its text.
const OVERHEAD: usize = 96;

/// The last lines of one run's output.
#[derive(Debug)]
pub(super) struct RecentLines {
    lines: VecDeque<OutputLine>,
    /// Memory of the lines.
    held: usize,
    most: usize,
    /// Position of the first line that is held.
    first_byte: u64,
    /// Position after the last line.
    end_byte: u64,
}

/// Lines from a position on.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct LineSlice {
    /// Position of the first line; later than requested if older lines were dropped.
    pub(super) from_byte: u64,
    pub(super) lines: Vec<OutputLine>,
    /// Position after the last line.
    pub(super) end_byte: u64,
    /// True if there are more lines.
    pub(super) more: bool,
}

impl RecentLines {
    /// Makes a buffer that takes at most `most` bytes of memory, or one line.
    pub(super) const fn new(most: usize) -> Self {
        Self {
            lines: VecDeque::new(),
            held: 0,
            most,
            first_byte: 0,
            end_byte: 0,
        }
    }

    /// Adds a line. Older lines that no longer fit are dropped.
    pub(super) fn push(&mut self, line: OutputLine) {
        self.held += line.text.len() + OVERHEAD;
        self.end_byte += line.length();
        self.lines.push_back(line);
        while self.held > self.most
            && self.lines.len() > 1
            && let Some(oldest) = self.lines.pop_front()
        {
            self.held -= oldest.text.len() + OVERHEAD;
            self.first_byte += oldest.length();
        }
    }

    /// Returns the position after the last line.
    pub(super) const fn end_byte(&self) -> u64 {
        self.end_byte
    }

    /// Returns the lines from a position on, up to `most_bytes` of text, but at least one if there is any.
    pub(super) fn slice(&self, from: u64, most_bytes: usize) -> LineSlice {
        let (mut at, mut taken) = (self.first_byte, 0);
        let mut slice = LineSlice {
            from_byte: from.max(self.first_byte).min(self.end_byte),
            lines: Vec::new(),
            end_byte: from.max(self.first_byte).min(self.end_byte),
            more: false,
        };
        for line in &self.lines {
            let end = at + line.length();
            if at >= from {
                if slice.lines.is_empty() {
                    slice.from_byte = at;
                } else if taken + line.text.len() > most_bytes {
                    slice.more = true;
                    break;
                }
                taken += line.text.len() + 1;
                slice.end_byte = end;
                slice.lines.push(line.clone());
            }
            at = end;
        }
        slice
    }

    /// Returns the last lines as text, at most `most` bytes, and the number of bytes before them. Of a line that is
    /// longer by itself, it is the end.
    pub(super) fn tail(&self, most: usize) -> (String, u64) {
        let mut length = 0;
        let newest = self.lines.iter().rev();
        let count = newest
            .take_while(|line| {
                length += line.text.len() + 1;
                length <= most
            })
            .count();
        let mut text = String::new();
        if let (0, Some(last), Some(room)) = (count, self.lines.back(), most.checked_sub(1)) {
            let cut = last.text.len().saturating_sub(room);
            text.push_str(&last.text[last.text.ceil_char_boundary(cut)..]);
            text.push('\n');
        }
        for line in self.lines.iter().skip(self.lines.len() - count) {
            text.push_str(&line.text);
            text.push('\n');
        }
        let kept = u64::try_from(text.len()).unwrap_or(u64::MAX);
        (text, self.end_byte.saturating_sub(kept))
    }
}

#[cfg(test)]
mod tests {
    use leasehold_records::{OutputStream, UnixMs};

    use super::*;

    #[test]
    fn tail_of_one_long_line_is_its_end() {
        let mut lines = RecentLines::new(1_000);
        lines.push(line("first"));
        lines.push(line(&format!("{}ö end", "x".repeat(100))));
        assert_eq!(lines.tail(6), (" end\n".into(), 108));
        assert_eq!(lines.tail(0), (String::new(), 113));
    }

    fn line(text: &str) -> OutputLine {
        OutputLine {
            at_unix_ms: UnixMs::new(1),
            stream: OutputStream::Stdout,
            level: None,
            text: text.into(),
        }
    }

    #[test]
    fn dropped_lines_leave_a_gap_in_the_positions() {
        let mut recent = RecentLines::new(2 * OVERHEAD + 8);
        for text in ["one", "two", "three"] {
            recent.push(line(text));
        }
        let slice = recent.slice(0, 100);
        assert_eq!((slice.from_byte, slice.end_byte), (4, 14));
        assert_eq!(slice.lines, [line("two"), line("three")]);
        assert_eq!(recent.slice(14, 100).lines, []);
        assert_eq!(recent.slice(14, 100).from_byte, 14);
        assert_eq!(recent.tail(100), ("two\nthree\n".into(), 4));
        assert_eq!(recent.tail(6), ("three\n".into(), 8));
    }

    #[test]
    fn slice_is_bounded_and_reports_that_there_is_more() {
        let mut recent = RecentLines::new(10_000);
        for text in ["aaaa", "bbbb", "cccc"] {
            recent.push(line(text));
        }
        let first = recent.slice(0, 8);
        assert_eq!(
            (first.lines.len(), first.more, first.end_byte),
            (1, true, 5)
        );
        let second = recent.slice(first.end_byte, 9);
        assert_eq!((second.lines.len(), second.more), (2, false));
    }

    #[test]
    fn many_empty_lines_take_bounded_memory() {
        let mut recent = RecentLines::new(10 * OVERHEAD);
        for _ in 0..1_000_000 {
            recent.push(line(""));
        }
        assert_eq!(recent.lines.len(), 10);
        assert_eq!(recent.end_byte(), 1_000_000);
    }
}
