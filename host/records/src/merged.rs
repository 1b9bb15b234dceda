//! Runs of one job that share a record, because they came too fast for one each.

use serde::{Deserialize, Serialize};

use crate::record::RunRecord;

/// Runs with the same outcome, one after the other on one host. Their record is of the last of them, but for its
/// host calls, which are counted together, and its memory, which is the most that any of them had.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MergedRuns {
    /// How many there are, the last among them.
    pub runs: u64,
    /// The fencing token of the first.
    pub first_token: u64,
    /// Which run under that token the first was.
    #[serde(default)]
    pub first_sequence: u32,
    /// When the first started.
    pub first_started_unix_ms: u64,
}

impl MergedRuns {
    const fn of(first: &RunRecord) -> Self {
        Self {
            runs: 1,
            first_token: first.token,
            first_sequence: first.sequence,
            first_started_unix_ms: first.started_unix_ms,
        }
    }
}

impl RunRecord {
    /// The number of runs that the record is of.
    pub fn runs(&self) -> u64 {
        self.merged.map_or(1, |merged| merged.runs)
    }

    /// True if the record can be one with an earlier one: nothing that a person needs to see apart differs.
    pub fn continues(&self, earlier: &Self) -> bool {
        (&self.job, &self.host, &self.lock, &self.plugin_sha256)
            == (
                &earlier.job,
                &earlier.host,
                &earlier.lock,
                &earlier.plugin_sha256,
            )
            && self.outcome == earlier.outcome
    }

    /// Takes the place of an earlier record, whose runs it counts as well.
    #[must_use]
    pub fn after(self, earlier: &Self) -> Self {
        let before = earlier.merged.unwrap_or(MergedRuns::of(earlier));
        let merged = MergedRuns {
            runs: before.runs.saturating_add(self.runs()),
            ..before
        };
        Self {
            calls_admitted: self.calls_admitted.saturating_add(earlier.calls_admitted),
            calls_refused: self.calls_refused.saturating_add(earlier.calls_refused),
            peak_memory_bytes: self.peak_memory_bytes.max(earlier.peak_memory_bytes),
            merged: Some(merged),
            ..self
        }
    }

    /// True if the record is of the run under this token with this number, alone or among others.
    pub fn covers(&self, token: u64, sequence: u32) -> bool {
        let last = (self.token, self.sequence);
        let first = self
            .merged
            .map_or(last, |merged| (merged.first_token, merged.first_sequence));
        (first..=last).contains(&(token, sequence))
    }
}
