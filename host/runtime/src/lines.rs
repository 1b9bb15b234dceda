//! Splits a byte stream into lines, and holds at most one line.
//!
//! Bytes over the longest line are counted and dropped, so a line that never ends takes bounded
//! memory. Nothing here waits.

use std::fmt::Write;

use leasehold_records::printable;

use super::redact::Redactor;

/// Unfinished line of one stream.
#[derive(Debug, Default)]
pub(crate) struct LineBuffer {
    held: Vec<u8>,
    over: u64,
}

impl LineBuffer {
    /// Adds bytes, and passes every line that they complete to `each`.
    pub(crate) fn push(
        &mut self,
        mut raw: &[u8],
        redactor: &Redactor,
        mut each: impl FnMut(String),
    ) {
        while let Some(end) = raw.iter().position(|byte| *byte == b'\n') {
            self.hold(&raw[..end]);
            each(self.take(redactor));
            raw = &raw[end + 1..];
        }
        self.hold(raw);
    }

    /// Returns the last line, if the stream ended without a line end.
    pub(crate) fn finish(&mut self, redactor: &Redactor) -> Option<String> {
        (!self.held.is_empty()).then(|| self.take(redactor))
    }

    fn hold(&mut self, raw: &[u8]) {
        let room = printable::LONGEST_TEXT.saturating_sub(self.held.len());
        let (kept, over) = raw.split_at(room.min(raw.len()));
        self.held.extend_from_slice(kept);
        self.over += over.len() as u64;
    }

    fn take(&mut self, redactor: &Redactor) -> String {
        if self.over == 0 && self.held.last() == Some(&b'\r') {
            self.held.pop();
        }
        if self.over > 0 {
            // The cut may have split a character; its first part would not be valid text.
            let whole = self
                .held
                .utf8_chunks()
                .next()
                .map_or(0, |c| c.valid().len());
            if self.held.len() - whole < 4 {
                self.held.truncate(whole);
            }
        }
        let mut line = redactor.bytes(&self.held, self.over > 0);
        if self.over > 0 {
            // Writing to a string cannot fail.
            let _ = write!(line, " […{} bytes cut]", self.over);
        }
        self.held.clear();
        self.over = 0;
        line
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use leasehold_config::secrets::Secrets;

    fn lines(buffer: &mut LineBuffer, raw: &[u8]) -> Vec<String> {
        let mut out = Vec::new();
        buffer.push(raw, &Redactor::default(), |line| out.push(line));
        out
    }

    #[test]
    fn line_written_in_pieces_arrives_whole() {
        let mut buffer = LineBuffer::default();
        assert!(lines(&mut buffer, b"gr\xc3").is_empty());
        assert_eq!(lines(&mut buffer, b"\xbcn\r\n\nlast"), ["grün", ""]);
        assert_eq!(buffer.finish(&Redactor::default()).as_deref(), Some("last"));
        assert_eq!(buffer.finish(&Redactor::default()), None);
    }

    #[test]
    fn an_endless_line_holds_a_bounded_part_and_says_what_was_cut() {
        let mut buffer = LineBuffer::default();
        for _ in 0..100 {
            assert!(lines(&mut buffer, &[b'x'; 1024]).is_empty());
        }
        assert!(buffer.held.len() <= printable::LONGEST_TEXT);
        let line = buffer.finish(&Redactor::default()).unwrap();
        assert!(line.ends_with("x […94208 bytes cut]"), "{}", &line[8000..]);
    }

    #[test]
    fn a_secret_in_pieces_or_at_the_cut_is_not_shown() {
        let redactor = Redactor::new(&Secrets::of(&[("key", "hunter2")]));
        let mut buffer = LineBuffer::default();
        let mut out = Vec::new();
        buffer.push(b"a hun", &redactor, |line| out.push(line));
        buffer.push(b"ter2\n", &redactor, |line| out.push(line));
        assert_eq!(out, ["a [secret key]"]);
        buffer.push(&vec![b'x'; printable::LONGEST_TEXT - 5], &redactor, |_| {});
        buffer.push(b"hunter2", &redactor, |_| {});
        let line = buffer.finish(&redactor).unwrap();
        assert!(line.ends_with(" […2 bytes cut]") && !line.contains("hun"));
    }
}
