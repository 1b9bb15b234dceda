//! [`LockMode`]: the way an entry takes part in a lock, and the suffix of its key that shows it.
//!
//! # Names of entries
//!
//! An entry is named after its lease, in lower-case hex, as every client of etcd's lock convention names it. A suffix
//! adds the mode:
//!
//! | name | mode |
//! |---|---|
//! | `694d` | exclusive |
//! | `694d-r` | shared |
//! | `694d-p2.5` | 2 permits of 5 |
//!
//! A suffix counts only behind the hex of the lease that carries the entry. Every other name is exclusive: that of a
//! foreign client, of a hold by hand, and of an entry that was copied to another lease.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::LeaseId;

/// The way an entry takes part in a lock.
///
/// Its text, in JSON too, is `exclusive`, `shared` or, for 2 of 5 permits, `permits 2/5`.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(try_from = "String", into = "String")]
pub enum LockMode {
    /// It holds the lock alone.
    #[default]
    Exclusive,
    /// It holds the lock beside other shared entries.
    Shared,
    /// It holds a number of permits of a lock that has several.
    Permits(LockPermits),
}

/// A number of permits, of all that a lock has: at least one, at most all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LockPermits {
    weight: u32,
    of: u32,
}

impl LockPermits {
    /// Returns `weight` permits of the `of` that the lock has.
    ///
    /// # Errors
    ///
    /// [`LockModeError`] for none, or for more than there are.
    pub const fn new(weight: u32, of: u32) -> Result<Self, LockModeError> {
        if weight == 0 {
            return Err(LockModeError::NoPermits);
        }
        if weight > of {
            return Err(LockModeError::TooManyPermits { weight, of });
        }
        Ok(Self { weight, of })
    }

    /// The permits that the entry takes; at least 1.
    pub const fn weight(self) -> u32 {
        self.weight
    }

    /// All permits of the lock; at least [`LockPermits::weight`].
    pub const fn of(self) -> u32 {
        self.of
    }
}

impl LockMode {
    /// Returns the mode with `weight` of the `of` permits that the lock has.
    ///
    /// # Errors
    ///
    /// [`LockModeError`] for none, or for more than there are.
    pub fn permits(weight: u32, of: u32) -> Result<Self, LockModeError> {
        LockPermits::new(weight, of).map(Self::Permits)
    }

    /// True for [`LockMode::Exclusive`].
    pub const fn is_exclusive(&self) -> bool {
        matches!(self, Self::Exclusive)
    }

    /// The permits that the lock has by this mode; `None` where it is not about permits.
    pub const fn capacity(self) -> Option<u32> {
        match self {
            Self::Exclusive | Self::Shared => None,
            Self::Permits(permits) => Some(permits.of),
        }
    }

    /// Returns the name of an entry of this mode on `lease`: the part of its key behind the lock's name.
    pub fn entry_name(self, lease: LeaseId) -> String {
        match self {
            Self::Exclusive => lease.to_string(),
            Self::Shared => format!("{lease}-r"),
            Self::Permits(LockPermits { weight, of }) => format!("{lease}-p{weight}.{of}"),
        }
    }

    /// Returns the mode of the entry with this key on `lease`: that of the key's last part.
    pub fn of_key(key: &str, lease: LeaseId) -> Self {
        Self::of_entry(key.rsplit('/').next().unwrap_or(key), lease)
    }

    /// Returns the mode of the entry with this name on `lease`. All names but those of [`LockMode::entry_name`] are
    /// exclusive.
    pub fn of_entry(name: &str, lease: LeaseId) -> Self {
        let Some((carrier, suffix)) = name.split_once('-') else {
            return Self::Exclusive;
        };
        let mode = match suffix.strip_prefix('p') {
            None if suffix == "r" => Self::Shared,
            None => return Self::Exclusive,
            Some(share) => match share.split_once('.').and_then(parse_share) {
                Some(permits) => Self::Permits(permits),
                None => return Self::Exclusive,
            },
        };
        // A hold by hand has no lease, so it has no name of a lease either.
        let is_own = !lease.is_none() && carrier == lease.to_string();
        if is_own { mode } else { Self::Exclusive }
    }
}

/// Parses both numbers, each in the one form that is written.
fn parse_share((weight, of): (&str, &str)) -> Option<LockPermits> {
    let number = |text: &str| {
        let number: u32 = text.parse().ok()?;
        (number.to_string() == text).then_some(number)
    };
    LockPermits::new(number(weight)?, number(of)?).ok()
}

impl fmt::Display for LockMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exclusive => f.pad("exclusive"),
            Self::Shared => f.pad("shared"),
            Self::Permits(LockPermits { weight, of }) => f.pad(&format!("permits {weight}/{of}")),
        }
    }
}

impl FromStr for LockMode {
    type Err = LockModeError;

