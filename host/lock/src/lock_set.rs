//! Locks that are taken together: which sets are possible.

/// The most locks of one request. Each is a comparison and up to two operations of one transaction, of which a store
/// takes 128.
pub const MOST_LOCKS: usize = 32;

/// Error of a set of locks that cannot be taken together.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LockSetError {
    /// The set is empty.
    #[error("a set of locks was requested without any: name at least one lock")]
    Empty,
    /// The set is too large for one transaction.
    #[error("{count} locks were requested at once; the most is {MOST_LOCKS}")]
    TooMany {
        /// The number of locks.
        count: usize,
    },
    /// A lock is in the set twice: the second entry would wait for the first.
    #[error("lock {name} is in one set twice and would wait for itself: name it once")]
    Twice {
        /// The lock.
        name: String,
    },
    /// A lock lies in another one: clients of the outer one that do not tell them apart would wait for the set itself.
    #[error(
        "locks {outer} and {inner} of one set lie in one another, and other clients take entries of the inner one for \
         entries of the outer one: rename one of them"
    )]
    Nested {
        /// The lock with the shorter name.
        outer: String,
        /// The lock whose name begins with the other's.
        inner: String,
    },
}

/// Checks that the locks called `names` can be taken together.
pub(crate) fn check<'a>(names: impl Iterator<Item = &'a str>) -> Result<(), LockSetError> {
    let mut names: Vec<&str> = names.collect();
    if names.is_empty() {
        return Err(LockSetError::Empty);
    }
    if names.len() > MOST_LOCKS {
        let count = names.len();
        return Err(LockSetError::TooMany { count });
    }
    // By parts, so that a name comes right before those that lie in it.
    names.sort_by(|a, b| a.split('/').cmp(b.split('/')));
    for pair in names.windows(2) {
        let &[outer, inner] = pair else { continue };
        let (outer, inner) = (outer.to_owned(), inner.to_owned());
        if outer == inner {
            return Err(LockSetError::Twice { name: outer });
        }
        let inside = inner.strip_prefix(&outer);
        if inside.is_some_and(|rest| rest.starts_with('/')) {
            return Err(LockSetError::Nested { outer, inner });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(names: &[&str]) -> Option<String> {
        let error = check(names.iter().copied()).err();
        error.map(|error| error.to_string())
    }

    #[test]
    fn names_apart_can_be_taken_together() {
        assert_eq!(
            refusal(&["/l/b", "/l/a", "/l/a-2", "/l/ab/c", "/l/a.b/c"]),
            None
        );
        let many: Vec<String> = (0..MOST_LOCKS).map(|n| format!("/l/{n}")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        assert_eq!(refusal(&many), None);
    }

    #[test]
    fn names_that_collide_are_refused_with_both() {
        assert_eq!(
            refusal(&["/l/b", "/l/a", "/l/b"]).unwrap(),
            "lock /l/b is in one set twice and would wait for itself: name it once"
        );
        for inner in ["/l/a/b", "/l/a/b/c"] {
            let error = check(["/l/a-z", inner, "/l/a"].into_iter());
            let (outer, inner) = ("/l/a".to_owned(), inner.to_owned());
            assert_eq!(error, Err(LockSetError::Nested { outer, inner }));
        }
        assert_eq!(check(std::iter::empty()), Err(LockSetError::Empty));
        let many: Vec<String> = (0..=MOST_LOCKS).map(|n| format!("/l/{n}")).collect();
        assert!(check(many.iter().map(String::as_str)).is_err());
    }
}
