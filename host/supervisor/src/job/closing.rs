//! Effects of the end of a run: the verdict for the job, the text for people, the record.

use std::time::Duration;

use leasehold_lock::{EndReason, Grant, LockEntry, Tenure};
use leasehold_records::RunRecord;

use super::context::JobContext;
use super::halt::HaltRequest;
use super::lack::RunLack;
use super::machine::RunVerdict;
use leasehold_runtime::{RunEnd, RunReport};

/// Time limit for reading from the store why a lock was lost.
const EXPLAIN_PATIENCE: Duration = Duration::from_secs(1);

/// Returns the request that ended the run; `None` for an end of its own. A guest that finishes its work in its grace
/// time has finished it, unless it is one that keeps running.
pub(super) fn find_halt(
    end: &RunEnd,
    halt: Option<HaltRequest>,
    keeps_running: bool,
) -> Option<HaltRequest> {
    let is_halted = match end {
        RunEnd::Stopped | RunEnd::Again(_) | RunEnd::Retry(_) => true,
        RunEnd::Exit(code) => *code != 0 || keeps_running,
        RunEnd::Done(_) => keeps_running,
        RunEnd::Fatal(_)
        | RunEnd::Lost(_)
        | RunEnd::Unstarted(_)
        | RunEnd::Trap { .. }
        | RunEnd::Limit { .. }
        | RunEnd::TimedOut => false,
    };
    halt.filter(|_| is_halted)
}

/// Returns the effect of the end on the job.
pub(super) fn judge_end(end: &RunEnd) -> RunVerdict {
    match end {
        RunEnd::Done(_) | RunEnd::Exit(0) => RunVerdict::Done,
        RunEnd::Again(pause) => RunVerdict::Again(*pause),
        RunEnd::Fatal(reason) => RunVerdict::Fatal(reason.clone()),
        RunEnd::Lost(_) => RunVerdict::Lost,
        RunEnd::Stopped => RunVerdict::Stopped,
        RunEnd::Unstarted(reason) => RunVerdict::Lacks(RunLack::Other(reason.clone())),
        RunEnd::Retry(_)
        | RunEnd::Exit(_)
        | RunEnd::Trap { .. }
        | RunEnd::Limit { .. }
        | RunEnd::TimedOut => RunVerdict::Failed(describe(end)),
    }
}

/// Returns the end as text for people; for a lost lock, with what the store reports.
pub(super) async fn describe_end(context: &JobContext, grant: &Grant, end: &RunEnd) -> String {
    match end {
        RunEnd::Lost(reason) => explain(context, grant, reason).await,
        end => describe(end),
    }
}

/// Fills in the fields that are known only after the run.
///
/// The record keeps `kept` bytes of output; `kept_in` is the directory with all of it, if the host keeps it.
pub(super) fn fill(record: &mut RunRecord, report: &RunReport, kept: u64, kept_in: Option<String>) {
    let kept = usize::try_from(kept).unwrap_or(usize::MAX);
    let (output, cut) = last_bytes(&report.output, kept);
    // The runtime's note about what it cut is not output itself.
    let note = match report.output_truncated_bytes {
        0 => 0,
        _ => report.output.find('\n').map_or(0, |end| end as u64 + 1),
    };
    let cut = cut.saturating_sub(note);
    record.outcome = outcome(&report.end);
    record.calls_admitted = report.admitted;
    record.calls_refused = report.refused;
    record.peak_memory_bytes = report.peak_memory_bytes;
    output.clone_into(&mut record.output);
    record.output_truncated_bytes = report.output_truncated_bytes + cut;
    if record.output_truncated_bytes > 0 {
        record.output_kept_in = kept_in.unwrap_or_default();
    }
}

/// Returns the loss as it is logged at once, before the store is queried about it.
pub(super) fn describe_loss(tenure: &Tenure, reason: &EndReason) -> String {
    match find_cause(tenure, reason, LeaseState::Unknown) {
        Some(cause) if *reason == EndReason::LeaseEnded => format!("{reason}; {cause}"),
        _ => reason.to_string(),
    }
}

/// State of the lease of a lost lock in the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum LeaseState {
    Lives,
    Ended,
    Unknown,
}

