//! Source map of one reading: all its texts laid end to end, so that a position identifies a text.
//!
//! A job's values come from several files: its own table, the defaults, a manifest, a sidecar. With
//! one range of numbers for all of them, every reader and every error uses a plain range of bytes,
//! whichever file it is about. The texts are not interpreted here.

use leasehold_diagnostics::{LinePlace, SourceText, shown_path};
use std::cell::RefCell;
use std::ops::Range;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;

/// Kind of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TextRole {
    /// The configuration file.
    Main,
    /// The manifest inside a plugin.
    Manifest,
    /// The sidecar file beside a dropped-in plugin.
    Sidecar,
}

/// One text and where it begins.
#[derive(Clone, Debug)]
pub(super) struct Text {
    /// Its kind.
    pub(super) role: TextRole,
    /// Its name in messages.
    pub(super) label: Arc<str>,
    /// The position of its first byte.
    pub(super) base: usize,
    /// The text itself.
    content: Arc<str>,
    /// Positions at which its lines start.
    starts: Rc<[usize]>,
}

impl Text {
    fn source(&self) -> SourceText<'_> {
        SourceText::with_starts(&self.content, self.starts.clone())
    }

    /// Line, counted from 1, that holds `position`.
    pub(super) fn line(&self, position: usize) -> usize {
        self.source().line_of(position - self.base) + 1
    }

    /// Position after its last byte, where an unclosed bracket is noticed.
    fn end(&self) -> usize {
        self.base + self.content.len()
    }
}

/// All texts of one reading.
#[derive(Debug, Default)]
pub(super) struct SourceMap(RefCell<Vec<Text>>);

impl SourceMap {
    /// Adds a text unless it is present; returns the position of its first byte.
    pub(super) fn add(&self, role: TextRole, path: &Path, text: &Arc<str>) -> usize {
        let label: Arc<str> = match role {
            TextRole::Manifest => format!("manifest of {}", shown_path(path)).into(),
            TextRole::Main | TextRole::Sidecar => shown_path(path).into(),
        };
        let mut texts = self.0.borrow_mut();
        let same = |known: &&Text| known.role == role && known.label == label;
        if let Some(known) = texts.iter().find(same) {
            return known.base;
        }
        // A gap of one position between two texts, so that the end of one is not the start of the
        // next.
        let base = texts.last().map_or(0, |last| last.end() + 1);
        texts.push(Text {
            role,
            label,
            base,
            content: text.clone(),
            starts: SourceText::new(text).starts().clone(),
        });
        base
    }

    /// Returns the text that holds `position`, if any.
    pub(super) fn at(&self, position: usize) -> Option<Text> {
        let texts = self.0.borrow();
        let after = texts.partition_point(|text| text.base <= position);
        texts.get(after.checked_sub(1)?).cloned()
    }

    /// Place of `span`: line and column.
    pub(super) fn place(&self, span: &Range<usize>) -> LinePlace {
        match self.at(span.start) {
            Some(text) => {
                let local = span.start - text.base..span.end.saturating_sub(text.base);
                text.source().place(&local).in_file(text.label)
            }
            None => SourceText::new("").place(&(0..0)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_says_which_text_and_line_it_is_in() {
        let texts = SourceMap::default();
        let (main, inner): (Arc<str>, Arc<str>) = ("a = 1\nb = 2".into(), "c = 3\nd = 4".into());
        assert_eq!(texts.add(TextRole::Main, Path::new("m.toml"), &main), 0);
        let base = texts.add(TextRole::Manifest, Path::new("p.wasm"), &inner);
        assert_eq!(base, 12);
        assert_eq!(
            texts.add(TextRole::Manifest, Path::new("p.wasm"), &inner),
            base
        );
        let place = |span: Range<usize>| {
            let place = texts.place(&span);
            (place.file.to_string(), place.line, place.excerpt)
        };
        assert_eq!(place(6..7), ("m.toml".into(), 2, "b = 2".into()));
        assert_eq!(place(11..11), ("m.toml".into(), 2, "b = 2".into()));
        let (file, line, excerpt) = place(base + 6..base + 7);
        assert_eq!(file, "manifest of p.wasm");
        assert_eq!((line, excerpt.as_str()), (2, "d = 4"));
        assert_eq!(texts.at(3).map(|text| text.role), Some(TextRole::Main));
        assert_eq!(
            texts.at(base).map(|text| text.role),
            Some(TextRole::Manifest)
        );
    }
}
