//! A run that an operator requested, beside the job's own turns: taken under the job's lock, run once, recorded.
//!
//! Every host with the job queues for its lock, and the first to have it claims the request in a transaction that
//! compares its lock entry and the request's revision. So the request is run once at most, over all hosts. It takes no
//! tick and is not retried. A request whose host dies stays claimed.
//!
//! - `claiming`: the claim, over a model of the store in tests.

mod claiming;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use leasehold_lock::Backoff;
use leasehold_records::{ManualRun, Outcome, TriggerRecord, TriggerState};

use self::claiming::{ClaimAnswer, HeldTrigger, claim};
use super::context::JobContext;
use super::held_lock::HeldLock;
use super::lack::RunLack;
use super::machine::{AcquireMiss, RunTurn, RunVerdict};
use super::overrides;
use super::provision::RunProvisions;
use super::run::{self, RunOrder};
use super::task::TaskResult;
use super::waiting;
use super::work;
use crate::control::SeenTrigger;
use crate::event::EventKind;
use crate::record_writer::text;

/// Time for which the result of a request is kept.
const KEEP: Duration = Duration::from_hours(1);
/// Attempts at writing that result.
const TRIES: u32 = 3;
/// Pause between two of them.
const PAUSE: Duration = Duration::from_millis(200);

/// A request that this host has claimed, with all that its run needs.
pub(crate) struct TakenRun {
    /// The version of the job that the request was checked against, and that runs.
    context: Arc<JobContext>,
    pub(crate) held: HeldLock,
    provisions: RunProvisions,
    /// The record as claimed.
    record: TriggerRecord,
    key: String,
    config_json: String,
}

/// End of the wait for a requested run.
pub(crate) enum ManualWait {
    /// This host runs it.
    Taken(Box<TakenRun>),
    /// It is not to be run, or another host runs it.
    Gone,
    /// This host may not start it for now.
    Held,
}

/// Waits for the job's lock until the request can be claimed, or is no longer open.
pub(crate) async fn take(context: Arc<JobContext>, trigger: SeenTrigger) -> ManualWait {
    let config = overrides::apply(context.job.config_json(), &trigger.record.config);
    let config_json = match config {
        Ok(config_json) => config_json,
        Err(reason) => {
            refuse(&context, &trigger, reason).await;
            return ManualWait::Gone;
        }
    };
    acquire_and_claim(&context, &trigger, config_json).await
}

async fn acquire_and_claim(
    context: &Arc<JobContext>,
    trigger: &SeenTrigger,
    config_json: String,
) -> ManualWait {
    let mut backoff = Backoff::new(Duration::from_millis(500), Duration::from_secs(10));
    let mut logged = BTreeSet::new();
    loop {
        // A claim is never cut short: the first sign of its success may be that the request is no longer open.
        let acquired = tokio::select! {
            () = context.control.taken(trigger) => return ManualWait::Gone,
            acquired = waiting::acquire(context.clone(), None) => acquired,
        };
        let (held, provisions) = match acquired {
            TaskResult::Acquired { grant, provisions } => (grant, provisions),
            TaskResult::Missed(
                AcquireMiss::Cancelled | AcquireMiss::Lacks(RunLack::Held { .. }),
            ) => {
                return ManualWait::Held;
            }
            other => {
                log_miss(context, &mut logged, other);
                pause(context, backoff.next()).await;
                continue;
            }
        };
        let claimed = claimed_record(context, &held, trigger);
        let store = HeldTrigger {
            kv: context.locks.kv(),
            fence: held.grant.fence(),
            key: trigger.key.clone(),
            lease: trigger.lease,
        };
        match claim(&store, trigger.revision, &claimed).await {
            ClaimAnswer::Ours => {
                return ManualWait::Taken(Box::new(TakenRun {
                    context: context.clone(),
                    held,
                    provisions,
                    record: claimed,
                    key: trigger.key.clone(),
                    config_json,
                }));
            }
            ClaimAnswer::Gone => {
                work::give_back(context, *held.grant).await;
                return ManualWait::Gone;
            }
            // The lock was lost, or the store did not answer.
            ClaimAnswer::Unclaimed => {
                work::give_back(context, *held.grant).await;
                pause(context, backoff.next()).await;
            }
        }
    }
}

async fn pause(context: &JobContext, pause: Duration) {
    tokio::select! {
        () = context.cancel.cancelled() => {}
        () = tokio::time::sleep(pause) => {}
    }
}

