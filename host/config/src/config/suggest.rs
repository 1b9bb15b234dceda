//! The known name that a mistyped one probably meant.
//!
//! Only near names are suggested: a wrong suggestion costs more than none.

/// Returns the nearest of `known` to `word`, if it is near enough to be a typing error.
pub fn suggest<'k>(word: &str, known: &[&'k str]) -> Option<&'k str> {
    // A longer word is not a typing error of any known name, and comparing it would take long.
    if word.len() > 40 {
        return None;
    }
    let word = word.to_lowercase().replace('-', "_");
    let slip = known
        .iter()
        .map(|candidate| (strsim::osa_distance(&word, candidate), *candidate))
        .filter(|(steps, candidate)| *steps <= (candidate.len() / 3).max(1))
        .min_by_key(|(steps, _)| *steps)
        .map(|(_, candidate)| candidate);
    slip.or_else(|| only_one_with(&word, known))
}

/// Returns the only name that starts with `word` or has it as one of its parts.
fn only_one_with<'k>(word: &str, known: &[&'k str]) -> Option<&'k str> {
    let has = |name: &&&str| name.starts_with(word) || name.split('_').any(|part| part == word);
    let mut with = known.iter().filter(has);
    let first = with.next()?;
    (word.len() >= 3 && with.next().is_none()).then_some(*first)
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEYS: &[&str] = &["timeout", "ttl", "retries", "stop_margin", "lock"];

    #[test]
    fn slips_find_their_word() {
        assert_eq!(suggest("tmeout", KEYS), Some("timeout"));
        assert_eq!(suggest("Timeout", KEYS), Some("timeout"));
        assert_eq!(suggest("tlt", KEYS), Some("ttl"));
        assert_eq!(suggest("stop-margin", KEYS), Some("stop_margin"));
        assert_eq!(suggest("retrys", KEYS), Some("retries"));
    }

    #[test]
    fn a_part_finds_its_whole_if_there_is_one() {
        assert_eq!(suggest("margin", KEYS), Some("stop_margin"));
        assert_eq!(suggest("time", KEYS), Some("timeout"));
        assert_eq!(suggest("mem", &["memory", "memories"]), None);
    }

    #[test]
    fn strangers_find_nothing() {
        assert_eq!(suggest("cron", KEYS), None);
        assert_eq!(suggest("x", KEYS), None);
        assert_eq!(suggest("", KEYS), None);
        assert_eq!(suggest(&"ttl".repeat(100_000), KEYS), None);
    }
}
