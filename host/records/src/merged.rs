//! Runs of one job that share a record, because they were too fast for one each.

use serde::{Deserialize, Serialize};

use crate::record::RunRecord;

/// Runs with the same outcome, one after the other on one host. Their record is that of the last of them, with two
/// exceptions: its host calls are the sum over all runs, and its memory is the maximum.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MergedRuns {
    /// The number of runs, the last included.
    pub runs: u64,
    /// The fencing token of the first.
    pub first_token: u64,
    /// The number of the first run under that token.
    #[serde(default)]
    pub first_sequence: u32,
    /// The time when the first started.
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
    /// Returns the number of runs that share the record.
    pub fn runs(&self) -> u64 {
        self.merged.map_or(1, |merged| merged.runs)
    }

    /// Returns true if the record can be merged with an earlier one: they differ in nothing that a reader needs to
    /// see.
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

    /// Returns the record that replaces an earlier one, and counts its runs as well.
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

    /// Returns true if the record covers the run with this token and number, alone or among others.
    pub fn covers(&self, token: u64, sequence: u32) -> bool {
        let last = (self.token, self.sequence);
        let first = self
            .merged
            .map_or(last, |merged| (merged.first_token, merged.first_sequence));
        (first..=last).contains(&(token, sequence))
    }
}
