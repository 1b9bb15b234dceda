//! Removes secrets from a guest's output. All of the output passes through here.
//!
//! A granted secret's value, and each of its lines, becomes `[secret NAME]` wherever it occurs
//! unchanged. A secret that a guest encodes, reverses or spells out letter by letter cannot be found.
//! Granting a secret to a plugin means trusting it not to do that. The secrets themselves are never shown.
//!
//! A text is cut, made printable and searched, each once. The work is bounded by the longest text, and does not
//! grow with the number of secrets or of their lines.

use std::collections::BTreeMap;

use aho_corasick::Anchored;
use aho_corasick::automaton::{Automaton as _, StateID};
use aho_corasick::nfa::contiguous::NFA;
use leasehold_records::printable;

use leasehold_config::secrets::Secrets;

/// Shortest line of a secret that is searched for by itself. Shorter lines are too common.
const SHORTEST_LINE: usize = 4;
/// Shortest piece of a secret at a cut that is removed. A shorter piece reveals nothing.
const SHORTEST_PIECE: usize = 3;
/// Largest number of steps of the search for a piece of a secret at a cut. Only a secret that repeats itself needs
/// as many.
const MOST_STEPS: usize = 256 * 1024;
/// Text shown in place of every other text, if no search can be built for a run's secrets.
const WITHHELD: &str = "[secrets of this run are too large to be looked for: not shown]";

/// Replaces secrets in texts of one run.
#[derive(Default)]
pub(crate) enum Redactor {
    /// The run has no secrets.
    #[default]
    Nothing,
    Secrets(Box<Search>),
    /// The secrets cannot be searched for.
    Everything,
}

/// Search for all secrets of a run, built once.
pub(crate) struct Search {
    nfa: NFA,
    /// Start states of a search, for anywhere in a text and for its beginning only.
    anywhere: StateID,
    at_start: StateID,
    /// Needles in their printable form, sorted.
    needles: Vec<Needle>,
    longest: usize,
    marks: Vec<String>,
}

struct Needle {
    text: String,
    /// Index of the mark that replaces it.
    mark: usize,
}

/// A part of a text that contains a secret, or a piece of a secret.
struct Found {
    start: usize,
    end: usize,
    mark: usize,
    /// Length of the needle. Where parts overlap, the longest determines the mark.
    length: usize,
}

impl Redactor {
    pub(crate) fn new(secrets: &Secrets) -> Self {
        let mut marks = Vec::new();
        let mut needles = BTreeMap::new();
        for (name, value) in secrets.iter() {
            let lines = value.lines().map(str::trim);
            let lines = lines.filter(|line| line.len() >= SHORTEST_LINE);
            for form in std::iter::once(value).chain(lines) {
                // A text holds no more of it than this.
                let form = printable::whole(printable::head(form).0);
                needles.entry(form).or_insert(marks.len());
            }
            marks.push(format!("[secret {name}]"));
        }
        if needles.is_empty() {
            return Self::Nothing;
        }
        let needles = needles.into_iter();
        let needles = needles.map(|(text, mark)| Needle { text, mark }).collect();
        Search::build(needles, marks)
            .map_or(Self::Everything, |search| Self::Secrets(Box::new(search)))
    }

    /// Converts any text to one printable line without secrets.
    pub(crate) fn line(&self, text: &str) -> String {
        let (kept, was_cut) = printable::head(text);
        let mut line = self.clean(kept, was_cut);
        if was_cut {
            line.push_str(printable::CUT);
        }
        line
    }

    /// Converts bytes like [`Redactor::line`]. They should be UTF-8, and are at most as long as a line. `was_cut` is
    /// true if more bytes followed, which may have been the rest of a secret.
    pub(crate) fn bytes(&self, raw: &[u8], was_cut: bool) -> String {
        // What is not UTF-8 takes three bytes, and the text may be longer than a line by that.
        let text = String::from_utf8_lossy(raw);
        let (kept, is_longer) = printable::head(&text);
        let mut line = self.clean(kept, was_cut || is_longer);
        if is_longer {
            line.push_str(printable::CUT);
        }
        line
    }

