//! Decisions about a tick that follow from its record. Pure.

use std::time::Duration;

use leasehold_config::wall::UnixMs;
use leasehold_lock::Revision;
use leasehold_records::{TickBefore, TickRecord, TickState};

use super::request::TickRequest;
use crate::job::clocks::{self, ClockReading, LivingHost, SKEW};
use crate::job::lack::RunLack;
use crate::job::machine::TickLook;

/// Decision of a holder of the lock about a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum TickDecision {
    Run { tick: UnixMs, attempt: u32 },
    Over { known: UnixMs, reason: String },
    NotYet { wait: Duration, reason: String },
}

/// Decides by the record, if there is one.
pub(super) fn decide(record: Option<&TickRecord>, request: TickRequest) -> TickDecision {
    let afresh = TickDecision::Run {
        tick: request.newest,
        attempt: 1,
    };
    let Some(record) = record else {
        return afresh;
    };
    let known = record.tick_unix_ms;
    if known > request.newest {
        let reason = describe_ahead(record);
        return TickDecision::Over { known, reason };
    }
    match record.state {
        TickState::Done if known >= request.tick => TickDecision::Over {
            known,
            reason: describe_done(record),
        },
        // Its holder has lost the lock, because this host holds it.
        TickState::Claimed if known >= request.tick => TickDecision::Run {
            tick: known,
            attempt: record.attempt.saturating_add(1),
        },
        // A failed tick is retried only until the next one is due.
        TickState::Retry if known == request.newest => {
            let not_before = record.retry_unix_ms.unwrap_or_default();
            let wait = not_before.since(request.now);
            if wait.is_zero() {
                TickDecision::Run {
                    tick: known,
                    attempt: record.attempt.saturating_add(1),
                }
            } else {
                let reason = describe_wait(record, not_before);
                TickDecision::NotYet { wait, reason }
            }
        }
        TickState::Done | TickState::Claimed | TickState::Retry => afresh,
    }
}

pub(super) fn describe_done(record: &TickRecord) -> String {
    let tick = record.tick_unix_ms;
    format!("the tick of {tick} was already run by {}", record.host)
}

pub(super) fn describe_ahead(record: &TickRecord) -> String {
    let tick = record.tick_unix_ms;
    format!(
        "{} is at the tick of {tick} already, by its clock",
        record.host
    )
}

pub(super) fn describe_wait(record: &TickRecord, not_before: UnixMs) -> String {
    format!(
        "attempt {} at the tick of {} failed on {}; the next one is due at {not_before}",
        record.attempt, record.tick_unix_ms, record.host
    )
}

pub(super) fn is_ahead(moment: UnixMs, now: UnixMs) -> bool {
    moment > now.after(SKEW)
}

/// Returns a lack if the clock of `own` is in doubt. The evidence is the record, the revision of its
/// last change, and the living hosts.
pub(super) fn find_doubt(
    record: Option<(&TickRecord, Revision)>,
    own: &str,
    (now, settling): (UnixMs, Duration),
    living: &[LivingHost],
) -> Option<RunLack> {
    let mut fresh = Vec::new();
    if let Some((record, revision)) = record {
        fresh.push(ClockReading {
            host: &record.host,
            shown: record.clock_unix_ms(),
            revision,
        });
        fresh.extend(record.before.as_ref().map(|before| ClockReading {
            host: &before.host,
            shown: before.clock_unix_ms,
            revision: before.revision,
        }));
    }
    clocks::find_doubt(own, now, settling, &fresh, living)
}

/// Returns the part of a record to be believed at this time. For a tick too far ahead, that is the tick before it.
/// For a clock too far ahead, the time of the next attempt is left out.
pub(super) fn keep_believed(mut record: TickRecord, now: UnixMs) -> Option<TickRecord> {
    if is_ahead(record.clock_unix_ms(), now) {
        record.retry_unix_ms = None;
    }
    if !is_ahead(record.tick_unix_ms, now) {
        return Some(record);
    }
    let before = record.before.take()?;
    (!is_ahead(before.tick_unix_ms, now)).then_some(TickRecord {
        host: before.host,
        tick_unix_ms: before.tick_unix_ms,
        state: before.state,
        attempt: before.attempt,
        retry_unix_ms: None,
        ..record
    })
}

/// Returns the latest tick of another host than `own`, to be kept in the record that replaces this one.
pub(super) fn previous_tick(
    record: &TickRecord,
    revision: Revision,
    own: &str,
) -> Option<TickBefore> {
    if record.host == own {
        return record.before.clone();
    }
    Some(TickBefore {
        host: record.host.clone(),
        tick_unix_ms: record.tick_unix_ms,
        state: record.state,
        attempt: record.attempt,
        clock_unix_ms: record.clock_unix_ms(),
        revision,
    })
}

/// Returns the state of a tick for a host without the lock.
pub(super) fn look_at(record: &TickRecord, tick: UnixMs) -> TickLook {
    let known = record.tick_unix_ms;
    match record.state {
        _ if known < tick => TickLook::Open,
        TickState::Done if known == tick => TickLook::Over {
            known,
            reason: describe_done(record),
        },
        _ if known > tick => TickLook::Over {
            known,
            reason: describe_ahead(record),
        },
        _ => TickLook::Begun,
    }
}
