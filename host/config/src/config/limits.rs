//! Reader of `limits`, in any table that has them.
//!
//! Keys, defaults and bounds are in the table of `crate::limits`.

use std::fmt;
use std::time::Duration;

use toml::Spanned;

use super::node::Node;
use super::read;
use super::schema;
use super::section::{Field, Section};
use crate::limits::{LimitAmount, LimitKey, LimitUnit, Limits};

/// Limits that one table sets, in the order of their keys.
#[derive(Clone, Debug)]
pub(super) struct RawLimits([Field<LimitAmount>; LimitKey::COUNT]);

impl RawLimits {
    /// Reads `limits` of the table.
    pub(super) fn read(section: &Section<'_>) -> Self {
        let table = section.table("limits", section.inner("limits"), schema::LIMITS);
        Self(LimitKey::ALL.map(|key| table.take(key.as_str(), |node| amount(node, key))))
    }

    /// Value of one limit.
    pub(super) const fn field(&self, key: LimitKey) -> &Field<LimitAmount> {
        &self.0[key as usize]
    }

    /// Takes each limit that is absent here from `fallback`.
    pub(super) fn or(&self, fallback: &Self) -> Self {
        Self(LimitKey::ALL.map(|key| self.field(key).clone().or(fallback.field(key))))
    }

    /// Returns each limit that is set, with its position.
    pub(super) fn set(&self) -> impl Iterator<Item = (LimitKey, &Spanned<LimitAmount>)> {
        LimitKey::ALL
            .into_iter()
            .filter_map(|key| match self.field(key) {
                Field::Value(amount) => Some((key, amount)),
                Field::Absent | Field::Invalid => None,
            })
    }

    /// Returns the limits, with those of `fallback` for absent keys; `None` if any value is invalid.
    pub(super) fn validate(&self, fallback: &Limits) -> Option<Limits> {
        let mut limits = fallback.clone();
        for key in LimitKey::ALL {
            let amount = self.field(key).clone().or_default(fallback.amount(key))?;
            limits.set(key, amount.number);
        }
        Some(limits)
    }
}

/// Reads the value of one limit, within its bounds.
fn amount(node: &Node<'_>, key: LimitKey) -> Option<LimitAmount> {
    let (least, most) = key.bounds();
    let (least, most) = (least.number, most.number);
    let unit = key.unit();
    let number = match unit {
        LimitUnit::Bytes => read::size(node, least, most),
        LimitUnit::Count => read::integer(node, least, most),
        LimitUnit::Time => {
            let (least, most) = (Duration::from_nanos(least), Duration::from_nanos(most));
            let time = read::duration(node, least, most)?;
            u64::try_from(time.as_nanos()).ok()
        }
    };
    Some(LimitAmount {
        unit,
        number: number?,
    })
}

impl fmt::Display for LimitAmount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.unit {
            LimitUnit::Bytes => write!(f, "\"{}\"", read::format_size(self.number)),
            LimitUnit::Count => write!(f, "{}", self.number),
            LimitUnit::Time => {
                let time = Duration::from_nanos(self.number);
                write!(f, "\"{}\"", read::format_duration(time))
            }
        }
    }
}
