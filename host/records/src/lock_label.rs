//! The text for the locks of a job: the short name of one, or all names with `+` between, which no lock's name
//! contains.

/// Character between two names.
const SEPARATOR: &str = "+";

/// Returns the text for locks with these short names.
pub fn join_lock_names<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    names.into_iter().collect::<Vec<_>>().join(SEPARATOR)
}

/// Returns the short names of the locks of this text, in order.
pub fn lock_names(label: &str) -> impl Iterator<Item = &str> {
    label.split(SEPARATOR)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_back_from_their_text() {
        for (names, text) in [(vec!["a"], "a"), (vec!["a", "b/c"], "a+b/c")] {
            assert_eq!(join_lock_names(names.clone()), text);
            assert_eq!(lock_names(text).collect::<Vec<_>>(), names);
        }
    }
}
