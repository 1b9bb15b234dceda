//! What the end of a run means: for the job, for people, and in its record.

use std::time::Duration;

use leasehold_lock::{EndReason, Grant};
use leasehold_records::RunRecord;

use super::bench::Bench;
use super::machine::{Lack, Verdict};
use crate::config::Job;
use crate::runtime::{RunEnd, RunReport};

/// How long to ask the store why a lock was lost.
const EXPLAIN_PATIENCE: Duration = Duration::from_secs(1);
/// Bytes of output kept in a run's record; the rest is in the log.
const RECORD_OUTPUT: usize = 16 * 1024;

/// What the job does next.
pub(super) fn verdict(end: &RunEnd, job: &Job) -> Verdict {
    match verdict_of(end) {
        Verdict::Failed(reason) => Verdict::Failed(job.at_home(&reason)),
        Verdict::Lacks(Lack::Other(reason)) => Verdict::Lacks(Lack::Other(job.at_home(&reason))),
        verdict => verdict,
    }
}

/// What people read of it; of a lost lock, what the store knows.
pub(super) async fn detail_of(bench: &Bench, grant: &Grant, end: &RunEnd) -> String {
    match end {
        RunEnd::Lost(reason) => explain(bench, grant, reason).await,
        end => bench.job.at_home(&detail(end)),
    }
}

/// Fills in what a run under way cannot know.
pub(super) fn fill(record: &mut RunRecord, report: &RunReport) {
    let (output, cut) = last_bytes(&report.output, RECORD_OUTPUT);
    record.outcome = outcome(&report.end);
    record.calls_admitted = report.admitted;
    record.calls_refused = report.refused;
    record.peak_memory_bytes = report.peak_memory_bytes;
    output.clone_into(&mut record.output);
    record.output_truncated_bytes = report.output_truncated_bytes + cut;
}

/// Says who or what took the lock away, as far as the store can tell.
async fn explain(bench: &Bench, grant: &Grant, reason: &EndReason) -> String {
    let entry = format!("entry {} of {}", grant.key(), bench.host);
    let asked = tokio::time::timeout(EXPLAIN_PATIENCE, bench.locks.lease_ttl(grant.lease())).await;
    let lease = match asked {
        Ok(Ok(Some(_))) => "its lease lives on, so somebody removed the entry by hand",
        Ok(Ok(None)) => "its lease is gone: revoked by somebody, or expired",
        Ok(Err(_)) | Err(_) => "the store could not be asked why",
    };
    match reason {
        EndReason::Removed { .. } | EndReason::Replaced { .. } | EndReason::TokenStale => {
            format!("{reason}: {entry}; {lease}")
        }
        _ => format!("{reason}: {entry}"),
    }
}

fn verdict_of(end: &RunEnd) -> Verdict {
    match end {
        RunEnd::Done(_) | RunEnd::Exit(0) => Verdict::Done,
        RunEnd::Again(pause) => Verdict::Again(*pause),
        RunEnd::Fatal(reason) => Verdict::Fatal(reason.clone()),
        RunEnd::Lost(_) => Verdict::Lost,
        RunEnd::Stopped => Verdict::Stopped,
        RunEnd::Unstarted(reason) => Verdict::Lacks(Lack::Other(reason.clone())),
        RunEnd::Retry(_)
        | RunEnd::Exit(_)
        | RunEnd::Trap { .. }
        | RunEnd::Limit { .. }
        | RunEnd::TimedOut => Verdict::Failed(detail(end)),
    }
}

fn detail(end: &RunEnd) -> String {
    match end {
        RunEnd::Done(None) | RunEnd::Stopped => String::new(),
        RunEnd::Done(Some(text))
        | RunEnd::Retry(text)
        | RunEnd::Fatal(text)
        | RunEnd::Unstarted(text) => text.clone(),
        RunEnd::Again(pause) => format!("again in {}", humantime::format_duration(*pause)),
        RunEnd::Exit(code) => format!("exit code {code}"),
        RunEnd::Trap { message, .. } | RunEnd::Limit { message, .. } => message.clone(),
        RunEnd::Lost(reason) => reason.to_string(),
        RunEnd::TimedOut => "it ran longer than its timeout".into(),
    }
}

pub(crate) const fn outcome(end: &RunEnd) -> leasehold_records::Outcome {
    use leasehold_records::Outcome as Word;
    match end {
        RunEnd::Done(_) | RunEnd::Exit(0) => Word::Done,
        RunEnd::Again(_) => Word::Again,
        RunEnd::Retry(_) | RunEnd::Unstarted(_) => Word::Retry,
        RunEnd::Fatal(_) => Word::Fatal,
        RunEnd::Exit(_) => Word::Exit,
        RunEnd::Trap { .. } => Word::Trap,
        RunEnd::Limit { .. } => Word::Limit,
        RunEnd::Lost(_) => Word::Lost,
        RunEnd::TimedOut => Word::Timeout,
        RunEnd::Stopped => Word::Stopped,
    }
}

/// The end of `text`, at most `most` bytes, and how many bytes were cut.
fn last_bytes(text: &str, most: usize) -> (&str, u64) {
    let mut cut = text.len().saturating_sub(most);
    while !text.is_char_boundary(cut) {
        cut += 1;
    }
    (&text[cut..], cut as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn output_in_a_record_is_cut_between_characters() {
        assert_eq!(last_bytes("abc", 9), ("abc", 0));
        assert_eq!(last_bytes("äöü", 3), ("ü", 4));
    }
}
