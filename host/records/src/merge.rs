//! Runs of one job that share a record, because they were too fast for one each.

use leasehold_ids::Token;

use crate::run::{MergedRuns, RunRecord};

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
            && self.manual.is_none()
            && earlier.manual.is_none()
    }

    /// Returns the record that replaces an earlier one, and counts its runs as well.
    #[must_use]
    pub fn after(self, earlier: &Self) -> Self {
        let before = earlier.merged.unwrap_or(MergedRuns {
            runs: 1,
            first_token: earlier.token,
            first_sequence: earlier.sequence,
            first_started_unix_ms: earlier.started_unix_ms,
        });
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
    pub fn covers(&self, token: Token, sequence: u32) -> bool {
        let last = (self.token, self.sequence);
        let first = self
            .merged
            .map_or(last, |merged| (merged.first_token, merged.first_sequence));
        (first..=last).contains(&(token, sequence))
    }
}
