//! Numbers of the store that must not be mixed up (revisions, leases and fencing tokens), and the modes of locks.
//!
//! The lock client, the records and all that use them share these types. They are compared and passed on; the raw
//! numbers of etcd's messages become them once, where a message is read. In JSON each is its number.

use std::fmt;
use std::num::TryFromIntError;

use serde::{Deserialize, Serialize};

mod lock_mode;

pub use lock_mode::{LockMode, LockModeError, LockPermits};

/// A revision of the store. Revisions only rise.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Revision(i64);

impl Revision {
    /// The revision of a key that does not exist; below every other revision.
    pub const NONE: Self = Self(0);

    /// Returns the revision with this number.
    pub const fn new(number: i64) -> Self {
        Self(number)
    }

    /// Returns its number, as etcd's messages carry it.
    pub const fn get(self) -> i64 {
        self.0
    }

    /// Returns its number without a sign, as guests and tables get it; 0 for negative ones, which no store has.
    pub const fn as_u64(self) -> u64 {
        if self.0 < 0 { 0 } else { self.0.unsigned_abs() }
    }

    /// Returns the revision after this one; saturates at the largest.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }

    /// True for [`Revision::NONE`].
    pub const fn is_none(self) -> bool {
        self.0 == 0
    }
}

impl TryFrom<u64> for Revision {
    type Error = TryFromIntError;

    /// Returns the revision that a guest names; an error for a number that no store can reach.
    fn try_from(number: u64) -> Result<Self, TryFromIntError> {
        i64::try_from(number).map(Self)
    }
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The id of a lease. Displayed in lower-case hex, as in the keys of queue entries.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct LeaseId(i64);

impl LeaseId {
    /// The id of no lease, for keys that are not on one.
    pub const NONE: Self = Self(0);

    /// Returns the lease with this id.
    pub const fn new(id: i64) -> Self {
        Self(id)
    }

    /// Returns its number, as etcd's messages carry it.
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
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Token(u64);

impl Token {
    /// Returns the token with this number.
    pub const fn new(number: u64) -> Self {
        Self(number)
    }

    /// Returns its number, as guests and their requests get it.
    pub const fn get(self) -> u64 {
        self.0
    }
}

impl From<Revision> for Token {
    fn from(create_revision: Revision) -> Self {
        Self(create_revision.as_u64())
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
        assert_eq!(format!("{:020}", Token::new(7)), "00000000000000000007");
    }

    #[test]
    fn the_revision_after_another_saturates() {
        assert_eq!(Revision::NONE.next(), Revision::new(1));
        assert_eq!(Revision::new(i64::MAX).next(), Revision::new(i64::MAX));
        assert_eq!(Revision::new(i64::MIN).as_u64(), 0);
    }
}
