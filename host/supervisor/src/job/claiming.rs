//! Work for ticks: looking, claiming, marking. The decisions are in `tick`; this file reads and writes the store
//! and logs the result.

use std::sync::Arc;
use std::time::Duration;

use leasehold_lock::{EndReason, Grant};
use leasehold_records::{Outcome, RunRecord, TickRecord};

use super::clocks;
use super::context::JobContext;
use super::held_lock::HeldLock;
use super::machine::{TickClaim, TickLook, TickMark};
use super::task::TaskResult;
use super::tick::{
    self, ClaimedBefore, EndedTick, HeldTicks, ReplacedRecord, StoredTicks, TickClaimant,
    TickRequest,
};
use crate::event::{DisbelievedTick, EventKind, MissedTicks};
use crate::record_writer::text;
use crate::shutdown::cut_short;
use leasehold_config::Schedule;
use leasehold_config::wall::UnixMs;

/// Pause between two attempts to mark a tick, while the lock is held.
const MARK_PAUSE: Duration = Duration::from_millis(200);

/// Reads the state of a tick, without the lock.
pub(crate) async fn look(context: Arc<JobContext>, tick: UnixMs) -> TaskResult {
    let store = read_ticks(&context);
    let request = request_tick(&context, tick, tick);
    let look = tokio::select! {
        () = context.cancel.cancelled() => TickLook::Open,
        look = tick::look(&store, &context.host, request) => look,
    };
    TaskResult::Looked(look)
}

/// Claims a tick under the lock.
pub(crate) async fn claim(
    context: Arc<JobContext>,
    held: HeldLock,
    (tick, newest): (UnixMs, UnixMs),
) -> TaskResult {
    if let Some(lack) = context.control.lack(&context.name) {
        let claim = TickClaim::Lacks(lack);
        return TaskResult::Claimed { grant: held, claim };
    }
    let grant = &held.grant;
    let claimant = TickClaimant {
        job: text(&context.name),
        host: text(&context.host),
        exclusive_locks: exclusive_names(grant),
        lock_key: grant.key().to_owned(),
        token: grant.token(),
        run_id: context.run_id(grant.token(), held.sequence),
        schedule: match context.job.schedule() {
            Schedule::Ticks(ticks) => ticks.beat().to_string(),
            Schedule::KeepRunning | Schedule::Once => String::new(),
        },
    };
    let request = request_tick(&context, tick, newest);
    let store = hold_ticks(&context, grant);
    let (claim, over) = tokio::select! {
        biased;
        claimed = tick::claim(&store, &claimant, request) => claimed,
        _ = grant.tenure().ended() => (TickClaim::Lost, ReplacedRecord::default()),
        () = cut_short(&context.stop.abort) => (TickClaim::Lost, ReplacedRecord::default()),
    };
    if let Some(cut_off) = over.cut_off {
        context
            .record_writer
            .run_cut_off(record_of_cut_off(&context, cut_off));
    }
    if let (TickClaim::Ours { tick, .. }, Some(before)) = (&claim, &over.before) {
        log_passed(&context, grant, before, *tick);
    }
    if let Some(overruled) = over.overruled {
        let disbelieved = EventKind::TickDisbelieved(DisbelievedTick {
            tick: overruled.tick.to_string(),
            by: overruled.host,
            its_clock: overruled.shown.to_string(),
            our_clock: request.now.to_string(),
        });
        let about = context.event_context_for(grant.token());
        context.event_log.emit(about, disbelieved);
    }
    if claim == TickClaim::Lost && !context.stop.abort.is_cancelled() {
        // If the store refused the claim, its answer came before the watch's event.
        grant.tenure().end(EndReason::TokenStale);
        let end = grant.tenure().end_reason().unwrap_or(EndReason::TokenStale);
        let lost = EventKind::LockLost {
            reason: end.to_string(),
            cause: end.as_str(),
        };
        let about = context.event_context_for(grant.token());
        context.event_log.emit(about, lost);
    }
    TaskResult::Claimed { grant: held, claim }
}

/// Returns the full names of the locks that the grant holds exclusively.
fn exclusive_names(grant: &Grant) -> Vec<String> {
    let entries = grant.entries().iter();
    let exclusive = entries.filter(|entry| entry.mode().is_exclusive());
    exclusive.map(|entry| entry.name().to_owned()).collect()
}

