//! Values that differ from those of most others. Pure.

use std::collections::BTreeMap;

/// Returns for each value if it differs from most others. Without a majority every value differs; empty ones never do.
pub(super) fn odd_ones(values: &[&str]) -> Vec<bool> {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for value in values.iter().filter(|value| !value.is_empty()) {
        *counts.entry(value).or_default() += 1;
    }
    let most = counts.values().max().copied().unwrap_or(0);
    let mut leaders = counts.iter().filter(|(_, count)| **count == most);
    let usual = match (leaders.next(), leaders.next()) {
        (Some((usual, _)), None) => Some(*usual),
        _ => None,
    };
    let is_odd = |value: &&str| !value.is_empty() && Some(*value) != usual && counts.len() > 1;
    values.iter().map(is_odd).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn minority_is_odd_and_without_a_majority_all_are() {
        assert_eq!(odd_ones(&["a", "b", "a"]), [false, true, false]);
        assert_eq!(odd_ones(&["a", "b"]), [true, true]);
        assert_eq!(odd_ones(&["a", "", "a"]), [false; 3]);
        assert_eq!(odd_ones(&["a"]), [false]);
        assert_eq!(odd_ones(&[]), [false; 0]);
    }
}