/// Describes the cause of the loss, as far as the store reports it.
async fn explain(context: &JobContext, grant: &Grant, reason: &EndReason) -> String {
    // The reason does not show which entry of several it was.
    let keys: Vec<&str> = grant.entries().iter().map(LockEntry::key).collect();
    let entry = match keys.as_slice() {
        [key] => format!("entry {key} of {}", context.host),
        keys => format!("one of the entries {} of {}", keys.join(", "), context.host),
    };
    let reply =
        tokio::time::timeout(EXPLAIN_PATIENCE, context.locks.lease_ttl(grant.lease())).await;
    let lease = match reply {
        Ok(Ok(Some(_))) => LeaseState::Lives,
        Ok(Ok(None)) => LeaseState::Ended,
        Ok(Err(_)) | Err(_) => LeaseState::Unknown,
    };
    match find_cause(grant.tenure(), reason, lease) {
        Some(cause) => format!("{reason}: {entry}; {cause}"),
        None => format!("{reason}: {entry}"),
    }
}

/// Returns the cause of a loss, if it lies in the store.
fn find_cause(tenure: &Tenure, reason: &EndReason, lease: LeaseState) -> Option<String> {
    let is_gone = match reason {
        EndReason::LeaseEnded => true,
        EndReason::Removed { .. } | EndReason::Replaced { .. } | EndReason::TokenStale => {
            lease == LeaseState::Ended
        }
        EndReason::Released
        | EndReason::DeadlinePassed
        | EndReason::Unverified
        | EndReason::StoreChanged { .. } => return None,
    };
    if is_gone && let Some(renewed) = describe_renewal(tenure) {
        return Some(format!(
            "the server ended its lease although it was {renewed}: an operator revoked it, the store was restored \
             from an older copy, or a leader of etcd that had been paused did (etcd issue 15247, mended in 3.4.31, \
             3.5.13 and 3.6.0)"
        ));
    }
    let known = match lease {
        LeaseState::Lives => "its lease is still valid, so the entry was deleted by hand",
        LeaseState::Ended => "its lease has ended: revoked by an operator, or expired",
        LeaseState::Unknown => "the store did not report the state of its lease",
    };
    (*reason != EndReason::LeaseEnded).then(|| known.to_owned())
}

/// Describes the last confirmation of a lease that had time left when the tenure ended.
fn describe_renewal(tenure: &Tenure) -> Option<String> {
    let ended = tenure.ended_at()?;
    if ended >= tenure.last_deadline() {
        return None;
    }
    let left = tenure.last_deadline().since(ended);
    let left = format!("{}.{} s", left.as_secs(), left.subsec_millis() / 100);
    Some(match tenure.last_renewal() {
        Some(renewed) => {
            let ago = ended.since(renewed);
            format!(
                "renewed {}.{} s before and had {left} left",
                ago.as_secs(),
                ago.subsec_millis() / 100
            )
        }
        None => format!("granted with {left} left"),
    })
}

fn describe(end: &RunEnd) -> String {
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
    use leasehold_records::Outcome;
    match end {
        RunEnd::Done(_) | RunEnd::Exit(0) => Outcome::Done,
        RunEnd::Again(_) => Outcome::Again,
        RunEnd::Retry(_) | RunEnd::Unstarted(_) => Outcome::Retry,
        RunEnd::Fatal(_) => Outcome::Fatal,
        RunEnd::Exit(_) => Outcome::Exit,
        RunEnd::Trap { .. } => Outcome::Trap,
        RunEnd::Limit { .. } => Outcome::Limit,
        RunEnd::Lost(_) => Outcome::Lost,
        RunEnd::TimedOut => Outcome::Timeout,
        RunEnd::Stopped => Outcome::Stopped,
    }
}

