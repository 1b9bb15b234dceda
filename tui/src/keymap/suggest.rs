//! Suggestion of a known name for a mistyped one.
//!
//! This file must never suggest a distant name: a wrong suggestion costs more than none.

/// Longest word that can be a typing error of a known name, in bytes.
const LONGEST_WORD: usize = 40;

/// Finds the name in `known` that is nearest to `word`, if it is near enough for a typing error.
pub(super) fn suggest(
    word: &str,
    known: impl Iterator<Item = &'static str> + Clone,
) -> Option<&'static str> {
    if word.len() > LONGEST_WORD {
        return None;
    }
    let word = word.to_lowercase().replace('_', "-");
    let slip = known
        .clone()
        .map(|name| (strsim::osa_distance(&word, name), name))
        .filter(|(steps, name)| *steps <= (name.len() / 3).max(1))
        .min_by_key(|(steps, _)| *steps)
        .map(|(_, name)| name);
    slip.or_else(|| only_one_with(&word, known))
}

/// Finds the only name that starts with `word` or has it as one of its parts.
fn only_one_with(word: &str, known: impl Iterator<Item = &'static str>) -> Option<&'static str> {
    let mut with =
        known.filter(|name| name.starts_with(word) || name.split('-').any(|part| part == word));
    let first = with.next()?;
    (word.len() >= 3 && with.next().is_none()).then_some(first)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(word: &str) -> Option<&'static str> {
        suggest(
            word,
            ["quit", "half-page-up", "half-page-down", "freeze"].into_iter(),
        )
    }

    #[test]
    fn typing_errors_and_parts_find_their_word() {
        assert_eq!(near("qiut"), Some("quit"));
        assert_eq!(near("Half_Page_Up"), Some("half-page-up"));
        assert_eq!(near("down"), Some("half-page-down"));
        assert_eq!(near("freez"), Some("freeze"));
    }

    #[test]
    fn distant_words_find_nothing() {
        assert_eq!(near("page"), None);
        assert_eq!(near("x"), None);
        assert_eq!(near(""), None);
        assert_eq!(near(&"quit".repeat(100_000)), None);
    }
}