/// Logs why the lock was not acquired, once for each reason.
fn log_miss(context: &JobContext, logged: &mut BTreeSet<String>, miss: TaskResult) {
    let reason = match miss {
        TaskResult::Missed(AcquireMiss::Lacks(lack)) => lack.into_reason(),
        TaskResult::Missed(
            AcquireMiss::Contended(reason)
            | AcquireMiss::Trouble(reason)
            | AcquireMiss::Unanswered(reason),
        ) => reason,
        _ => return,
    };
    if logged.insert(reason.clone()) {
        let elsewhere = true;
        let event = EventKind::StandingBack { reason, elsewhere };
        context.event_log.emit(context.event_context(), event);
    }
}

fn claimed_record(context: &JobContext, held: &HeldLock, trigger: &SeenTrigger) -> TriggerRecord {
    let token = held.grant.token();
    TriggerRecord {
        state: TriggerState::Claimed {
            runs_on: text(&context.host),
            lock_key: held.grant.key().to_owned(),
            token,
            run_id: context.run_id(token, 0),
        },
        ..trigger.record.clone()
    }
}

/// Records that the request cannot be run as it is.
async fn refuse(context: &JobContext, trigger: &SeenTrigger, reason: String) {
    let refused = TriggerRecord {
        state: TriggerState::Refused {
            refused_by: text(&context.host),
            reason: reason.clone(),
        },
        ..trigger.record.clone()
    };
    let (json, lease) = (refused.to_json(), trigger.lease);
    let kv = context.locks.kv();
    let written = kv.compare_and_put_leased(&trigger.key, trigger.revision, &json, lease);
    match written.await {
        Ok(true) => {
            let event = EventKind::TriggerRefused {
                trigger: trigger.record.id.clone(),
                by: trigger.record.by.clone(),
                reason,
            };
            context.event_log.emit(context.event_context(), event);
        }
        // Another host was first.
        Ok(false) => {}
        Err(error) => tracing::warn!(%error, "a refused request could not be recorded"),
    }
}

/// Runs the request, records its result, and gives the lock back.
pub(crate) async fn run(taken: Box<TakenRun>) -> Outcome {
    let TakenRun {
        context,
        mut held,
        provisions,
        record,
        key,
        config_json,
    } = *taken;
    held.log_acquired(&context);
    let request = ManualRun::from(&record);
    context.event_log.emit(
        context.event_context_for(held.grant.token()),
        EventKind::Triggered {
            trigger: request.trigger.clone(),
            by: request.by.clone(),
            why: request.why.clone(),
        },
    );
    let turn = RunTurn {
        attempt: 1,
        tick: None,
    };
    let order = RunOrder::Manual {
        request,
        config_json,
    };
    let ended = run::run(context.clone(), held, provisions, (turn, order)).await;
    let TaskResult::RunEnded {
        grant: held,
        verdict,
        outcome,
    } = ended
    else {
        // A run ends in no other way.
        return Outcome::Stopped;
    };
    let detail = match verdict {
        RunVerdict::Failed(reason) | RunVerdict::Fatal(reason) | RunVerdict::Halted(_, reason) => {
            reason
        }
        RunVerdict::Lacks(lack) => lack.into_reason(),
        RunVerdict::Done | RunVerdict::Again(_) | RunVerdict::Lost | RunVerdict::Stopped => {
            String::new()
        }
    };
    let ended = TriggerRecord {
        state: TriggerState::Ended {
            runs_on: text(&context.host),
            token: held.grant.token(),
            run_id: context.run_id(held.grant.token(), 0),
            outcome,
            detail,
        },
        ..record
    };
    tokio::select! {
        () = record_end(&context, &key, &ended) => {}
        () = context.stop.abort.cancelled() => {}
    }
    work::release(context, held).await;
    outcome
}

/// Writes the result under a lease of its own, for the run may have been longer than that of the request.
async fn record_end(context: &JobContext, key: &str, ended: &TriggerRecord) {
    for _ in 0..TRIES {
        let written = async {
            let lease = context.locks.lease_for(KEEP).await?;
            context.locks.kv().put(key, &ended.to_json(), lease).await
        };
        match written.await {
            Ok(_) => return,
            Err(error) => tracing::debug!(%error, key, "the result of a request was not written"),
        }
        tokio::time::sleep(PAUSE).await;
    }
    tracing::warn!(
        key,
        "the result of a requested run was not written; its run record has it"
    );
}
