//! Filter of a table: the syntax after `/`, and the test of a row.
//!
//! Words are separated by spaces and must all be found, each in any of a row's fields:
//!
//! - `word`: a part of the text; with an upper-case letter in it, exactly so
//! - `/re/`, or a word with one of `* + ? ^ $ | ( ) [ ] { } \`: a regular expression; between slashes
//!   it may contain spaces
//! - `!x`: rows without `x`
//! - `-f`: of the words that follow, only the letters need to occur, in order
//!
//! Every prefix of a filter must be usable, so unfinished words (`!`, `-f`) have no effect yet. No pattern may cost
//! more than a frame: its size and depth are limited here.

mod words;

use regex::{Regex, RegexBuilder};
use thiserror::Error;

use words::{FilterWord, WordForm, split_words};

/// Most memory of one compiled pattern, in bytes: far more than a typed pattern needs.
const PATTERN_BYTES: usize = 1 << 20;
/// Deepest nesting of parentheses in a pattern.
const PATTERN_DEPTH: u32 = 50;

/// A filter; the default one passes every row.
#[derive(Debug, Default)]
pub(crate) struct Filter {
    text: String,
    terms: Vec<FilterTerm>,
}

/// Error parsing a filter, in one short sentence.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub(crate) enum FilterError {
    /// A regular expression is wrong.
    #[error("the pattern is wrong at character {position}: {problem}")]
    Pattern {
        /// Position in the filter's text, in characters from 1.
        position: usize,
        /// Problem at this position.
        problem: String,
    },
    /// A pattern would take too much memory.
    #[error("the pattern at character {position} is too large")]
    TooLarge {
        /// Start of the pattern in the filter's text, in characters from 1.
        position: usize,
    },
}

#[derive(Debug)]
struct FilterTerm {
    /// Selects rows without the pattern.
    inverse: bool,
    test: Regex,
}

impl Filter {
    /// Parses the typed text.
    pub(crate) fn parse(text: &str) -> Result<Self, FilterError> {
        let mut terms = Vec::new();
        let mut by_letters = false;
        for word in split_words(text) {
            match word.text {
                "" => {}
                "-f" if !word.inverse => by_letters = true,
                _ => terms.push(FilterTerm {
                    inverse: word.inverse,
                    test: compile(&word, by_letters)?,
                }),
            }
        }
        Ok(Self {
            text: text.trim().to_owned(),
            terms,
        })
    }

    /// The typed text, without spaces around it.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// Returns true if every row passes.
    pub(crate) const fn is_empty(&self) -> bool {
        self.terms.is_empty()
    }

    /// Returns true if a row with these fields passes.
    pub(crate) fn matches(&self, fields: &[&str]) -> bool {
        self.terms
            .iter()
            .all(|term| fields.iter().any(|field| term.test.is_match(field)) != term.inverse)
    }
}

fn compile(word: &FilterWord<'_>, by_letters: bool) -> Result<Regex, FilterError> {
    let escaped = match word.form {
        WordForm::Plain | WordForm::Signs if by_letters => in_order(word.text),
        WordForm::Signs | WordForm::Slashes => word.text.to_owned(),
        WordForm::Plain => regex::escape(word.text),
    };
    pattern(&escaped, word.text, word.position)
}

/// Builds the pattern of letters in order, with any text between them.
fn in_order(word: &str) -> String {
    let letters = word
        .chars()
        .map(|c| regex::escape(c.encode_utf8(&mut [0; 4])));
    letters.collect::<Vec<_>>().join(".*?")
}

/// Compiles a pattern whose text, as it was typed, starts at `position`.
fn pattern(pattern: &str, typed: &str, position: usize) -> Result<Regex, FilterError> {
    let ignore_case = !has_upper_case(typed);
    let parsed = regex_syntax::ParserBuilder::new()
        .nest_limit(PATTERN_DEPTH)
        .case_insensitive(ignore_case)
        .build()
        .parse(pattern);
    if let Err(error) = parsed {
        let (problem, at) = match &error {
            regex_syntax::Error::Parse(error) => {
                (error.kind().to_string(), error.span().start.offset)
            }
            regex_syntax::Error::Translate(error) => {
                (error.kind().to_string(), error.span().start.offset)
            }
            other => (other.to_string(), 0),
        };
        let before = &pattern[..pattern.floor_char_boundary(at)];
        let position = position + before.chars().count();
        return Err(FilterError::Pattern { position, problem });
    }
    RegexBuilder::new(pattern)
        .nest_limit(PATTERN_DEPTH)
        .case_insensitive(ignore_case)
        .size_limit(PATTERN_BYTES)
        .dfa_size_limit(PATTERN_BYTES)
        .build()
        .map_err(|_| FilterError::TooLarge { position })
}

/// Returns true if a letter is upper-case; a letter after a backslash names a class, as in `\S`.
fn has_upper_case(typed: &str) -> bool {
    let mut chars = typed.chars();
    while let Some(c) = chars.next() {
        if c == '\\' {
            chars.next();
        } else if c.is_uppercase() {
            return true;
        }
    }
    false
}

#[cfg(test)]
mod tests;
