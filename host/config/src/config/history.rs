//! `history`: the bounds on the records of a job's runs.

use std::time::Duration;

use super::node::Node;
use super::read::{self, LONGEST};
use super::schema;
use super::section::{Field, Section};

/// Default number of records.
const DEFAULT_RUNS: u64 = 100;
/// Largest number of records. Their bytes are bounded too.
const MOST_RUNS: u64 = 10_000;
/// Shortest age: a shorter one would delete a run before an operator has read about it.
const LEAST_AGE: Duration = Duration::from_mins(1);

/// Bounds on the records of a job's runs: the stricter one counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JobHistory {
    runs: u64,
    age: Option<Duration>,
}

impl JobHistory {
    /// Number of records that are kept, from 1 to 10,000. Default 100.
    pub const fn runs(&self) -> u64 {
        self.runs
    }

    /// Age from which a run that has ended is deleted, at least a minute. `None`, the default, is no bound.
    pub const fn age(&self) -> Option<Duration> {
        self.age
    }
}

impl Default for JobHistory {
    fn default() -> Self {
        Self {
            runs: DEFAULT_RUNS,
            age: None,
        }
    }
}

/// Keys of `history` in one table.
#[derive(Clone, Debug)]
pub(super) struct RawHistory {
    pub(super) runs: Field<u64>,
    pub(super) age: Field<Option<Duration>>,
}

impl RawHistory {
    /// Reads `history` of the table.
    pub(super) fn read(section: &Section<'_>) -> Self {
        let history = section.table("history", section.inner("history"), schema::HISTORY);
        let age = |node: &Node<'_>| read::duration(node, LEAST_AGE, LONGEST).map(Some);
        Self {
            runs: history.take("runs", |node| read::integer(node, 1, MOST_RUNS)),
            age: history.take("age", age),
        }
    }

    /// Takes each key that is absent here from `fallback`.
    pub(super) fn or(self, fallback: &Self) -> Self {
        Self {
            runs: self.runs.or(&fallback.runs),
            age: self.age.or(&fallback.age),
        }
    }

    /// Returns the bounds; `None` if one is invalid.
    pub(super) fn settle(self) -> Option<JobHistory> {
        let runs = self.runs.or_default(DEFAULT_RUNS);
        let age = self.age.or_default(None);
        Some(JobHistory {
            runs: runs?,
            age: age?,
        })
    }
}