/// Logs the ticks before the claimed one that no host has begun.
fn log_passed(context: &JobContext, grant: &Grant, before: &ClaimedBefore, claimed: UnixMs) {
    let Schedule::Ticks(ticks) = context.job.schedule() else {
        return;
    };
    let held_until = context.control.held_until(&context.name);
    if let Some(passed) = tick::find_passed(ticks.beat(), before, claimed, held_until) {
        let missed = EventKind::TicksMissed(MissedTicks {
            first: passed.first.to_string(),
            last: passed.last.to_string(),
            count: passed.count,
        });
        let about = context.event_context_for(grant.token());
        context.event_log.emit(about, missed);
    }
}

/// Returns the record of a run whose host died before it wrote one, as far as the claim of its tick shows.
fn record_of_cut_off(context: &JobContext, claim: TickRecord) -> RunRecord {
    let sequence = claim.run_id.rsplit('-').next();
    RunRecord {
        detail: format!(
            "host {} claimed its tick and recorded nothing after that; it vanished or could not reach the store",
            claim.host
        ),
        job: claim.job,
        host: claim.host,
        lock: text(&context.lock),
        shared: context.job.locks().are_shareable(),
        lock_key: String::new(),
        token: claim.token,
        sequence: sequence.and_then(|text| text.parse().ok()).unwrap_or(0),
        run_id: claim.run_id,
        attempt: claim.attempt,
        tick_unix_ms: Some(claim.tick_unix_ms),
        plugin_sha256: String::new(),
        version: String::new(),
        started_unix_ms: claim.claimed_unix_ms,
        ended_unix_ms: None,
        outcome: Outcome::Abandoned,
        calls_admitted: 0,
        calls_refused: 0,
        peak_memory_bytes: 0,
        output: String::new(),
        output_truncated_bytes: 0,
        output_kept_in: String::new(),
        merged: None,
        manual: None,
    }
}

/// Marks the tick of a run that has ended, and gives the lock back with the same transaction. A failed attempt is
/// repeated until the deadline. A tick that stays unmarked is run again by the next holder.
pub(crate) async fn mark(
    context: Arc<JobContext>,
    held: HeldLock,
    (tick, mark): (UnixMs, TickMark),
    outcome: Outcome,
) -> TaskResult {
    let grant = &held.grant;
    let ended = EndedTick {
        tick,
        token: grant.token(),
        mark,
        outcome,
        now: context.now().wall,
    };
    let is_held = grant.tenure().admits();
    let until = grant.tenure().last_deadline();
    let store = HeldTicks {
        leaves: is_held.then_some(&**grant),
        ..hold_ticks(&context, grant)
    };
    let marked = async {
        loop {
            let is_last = !is_held || context.clock.now() >= until;
            match tick::mark(&store, ended).await {
                Err(unmarked) if unmarked.may_pass && !is_last => {
                    tokio::time::sleep(MARK_PAUSE).await;
                }
                marked => break marked.map_err(|unmarked| unmarked.reason),
            }
        }
    };
    let marked = tokio::select! {
        marked = marked => marked,
        () = cut_short(&context.stop.abort) => Err("the host was stopped at once".into()),
    };
    if let Err(error) = marked {
        let tick = tick.to_string();
        let unmarked = EventKind::TickUnmarked { tick, error };
        context
            .event_log
            .emit(context.event_context_for(grant.token()), unmarked);
    }
    TaskResult::Marked { grant: held }
}

fn request_tick(context: &JobContext, tick: UnixMs, newest: UnixMs) -> TickRequest {
    let now = context.now().wall;
    let settling = match context.job.schedule() {
        Schedule::Ticks(ticks) => clocks::settling_time(ticks.beat(), now),
        Schedule::KeepRunning | Schedule::Once => Duration::ZERO,
    };
    TickRequest {
        tick,
        newest,
        now,
        settling,
        is_dropped: context.job.is_dropped(),
    }
}

fn read_ticks(context: &JobContext) -> StoredTicks {
    StoredTicks {
        kv: context.locks.kv(),
        key: context.root.tick(&context.name),
        hosts: context.root.hosts(),
    }
}

fn hold_ticks(context: &JobContext, grant: &Grant) -> HeldTicks<'static> {
    HeldTicks {
        leaves: None,
        stored: read_ticks(context),
        fence: grant.fence(),
    }
}