/// Returns the end of `text`, at most `most` bytes, and the number of bytes cut. A line that was cut at its beginning
/// is left out, unless it is the last one.
fn last_bytes(text: &str, most: usize) -> (&str, u64) {
    let mut cut = text.len().saturating_sub(most);
    while !text.is_char_boundary(cut) {
        cut += 1;
    }
    if cut > 0 && !text[..cut].ends_with('\n') {
        let line_end = text[cut..]
            .find('\n')
            .map_or(text.len(), |end| cut + end + 1);
        if line_end < text.len() {
            cut = line_end;
        }
    }
    (&text[cut..], cut as u64)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use leasehold_lock::{BootTime, Clock as _, ManualClock};

    use super::*;

    /// A tenure with ten seconds left that ends for this reason after so many seconds.
    fn ended(reason: &EndReason, after: u64) -> Tenure {
        let clock = Arc::new(ManualClock::at(BootTime::from_nanos(1_000)));
        let deadline = clock.now().after(Duration::from_secs(10));
        let tenure = Tenure::detached(clock.clone(), deadline);
        clock.advance(Duration::from_secs(after));
        tenure.end(reason.clone());
        tenure
    }

    /// Fails when a loss that the server caused reads like a missed renewal.
    #[test]
    fn lease_ended_early_is_reported_as_ended_by_the_server() {
        let removed = EndReason::Removed {
            revision: leasehold_lock::Revision::new(9),
        };
        for (reason, lease) in [
            (&EndReason::LeaseEnded, LeaseState::Unknown),
            (&removed, LeaseState::Ended),
        ] {
            let text = find_cause(&ended(reason, 4), reason, lease).unwrap();
            insta::allow_duplicates!(insta::assert_snapshot!(
                text,
                @"the server ended its lease although it was granted with 6.0 s left: an operator revoked it, the store was restored from an older copy, or a leader of etcd that had been paused did (etcd issue 15247, mended in 3.4.31, 3.5.13 and 3.6.0)"
            ));
        }
        let logged = describe_loss(&ended(&EndReason::LeaseEnded, 4), &EndReason::LeaseEnded);
        assert!(logged.contains("15247"), "{logged}");
        assert_eq!(
            describe_loss(&ended(&removed, 4), &removed),
            removed.to_string()
        );
        let late = ended(&EndReason::LeaseEnded, 11);
        assert_eq!(
            find_cause(&late, &EndReason::LeaseEnded, LeaseState::Ended),
            None
        );
        let by_hand = find_cause(&ended(&removed, 4), &removed, LeaseState::Lives).unwrap();
        assert!(by_hand.contains("by hand"), "{by_hand}");
    }

    #[test]
    fn end_after_a_request_is_that_of_the_request_or_its_own() {
        let halt = HaltRequest {
            kind: leasehold_records::StopKind::Stop,
            by: "ann@vm".into(),
            why: String::new(),
        };
        for (end, once, keeps_running) in [
            (RunEnd::Stopped, true, true),
            (RunEnd::Exit(143), true, true),
            (RunEnd::Exit(0), false, true),
            (RunEnd::Done(None), false, true),
            (RunEnd::Again(Duration::ZERO), true, true),
            (RunEnd::Fatal("no".into()), false, false),
            (RunEnd::TimedOut, false, false),
        ] {
            let is_halted = |keeps| find_halt(&end, Some(halt.clone()), keeps).is_some();
            assert_eq!(
                (is_halted(false), is_halted(true)),
                (once, keeps_running),
                "{end:?}"
            );
            assert_eq!(find_halt(&end, None, true), None);
        }
    }

    #[test]
    fn output_in_a_record_is_cut_between_characters() {
        assert_eq!(last_bytes("abc", 9), ("abc", 0));
        assert_eq!(last_bytes("äöü", 3), ("ü", 4));
        assert_eq!(last_bytes("one\ntwo\nend\n", 10), ("two\nend\n", 4));
        assert_eq!(last_bytes("one\ntwo\nend\n", 8), ("two\nend\n", 4));
        assert_eq!(last_bytes("one line\n", 5), ("line\n", 4));
    }

    /// Fails when the note about cut output counts as output: readers find missing lines by these positions.
    #[test]
    fn cut_output_counts_the_bytes_of_the_guest_alone() {
        let mut report = RunReport::of_nothing(
            RunEnd::Stopped,
            BootTime::from_nanos(0),
            BootTime::from_nanos(0),
        );
        report.output = "[13 bytes of earlier output left out]\nabc\ndef\n".into();
        report.output_truncated_bytes = 13;
        for (kept, first, position) in [(1_000, "abc", 13), (4, "def", 17)] {
            let mut record = crate::record_writer::sample(7);
            fill(&mut record, &report, kept, None);
            let lines: Vec<_> = record.output_lines().collect();
            assert_eq!(lines[0], (position, first));
        }
    }
}
