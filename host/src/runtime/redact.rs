//! Takes secrets out of what a guest says, in the one place through which all of it goes.
//!
//! A granted secret's value, and each of its lines, becomes `[secret NAME]` wherever it stands as it
//! is. What a guest encodes, reverses or spells out letter by letter cannot be found; granting a
//! secret to a plugin is trusting it that far. This file must never show what it looks for.

use std::borrow::Cow;

use leasehold_records::printable;

use crate::secrets::Secrets;

/// Lines of a secret shorter than this are too common to be looked for by themselves.
const SHORTEST_LINE: usize = 4;
/// A piece of a secret at a cut that is shorter than this gives nothing away.
const SHORTEST_PIECE: usize = 3;

/// What to look for, and what to put in its place.
#[derive(Default)]
pub(crate) struct Redactor {
    /// The longest first, so that a secret that contains another is seen as a whole.
    needles: Vec<(String, String)>,
}

impl Redactor {
    pub(crate) fn new(secrets: &Secrets) -> Self {
        let mut needles = Vec::new();
        for (name, value) in secrets.iter() {
            let mark = format!("[secret {name}]");
            let lines = value.lines().map(str::trim);
            let lines = lines.filter(|line| line.len() >= SHORTEST_LINE);
            for form in std::iter::once(value).chain(lines) {
                // As it is, and as it looks after its control characters were replaced.
                for form in [form.to_owned(), printable::line(form)] {
                    needles.push((form, mark.clone()));
                }
            }
        }
        needles.sort_by(|(a, _), (b, _)| b.len().cmp(&a.len()).then(a.cmp(b)));
        needles.dedup_by(|(a, _), (b, _)| a == b);
        Self { needles }
    }

    /// One printable line of any text, without secrets.
    pub(crate) fn line(&self, text: &str) -> String {
        if self.needles.is_empty() {
            return printable::line(text);
        }
        let bare = self.replaced(text);
        self.replaced(&printable::line(&bare)).into_owned()
    }

    /// As [`Redactor::line`], for bytes that should be UTF-8. `was_cut` says that more followed, which
    /// may have been the rest of a secret.
    pub(crate) fn bytes(&self, raw: &[u8], was_cut: bool) -> String {
        let text = String::from_utf8_lossy(raw);
        if was_cut && !self.needles.is_empty() {
            let bare = self.replaced(&text);
            return self.line(&self.without_started(&bare));
        }
        self.line(&text)
    }

    fn replaced<'t>(&self, text: &'t str) -> Cow<'t, str> {
        let mut text = Cow::Borrowed(text);
        for (needle, mark) in &self.needles {
            if text.contains(needle.as_str()) {
                text = Cow::Owned(text.replace(needle.as_str(), mark));
            }
        }
        text
    }

    /// `text` with the beginning of a secret at its end replaced.
    fn without_started<'t>(&self, text: &'t str) -> Cow<'t, str> {
        let started = self.needles.iter().filter_map(|(needle, mark)| {
            let longest = (SHORTEST_PIECE..needle.len())
                .rev()
                .filter(|length| needle.is_char_boundary(*length))
                .find(|length| text.ends_with(&needle[..*length]))?;
            Some((longest, mark))
        });
        match started.max_by_key(|(length, _)| *length) {
            Some((length, mark)) => Cow::Owned(format!("{}{mark}", &text[..text.len() - length])),
            None => Cow::Borrowed(text),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn redactor(values: &[(&str, &str)]) -> Redactor {
        Redactor::new(&Secrets::of(values))
    }

    #[test]
    fn a_secret_is_named_and_not_shown() {
        let redactor = redactor(&[("api_key", "hunter2"), ("long", "xhunter2x")]);
        for (text, shown) in [
            (
                "key=hunter2;hunter2",
                "key=[secret api_key];[secret api_key]",
            ),
            ("xhunter2x", "[secret long]"),
            ("hunter", "hunter"),
            ("nothing", "nothing"),
        ] {
            assert_eq!(redactor.line(text), shown);
        }
    }

    #[test]
    fn each_line_of_a_secret_is_one() {
        let redactor = redactor(&[("pem", "-----BEGIN-----\nMIIabc\nx\n")]);
        assert_eq!(redactor.line("a MIIabc b"), "a [secret pem] b");
        assert_eq!(redactor.line("x"), "x");
        assert_eq!(
            redactor.line("-----BEGIN-----\nMIIabc\nx\n"),
            "[secret pem]"
        );
    }

    #[test]
    fn control_characters_do_not_hide_a_secret() {
        let redactor = redactor(&[("key", "hun\u{1b}ter2")]);
        assert_eq!(redactor.line("hun\u{1b}ter2"), "[secret key]");
        assert_eq!(redactor.line("hun\u{fffd}ter2"), "[secret key]");
    }

    #[test]
    fn what_was_cut_in_the_middle_of_a_secret_shows_none_of_it() {
        let redactor = redactor(&[("key", "hunter2"), ("other", "terrible")]);
        assert_eq!(redactor.bytes(b"a hunter", true), "a [secret key]");
        assert_eq!(redactor.bytes(b"a hunter", false), "a hunter");
        assert_eq!(redactor.bytes(b"a hu", true), "a hu");
        let text = format!("{}hunter2", "x".repeat(printable::LONGEST_TEXT - 3));
        let line = redactor.line(&text);
        assert!(!line.contains("hun"), "{}", &line[line.len() - 40..]);
    }
}
