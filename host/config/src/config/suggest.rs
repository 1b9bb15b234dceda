//! The known name that a mistyped one probably meant.
//!
//! Only near names are suggested: a wrong suggestion costs more than none.

/// Returns the nearest of `known` to `word`, if it is near enough to be a typing error.
pub fn nearest<'k>(word: &str, known: &[&'k str]) -> Option<&'k str> {
    // A longer word is not a typing error of any known name, and the table below would be large.
    if word.len() > 40 {
        return None;
    }
    let word = word.to_lowercase().replace('-', "_");
    let slip = known
        .iter()
        .map(|candidate| (distance(&word, candidate), *candidate))
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

/// Counts the insertions, deletions, replacements and swaps of neighbours that turn `a` into `b`.
fn distance(a: &str, b: &str) -> usize {
    let a: Vec<char> = a.chars().collect();
    let b: Vec<char> = b.chars().collect();
    let mut rows: Vec<Vec<usize>> = vec![(0..=b.len()).collect()];
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let differs = usize::from(a[i - 1] != b[j - 1]);
            let mut best = (rows[i - 1][j] + 1)
                .min(row[j - 1] + 1)
                .min(rows[i - 1][j - 1] + differs);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(rows[i - 2][j - 2] + 1);
            }
            row.push(best);
        }
        rows.push(row);
    }
    rows[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEYS: &[&str] = &["timeout", "ttl", "retries", "stop_margin", "lock"];

    #[test]
    fn slips_find_their_word() {
        assert_eq!(nearest("tmeout", KEYS), Some("timeout"));
        assert_eq!(nearest("Timeout", KEYS), Some("timeout"));
        assert_eq!(nearest("tlt", KEYS), Some("ttl"));
        assert_eq!(nearest("stop-margin", KEYS), Some("stop_margin"));
        assert_eq!(nearest("retrys", KEYS), Some("retries"));
    }

    #[test]
    fn a_part_finds_its_whole_if_there_is_one() {
        assert_eq!(nearest("margin", KEYS), Some("stop_margin"));
        assert_eq!(nearest("time", KEYS), Some("timeout"));
        assert_eq!(nearest("mem", &["memory", "memories"]), None);
    }

    #[test]
    fn strangers_find_nothing() {
        assert_eq!(nearest("cron", KEYS), None);
        assert_eq!(nearest("x", KEYS), None);
        assert_eq!(nearest("", KEYS), None);
        assert_eq!(nearest(&"ttl".repeat(100_000), KEYS), None);
    }
}
