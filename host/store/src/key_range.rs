//! A range of keys as etcd's requests write it: one key, from a key on, or from one key to before another.

/// The keys that a request selects.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum KeyRange {
    /// Exactly this key.
    One(Box<[u8]>),
    /// All keys from this one on, this one included.
    From(Box<[u8]>),
    /// From the first, included, to before the second. Empty when the second is not greater.
    Between(Box<[u8]>, Box<[u8]>),
}

impl KeyRange {
    /// Reads a request's `key` and `range_end`. An end of one zero byte means "to the last key there is".
    pub(crate) fn new(key: &[u8], range_end: &[u8]) -> Self {
        match range_end {
            [] => Self::One(key.into()),
            [0] => Self::From(key.into()),
            end => Self::Between(key.into(), end.into()),
        }
    }

    /// Returns true if it contains the key.
    pub(crate) fn contains(&self, key: &[u8]) -> bool {
        match self {
            Self::One(one) => **one == *key,
            Self::From(first) => **first <= *key,
            Self::Between(first, end) => **first <= *key && *key < **end,
        }
    }

    /// Returns the bytes of its keys.
    pub(crate) fn bytes(&self) -> usize {
        match self {
            Self::One(key) | Self::From(key) => key.len(),
            Self::Between(first, end) => first.len() + end.len(),
        }
    }

    /// Returns the prefix that exactly its keys share, if the range has that form.
    pub(crate) fn prefix(&self) -> Option<&[u8]> {
        let Self::Between(first, end) = self else {
            return None;
        };
        let (last, head) = end.split_last()?;
        let is_next = first.len() == end.len()
            && first.starts_with(head)
            && first.last().and_then(|byte| byte.checked_add(1)) == Some(*last);
        is_next.then_some(first)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_range_determines_its_form() {
        assert!(KeyRange::new(b"a", b"").contains(b"a"));
        assert!(!KeyRange::new(b"a", b"").contains(b"ab"));
        assert!(KeyRange::new(b"a", b"\0").contains(b"zzz"));
        assert!(!KeyRange::new(b"b", b"\0").contains(b"a"));
        assert!(KeyRange::new(b"a", b"c").contains(b"b\xff"));
        assert!(!KeyRange::new(b"a", b"c").contains(b"c"));
        assert!(!KeyRange::new(b"c", b"a").contains(b"b"));
    }

    #[test]
    fn a_prefix_is_recognised() {
        assert_eq!(KeyRange::new(b"a/", b"a0").prefix(), Some(&b"a/"[..]));
        assert_eq!(KeyRange::new(b"a/", b"b").prefix(), None);
        assert_eq!(KeyRange::new(b"a", b"c").prefix(), None);
        assert_eq!(KeyRange::new(b"a\xff", b"b").prefix(), None);
        assert_eq!(KeyRange::new(b"a", b"").prefix(), None);
    }
}
