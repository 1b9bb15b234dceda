//! The words of a filter's text, and where each starts. This file must never judge a pattern.

/// What makes a word a regular expression. A dot does not: hosts and versions have dots, and every text
/// that has the dot is found either way.
const SPECIAL: [char; 13] = [
    '*', '+', '?', '^', '$', '|', '(', ')', '[', ']', '{', '}', '\\',
];

/// One word.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct FilterWord<'t> {
    /// Without `!` and without the slashes of a pattern.
    pub(super) text: &'t str,
    /// Where `text` starts, in characters from 1.
    pub(super) position: usize,
    /// Whether `!` stood before it.
    pub(super) inverse: bool,
    /// What it looks like.
    pub(super) form: WordForm,
}

/// How a word is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum WordForm {
    /// Letters and digits, and what stands in names.
    Plain,
    /// With signs that have a meaning in a regular expression.
    Signs,
    /// As a regular expression between slashes.
    Slashes,
}

/// Takes `text` apart.
pub(super) fn split_words(text: &str) -> Vec<FilterWord<'_>> {
    let mut words = Vec::new();
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        let bare = rest.strip_prefix('!').unwrap_or(rest);
        let inverse = bare.len() < rest.len();
        let (word, after, form) = between_slashes(bare).unwrap_or_else(|| up_to_space(bare));
        let start = text.len() - bare.len() + usize::from(form == WordForm::Slashes);
        words.push(FilterWord {
            text: word,
            position: text[..start].chars().count() + 1,
            inverse,
            form,
        });
        rest = after.trim_start();
    }
    words
}

/// A pattern between slashes, of which the second ends a word, and what follows it.
fn between_slashes(text: &str) -> Option<(&str, &str, WordForm)> {
    let inner = text.strip_prefix('/')?;
    if inner.starts_with(char::is_whitespace) {
        return None;
    }
    let (end, _) = inner.match_indices('/').find(|(end, _)| {
        let after = inner[end + 1..].chars().next();
        *end > 0 && after.is_none_or(char::is_whitespace)
    })?;
    Some((&inner[..end], &inner[end + 1..], WordForm::Slashes))
}

fn up_to_space(text: &str) -> (&str, &str, WordForm) {
    let (word, after) = text.split_at(text.find(char::is_whitespace).unwrap_or(text.len()));
    let form = if word.contains(SPECIAL) {
        WordForm::Signs
    } else {
        WordForm::Plain
    };
    (word, after, form)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(text: &str, position: usize) -> FilterWord<'_> {
        FilterWord {
            text,
            position,
            inverse: false,
            form: WordForm::Plain,
        }
    }

    fn slashes(text: &str, position: usize) -> FilterWord<'_> {
        FilterWord {
            form: WordForm::Slashes,
            ..plain(text, position)
        }
    }

    #[test]
    fn words_know_where_they_start() {
        assert_eq!(
            split_words("  é  !x\t"),
            [
                plain("é", 3),
                FilterWord {
                    inverse: true,
                    ..plain("x", 7)
                }
            ]
        );
        assert_eq!(split_words(" \t"), []);
    }

    #[test]
    fn a_pattern_is_told_by_its_signs_or_its_slashes() {
        assert_eq!(split_words("a.b"), [plain("a.b", 1)]);
        assert_eq!(split_words("a.*b$")[0].form, WordForm::Signs);
        assert_eq!(
            split_words("/a.b c/ d"),
            [slashes("a.b c", 2), plain("d", 9)]
        );
        assert_eq!(
            split_words("!/a/")[0],
            FilterWord {
                inverse: true,
                ..slashes("a", 3)
            }
        );
    }

    #[test]
    fn the_slashes_of_a_path_are_only_slashes() {
        assert_eq!(
            split_words("/billing/ledger"),
            [plain("/billing/ledger", 1)]
        );
        assert_eq!(
            split_words("/billing x"),
            [plain("/billing", 1), plain("x", 10)]
        );
        assert_eq!(split_words("/ //"), [plain("/", 1), plain("//", 3)]);
        assert_eq!(split_words("///"), [slashes("/", 2)]);
    }
}
