//! The known name that a mistyped one probably meant.
//!
//! Only near names are suggested: a wrong suggestion costs more than none.

/// Longest word that can be a typing error of a known name, in bytes. Comparing a longer one would take long.
const LONGEST_WORD: usize = 40;
/// Shortest word that is looked for as a part of a name, in bytes.
const SHORTEST_PART: usize = 3;

/// Returns the nearest of `known` to `word`, if it is near enough to be a typing error, else the only name that has
/// `word` as its beginning or as one of its parts. Capitals are small letters, and `-` is `_`.
pub fn suggest<'k>(word: &str, known: impl IntoIterator<Item = &'k str>) -> Option<&'k str> {
    if word.len() > LONGEST_WORD {
        return None;
    }
    let word = plain(word);
    let mut nearest: Option<(usize, &str)> = None;
    let mut with_part = None;
    let mut parts = 0_usize;
    for name in known {
        let candidate = plain(name);
        let steps = strsim::osa_distance(&word, &candidate);
        if steps <= (candidate.len() / 3).max(1) && nearest.is_none_or(|(least, _)| steps < least) {
            nearest = Some((steps, name));
        }
        if candidate.starts_with(&word) || candidate.split('_').any(|part| part == word) {
            parts += 1;
            with_part = Some(name);
        }
    }
    let only_one = with_part.filter(|_| parts == 1 && word.len() >= SHORTEST_PART);
    nearest.map(|(_, name)| name).or(only_one)
}

/// Spelling in which names are compared.
fn plain(name: &str) -> String {
    name.to_lowercase().replace('-', "_")
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEYS: [&str; 5] = ["timeout", "ttl", "retries", "stop_margin", "lock"];

    #[test]
    fn slips_find_their_word() {
        assert_eq!(suggest("tmeout", KEYS), Some("timeout"));
        assert_eq!(suggest("Timeout", KEYS), Some("timeout"));
        assert_eq!(suggest("tlt", KEYS), Some("ttl"));
        assert_eq!(suggest("stop-margin", KEYS), Some("stop_margin"));
        assert_eq!(suggest("retrys", KEYS), Some("retries"));
    }

    #[test]
    fn names_with_dashes_and_capitals_are_as_near_as_others() {
        let names = ["quit", "half-page-up", "half-page-down", "Europe/Berlin"];
        assert_eq!(suggest("Half_Page_Up", names), Some("half-page-up"));
        assert_eq!(suggest("hlaf-page-up", names), Some("half-page-up"));
        assert_eq!(suggest("down", names), Some("half-page-down"));
        assert_eq!(suggest("page", names), None);
        assert_eq!(suggest("EUROPE/BRELIN", names), Some("Europe/Berlin"));
        assert_eq!(suggest("ab", ["a-b"]), Some("a-b"));
    }

    #[test]
    fn a_part_finds_its_whole_if_there_is_one() {
        assert_eq!(suggest("margin", KEYS), Some("stop_margin"));
        assert_eq!(suggest("time", KEYS), Some("timeout"));
        assert_eq!(suggest("mem", ["memory", "memories"]), None);
    }

    #[test]
    fn strangers_find_nothing() {
        assert_eq!(suggest("cron", KEYS), None);
        assert_eq!(suggest("x", KEYS), None);
        assert_eq!(suggest("", KEYS), None);
        assert_eq!(suggest(&"ttl".repeat(100_000), KEYS), None);
    }
}