    fn clean(&self, text: &str, was_cut: bool) -> String {
        match self {
            Self::Nothing => printable::whole(text),
            Self::Secrets(search) => search.without_secrets(printable::whole(text), was_cut),
            Self::Everything => WITHHELD.to_owned(),
        }
    }
}

impl Search {
    /// Builds the search. `None` if it cannot hold the needles.
    fn build(needles: Vec<Needle>, marks: Vec<String>) -> Option<Self> {
        let nfa = NFA::new(needles.iter().map(|needle| &needle.text)).ok()?;
        Some(Self {
            anywhere: nfa.start_state(Anchored::No).ok()?,
            at_start: nfa.start_state(Anchored::Yes).ok()?,
            longest: needles.iter().map(|needle| needle.text.len()).max()?,
            nfa,
            needles,
            marks,
        })
    }

    fn without_secrets(&self, line: String, was_cut: bool) -> String {
        let mut found = self.found(line.as_bytes());
        if was_cut && let Some(started) = self.started(&line) {
            add(&mut found, started);
        }
        if found.is_empty() {
            return line;
        }
        let mut out = String::with_capacity(line.len());
        let mut shown = 0;
        for part in found {
            out.push_str(&line[shown..part.start]);
            out.push_str(&self.marks[part.mark]);
            shown = part.end;
        }
        out.push_str(&line[shown..]);
        out
    }

    /// Returns the parts of `line` that needles cover, in order.
    fn found(&self, line: &[u8]) -> Vec<Found> {
        let mut found = Vec::new();
        let mut state = self.anywhere;
        for (at, byte) in line.iter().enumerate() {
            state = self.nfa.next_state(Anchored::No, state, *byte);
            if self.nfa.is_match(state) {
                // The first match is the longest that ends here. The others are suffixes of it.
                let needle = &self.needles[self.nfa.match_pattern(state, 0).as_usize()];
                let length = needle.text.len();
                let part = Found {
                    start: at + 1 - length,
                    end: at + 1,
                    mark: needle.mark,
                    length,
                };
                add(&mut found, part);
            }
        }
        found
    }

    /// Finds the longest beginning of a needle at the end of `line`, which was cut there.
    fn started(&self, line: &str) -> Option<Found> {
        let mut steps = MOST_STEPS;
        let last = line.len().checked_sub(SHORTEST_PIECE)?;
        let first = line.floor_char_boundary(line.len().saturating_sub(self.longest));
        let starts = line[first..].char_indices().map(|(at, _)| first + at);
        for start in starts.take_while(|start| *start <= last) {
            let piece = &line[start..];
            let begins = self.begins(piece.as_bytes(), &mut steps);
            // A piece whose search takes too many steps is treated as found.
            if begins || steps == 0 {
                let at = self.needles.partition_point(|n| n.text.as_str() < piece);
                return Some(Found {
                    start,
                    end: line.len(),
                    mark: self.needles.get(at).map_or(0, |needle| needle.mark),
                    length: piece.len(),
                });
            }
        }
        None
    }

    /// Returns true if some needle begins with all of `piece`.
    fn begins(&self, piece: &[u8], steps: &mut usize) -> bool {
        let mut state = self.at_start;
        for byte in piece {
            *steps = steps.saturating_sub(1);
            state = self.nfa.next_state(Anchored::Yes, state, *byte);
            if self.nfa.is_dead(state) || *steps == 0 {
                return false;
            }
        }
        true
    }
}

