//! Operators' decisions that keep runs from starting, as reasons.

use super::reason::ReasonKind;
use super::store_facts::StoreFacts;
use crate::control::{HoldKind, HoldMark};
use crate::job::JobRecord;
use crate::unix_ms::UnixMs;

/// Returns the pause of the job, or of all jobs, that is in force.
pub(super) fn pause_of(facts: &StoreFacts, job: &str, now: UnixMs) -> Option<ReasonKind> {
    let own = facts.pauses.get(job);
    let own = own.map(|mark| (HoldKind::Paused, mark));
    let of_all = facts.pause_of_all.as_ref();
    let of_all = of_all.map(|mark| (HoldKind::AllPaused, mark));
    let mut pauses = [of_all, own].into_iter().flatten();
    let (kind, mark) = pauses.find(|(_, mark)| mark.is_in_force(now))?;
    Some(reason_of(kind, mark))
}

/// Returns the decisions that hold the job back on one host: the drain of that host, and everything else that the
/// host has recorded. A `pause` that holds on all hosts is left out.
pub(super) fn holds_on(
    facts: &StoreFacts,
    record: &JobRecord,
    pause: Option<&ReasonKind>,
    now: UnixMs,
) -> Vec<ReasonKind> {
    let drain = facts.drains.get(&record.host);
    let drain = drain.map(|mark| (HoldKind::Drained, mark));
    let recorded = record.holds.iter().map(|hold| (hold.kind, &hold.mark));
    let mut reasons: Vec<ReasonKind> = Vec::new();
    for (kind, mark) in drain.into_iter().chain(recorded) {
        let is_shown = kind != HoldKind::Drained && pause.is_some();
        let reason = reason_of(kind, mark);
        if mark.is_in_force(now) && !is_shown && !reasons.contains(&reason) {
            reasons.push(reason);
        }
    }
    reasons
}

fn reason_of(kind: HoldKind, mark: &HoldMark) -> ReasonKind {
    let (by, why) = (mark.by.clone(), mark.why.clone());
    let since_unix_ms = mark.at_unix_ms;
    match kind {
        HoldKind::Paused | HoldKind::AllPaused => ReasonKind::Paused {
            all: kind == HoldKind::AllPaused,
            by,
            why,
            since_unix_ms,
            until_unix_ms: mark.until_unix_ms,
        },
        HoldKind::Drained => ReasonKind::Drained {
            by,
            why,
            since_unix_ms,
        },
    }
}