    fn from_str(text: &str) -> Result<Self, LockModeError> {
        match text {
            "exclusive" => Ok(Self::Exclusive),
            "shared" => Ok(Self::Shared),
            _ => text
                .strip_prefix("permits ")
                .and_then(|share| share.split_once('/'))
                .and_then(parse_share)
                .map(Self::Permits)
                .ok_or_else(|| LockModeError::Unreadable(text.to_owned())),
        }
    }
}

impl TryFrom<String> for LockMode {
    type Error = LockModeError;

    fn try_from(text: String) -> Result<Self, LockModeError> {
        text.parse()
    }
}

impl From<LockMode> for String {
    fn from(mode: LockMode) -> Self {
        mode.to_string()
    }
}

/// Error building a [`LockMode`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LockModeError {
    /// No permit was requested.
    NoPermits,
    /// More permits were requested than the lock has.
    TooManyPermits {
        /// The permits requested.
        weight: u32,
        /// The permits of the lock.
        of: u32,
    },
    /// The text is not one of a mode.
    Unreadable(String),
}

impl fmt::Display for LockModeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoPermits => f.write_str("0 permits were requested; the least is 1"),
            Self::TooManyPermits { weight, of } => write!(
                f,
                "{weight} permits of {of} can never be granted; the most is {of}"
            ),
            Self::Unreadable(text) => write!(
                f,
                "{text:?} is not a lock mode: use exclusive, shared or, for 2 of 5 permits, \"permits 2/5\""
            ),
        }
    }
}

impl std::error::Error for LockModeError {}

#[cfg(test)]
mod tests {
    use super::*;

    const LEASE: LeaseId = LeaseId::new(0x694d);

    fn permits(weight: u32, of: u32) -> LockMode {
        LockMode::permits(weight, of).unwrap()
    }

    #[test]
    fn every_mode_is_read_back_from_its_name_and_its_text() {
        let modes = [
            (LockMode::Exclusive, "694d", "exclusive"),
            (LockMode::Shared, "694d-r", "shared"),
            (permits(2, 5), "694d-p2.5", "permits 2/5"),
            (
                permits(u32::MAX, u32::MAX),
                "694d-p4294967295.4294967295",
                "permits 4294967295/4294967295",
            ),
        ];
        for (mode, name, text) in modes {
            assert_eq!(mode.entry_name(LEASE), name);
            assert_eq!(LockMode::of_entry(name, LEASE), mode);
            assert_eq!(mode.to_string(), text);
            assert_eq!(text.parse(), Ok(mode));
        }
        assert_eq!(LockMode::of_key("/l/a-r/694d-r", LEASE), LockMode::Shared);
        assert_eq!(
            LockMode::of_key("/l/694d-r/694d", LEASE),
            LockMode::Exclusive
        );
        let negative = LeaseId::new(-2);
        let name = LockMode::Shared.entry_name(negative);
        assert_eq!(name, "fffffffffffffffe-r");
        assert_eq!(LockMode::of_entry(&name, negative), LockMode::Shared);
    }

    /// Fails on the mutant "a suffix is believed whatever its lease", see scripts/mutants.
    #[test]
    fn suffix_of_another_lease_or_of_none_is_exclusive() {
        for (name, lease) in [
            ("694d-r", LeaseId::new(0x694e)),
            ("694d-p1.3", LeaseId::new(0x694e)),
            ("694d-r", LeaseId::NONE),
            ("0-r", LeaseId::NONE),
            ("0-p1.3", LeaseId::NONE),
            ("-r", LeaseId::NONE),
        ] {
            assert_eq!(
                LockMode::of_entry(name, lease),
                LockMode::Exclusive,
                "{name}"
            );
        }
    }

    #[test]
    fn name_in_any_other_form_is_exclusive() {
        for name in [
            "694d-",
            "694d-r ",
            "694d-R",
            "694d-r-r",
            "694d-w",
            "0694d-r",
            "694D-r",
            "694d-p",
            "694d-p1",
            "694d-p0.3",
            "694d-p4.3",
            "694d-p01.3",
            "694d-p+1.3",
            "694d-p1.3.",
            "694d-p1.4294967296",
            "694d-p1.0",
            "694d-p-1.3",
            "",
            "hold",
        ] {
            assert_eq!(
                LockMode::of_entry(name, LEASE),
                LockMode::Exclusive,
                "{name}"
            );
        }
    }

    #[test]
    fn share_outside_the_capacity_is_refused_with_the_limit() {
        let messages = [
            LockMode::permits(0, 3),
            LockMode::permits(4, 3),
            LockMode::permits(1, 0),
        ]
        .map(|mode| mode.unwrap_err().to_string());
        assert_eq!(
            messages,
            [
                "0 permits were requested; the least is 1",
                "4 permits of 3 can never be granted; the most is 3",
                "1 permits of 0 can never be granted; the most is 0",
            ]
        );
        for text in [
            "",
            "Shared",
            "permits",
            "permits 1",
            "permits 4/3",
            "permits 01/3",
        ] {
            assert!(text.parse::<LockMode>().is_err(), "{text}");
        }
    }
}
