//! Numbers of the store that must not be mixed up: revisions, leases and fencing tokens.
//!
//! None of them has arithmetic: a revision, lease or token is compared and passed on.

use std::fmt;

/// A revision of the store. Revisions only rise.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Revision(i64);

impl Revision {
    /// The revision of a key that does not exist; below every other revision.
    pub const NONE: Self = Self(0);

    /// The revision with this number.
    pub const fn new(number: i64) -> Self {
        Self(number)
    }

    /// Its number.
    pub const fn get(self) -> i64 {
        self.0
    }
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The id of a lease. Displayed in lower-case hex, as in the keys of queue entries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LeaseId(i64);

impl LeaseId {
    /// The id of no lease, for keys that are not on one.
    pub const NONE: Self = Self(0);

    /// The lease with this id.
    pub const fn new(id: i64) -> Self {
        Self(id)
    }

    /// Its number.
    pub const fn get(self) -> i64 {
        self.0
    }

    /// True for [`LeaseId::NONE`].
    pub const fn is_none(self) -> bool {
        self.0 == 0
    }
}

impl fmt::Display for LeaseId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::LowerHex::fmt(&self.0, f)
    }
}

/// The fencing token of a grant: the create revision of its entry.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Token(u64);

impl Token {
    /// The token with this number.
    pub const fn new(number: u64) -> Self {
        Self(number)
    }

    /// Its number.
    pub const fn get(self) -> u64 {
        self.0
    }
}

impl From<Revision> for Token {
    fn from(create_revision: Revision) -> Self {
        Self(u64::try_from(create_revision.get()).unwrap_or(0))
    }
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_displayed_as_the_store_shows_them() {
        assert_eq!(Revision::new(42).to_string(), "42");
        assert_eq!(LeaseId::new(0x694d_77aa).to_string(), "694d77aa");
        assert_eq!(Token::from(Revision::new(42)).to_string(), "42");
        assert_eq!(Token::from(Revision::new(-1)), Token::new(0));
    }
}
