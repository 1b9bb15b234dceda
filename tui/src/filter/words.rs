//! Words of a filter's text, with their positions. This file must never judge a pattern.

/// Characters that make a word a regular expression. A dot is not among them: hosts and versions have dots, and a
/// text with the dot is found either way.
const SPECIAL: [char; 13] = [
    '*', '+', '?', '^', '$', '|', '(', ')', '[', ']', '{', '}', '\\',
];

/// One word.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct FilterWord<'t> {
    /// Without `!` and without the slashes of a pattern.
    pub(super) text: &'t str,
    /// Start of `text`, in characters from 1.
    pub(super) position: usize,
    /// `!` comes before it.
    pub(super) inverse: bool,
    /// Form of the word.
    pub(super) form: WordForm,
}

/// Form of a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum WordForm {
    /// Letters, digits, and other characters of names.
    Plain,
    /// With characters that have a meaning in a regular expression.
    Signs,
    /// As a regular expression between slashes.
    Slashes,
}

/// Splits `text` into words.
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

/// Splits off a pattern between slashes, of which the second ends a word.
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
    fn words_have_their_positions() {
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
    fn pattern_is_recognized_by_signs_or_slashes() {
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
    fn slashes_of_a_path_are_plain_text() {
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