/// Adds a part that ends after all others. Parts that it covers or overlaps are merged into it.
fn add(found: &mut Vec<Found>, mut part: Found) {
    while let Some(before) = found.pop_if(|before| before.end > part.start) {
        part.start = part.start.min(before.start);
        if before.length > part.length {
            (part.mark, part.length) = (before.mark, before.length);
        }
    }
    found.push(part);
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

    #[test]
    fn a_text_is_cut_before_it_is_searched() {
        let redactor = redactor(&[("key", "hunter2")]);
        let long = format!("hunter2 {}", "x".repeat(4 << 20));
        let line = redactor.line(&long);
        assert!(line.starts_with("[secret key] xxx") && line.ends_with(" […]"));
        assert!(line.len() < printable::LONGEST_TEXT + 32);
    }

    #[test]
    fn secret_whose_shown_form_outgrows_a_line_is_found() {
        // Each character takes three bytes when it is shown.
        let secret = "\u{1b}".repeat(printable::LONGEST_TEXT / 2);
        let redactor = redactor(&[("key", &secret)]);
        assert_eq!(redactor.line(&format!("a {secret} b")), "a [secret key] b");
        let raw = format!("a {secret}");
        assert_eq!(redactor.bytes(raw.as_bytes(), false), "a [secret key]");
    }

    #[test]
    fn bytes_that_outgrow_a_line_show_no_part_of_a_secret() {
        let redactor = redactor(&[("key", "hunter2")]);
        let mut raw = vec![0xff; printable::LONGEST_TEXT / 3 - 1];
        raw.extend(b"x hunter2");
        let line = redactor.bytes(&raw, false);
        assert!(!line.contains("hun"), "{}", &line[line.len() - 40..]);
    }

    #[test]
    fn secrets_that_overlap_in_a_text_show_none_of_either() {
        let redactor = redactor(&[("a", "abcd"), ("b", "bcdefgh"), ("c", "xyxy")]);
        assert_eq!(redactor.line("abcdefgh."), "[secret b].");
        assert_eq!(redactor.line("xyxyxy"), "[secret c]");
        assert_eq!(redactor.line("xyxyxyxy"), "[secret c]");
        assert_eq!(redactor.line("abcdabcd"), "[secret a][secret a]");
    }

    /// Compares the search with one that tries every needle at every position.
    #[test]
    fn the_search_finds_what_a_slow_one_finds() {
        let mut random = fastrand::Rng::with_seed(7);
        let mut word = |most| -> String {
            let length = random.usize(4..most);
            (0..length)
                .map(|_| random.choice(['a', 'b', 'é']).unwrap())
                .collect()
        };
        for _ in 0..300 {
            let values: Vec<String> = (0..6).map(|_| word(12)).collect();
            let named: Vec<(String, &String)> = values
                .iter()
                .enumerate()
                .map(|(n, v)| (n.to_string(), v))
                .collect();
            let named: Vec<(&str, &str)> = named
                .iter()
                .map(|(n, v)| (n.as_str(), v.as_str()))
                .collect();
            let text = word(60);
            let mut hidden = vec![false; text.len()];
            for value in &values {
                for (at, _) in text
                    .char_indices()
                    .filter(|(at, _)| text[*at..].starts_with(value.as_str()))
                {
                    hidden[at..at + value.len()].fill(true);
                }
            }
            let kept: String = text
                .char_indices()
                .filter(|(at, _)| !hidden[*at])
                .map(|(_, c)| c)
                .collect();
            let mut shown = redactor(&named).line(&text);
            for (name, _) in &named {
                shown = shown.replace(&format!("[secret {name}]"), "");
            }
            assert_eq!(shown, kept, "{text} without {values:?}");
        }
    }

    #[test]
    fn a_secret_of_many_lines_is_found_line_by_line() {
        let lines: Vec<String> = (0..7_200).map(|n| format!("line-{n:03x}")).collect();
        let redactor = redactor(&[("pem", &lines.join("\n"))]);
        assert_eq!(redactor.line("a line-1c1f b"), "a [secret pem] b");
        assert_eq!(redactor.bytes(b"a line-1c", true), "a [secret pem]");
    }

    #[test]
    fn a_secret_that_repeats_itself_costs_no_more_at_a_cut() {
        let redactor = redactor(&[("key", &format!("{}b", "a".repeat(4_000)))]);
        let line = redactor.bytes("a".repeat(printable::LONGEST_TEXT).as_bytes(), true);
        assert!(line.ends_with("[secret key]"), "{}", line.len());
    }
}
