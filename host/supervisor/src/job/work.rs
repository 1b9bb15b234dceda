//! Work for the states of a job. Each piece is one task that ends in one [`TaskResult`].
//!
//! A grant is owned by the piece of work that needs it and handed back at its end. So no two pieces can use it and
//! none can forget it. A panic drops it, which gives the lock back.

use std::sync::Arc;
use std::time::Duration;

use leasehold_lock::{BootTime, Clock, EndReason, Grant, StoreState};
use tokio::sync::watch;

use super::closing;
use super::context::JobContext;
use super::halt;
use super::held_lock::HeldLock;
use super::machine::{LackEnd, PauseEnd, TimeNow, WakeTime};
use super::provision::RunProvisions;
use super::task::TaskResult;
use crate::event::EventKind;
use crate::shutdown::cut_short;
use leasehold_config::wall::UnixMs;

/// Longest sleep between two readings of the clocks.
const NAP: Duration = Duration::from_mins(1);
/// Difference between the wall clock and the time passed that shows that the clock was set. A clock that is
/// corrected in small steps takes half an hour to differ by this much. The job then plans its next tick anew.
const SET: Duration = Duration::from_secs(1);

/// Longest pause between the store's return and the start of a job that waited for it. Jobs of many hosts wake at
/// once, and should not all send requests at once.
const SPREAD: Duration = Duration::from_millis(300);

/// Sleeps until a moment. A sleep by the wall clock also ends when that clock is set.
pub(crate) async fn sleep(context: Arc<JobContext>, until: WakeTime) -> TaskResult {
    let over = async {
        match until {
            WakeTime::Boot(until) => sleep_until(&*context.clock, until).await,
            WakeTime::Wall(until) => doze(&context, until).await,
        }
    };
    tokio::select! {
        () = context.cancel.cancelled() => TaskResult::Cancelled,
        () = over => TaskResult::Woke,
    }
}

/// Sleeps as [`sleep`] does, for a job that failed because the store did not answer a request sent at `requested`. Also
/// ends when the store has come back since.
pub(crate) async fn sleep_or_back(
    context: Arc<JobContext>,
    until: WakeTime,
    requested: BootTime,
) -> TaskResult {
    let back = async {
        wait_for_return(context.locks.connectivity(), requested).await;
        tokio::time::sleep(SPREAD.mul_f64(fastrand::f64())).await;
    };
    tokio::select! {
        slept = sleep(context.clone(), until) => slept,
        () = back => TaskResult::StoreBack,
    }
}

/// Resolves when the store answers after an outage that ended later than `requested`.
async fn wait_for_return(mut store: watch::Receiver<StoreState>, requested: BootTime) {
    let is_back =
        |state: &StoreState| matches!(state, StoreState::Reachable { since } if *since > requested);
    if store.wait_for(is_back).await.is_err() {
        // The client has closed: the state does not change again.
        std::future::pending::<()>().await;
    }
}

/// Sleeps until the wall clock shows `until`, or until that clock is found to have been set.
async fn doze(context: &JobContext, until: UnixMs) {
    let began = context.now();
    while let Some(nap) = next_nap(began, context.now(), until) {
        tokio::time::sleep(nap).await;
    }
}

/// Returns the time to sleep before the clocks are read again; `None` when the sleep is over.
fn next_nap(began: TimeNow, now: TimeNow, until: UnixMs) -> Option<Duration> {
    let left = until.since(now.wall);
    let passed = now.boot.since(began.boot);
    // Wall time now, if the clock was not set.
    let expected = began.wall.after(passed);
    let set = now.wall.since(expected).max(expected.since(now.wall));
    (!left.is_zero() && set < SET).then(|| left.min(NAP))
}

async fn sleep_until(clock: &dyn Clock, until: BootTime) {
    loop {
        let left = until.since(clock.now());
        if left.is_zero() {
            return;
        }
        // tokio's timers do not count suspend; reading the clock now and then does.
        tokio::time::sleep(left.min(NAP)).await;
    }
}

/// Gives the lock back.
pub(crate) async fn release(context: Arc<JobContext>, held: HeldLock) -> TaskResult {
    let grant = *held.grant;
    let token = grant.token();
    // A mark gives the lock back in its own transaction.
    let left = grant.tenure().end_reason() == Some(EndReason::Released);
    let lost = !left && !grant.tenure().admits();
    let confirmed = give_back(&context, grant).await;
    if !lost {
        context.event_log.emit(
            context.event_context_for(token),
            EventKind::Released { confirmed },
        );
    }
    TaskResult::Released
}

/// Gives the lock back without logging it. Returns true if the store has confirmed it.
pub(crate) async fn give_back(context: &JobContext, grant: Grant) -> bool {
    tokio::select! {
        released = grant.release() => released.is_ok(),
        () = cut_short(&context.stop.abort) => false,
    }
}

/// Stands back until the lack may have ended: until it is this job's turn for a slot, until a given moment, or until
/// an order of an operator has ended.
pub(crate) async fn stand_back(context: Arc<JobContext>, until: LackEnd) -> TaskResult {
    let provisions = async {
        match until {
            LackEnd::Hold => std::future::pending().await,
            LackEnd::At(until) => {
                sleep_until(&*context.clock, until).await;
                RunProvisions::get_soon(&context).await
            }
            LackEnd::Slot => RunProvisions::get_in_turn(&context).await,
        }
    };
    let order = async {
        match until {
            LackEnd::Hold => context.control.released(&context.name).await,
            LackEnd::At(_) | LackEnd::Slot => Some(context.control.held(&context.name).await),
        }
    };
    // A turn for a slot is kept by the next version. Another lack may not exist in it, so that wait ends.
    let superseded = async {
        match until {
            LackEnd::At(_) => context.superseded.cancelled().await,
            LackEnd::Slot | LackEnd::Hold => std::future::pending().await,
        }
    };
    tokio::select! {
        () = context.cancel.cancelled() => TaskResult::Cancelled,
        () = superseded => TaskResult::Ready(None),
        lack = order => lack.map_or(TaskResult::HoldEnded, TaskResult::Lacks),
        provisions = provisions => match provisions {
            Ok(provisions) => TaskResult::Ready(Some(provisions)),
            Err(lack) => TaskResult::Lacks(lack),
        },
    }
}

/// Keeps the lock for a while without running. The slot is free for other jobs meanwhile; if none is free at the
/// end of the pause, the next run does not start here.
pub(crate) async fn pause(context: Arc<JobContext>, held: HeldLock, pause: Duration) -> TaskResult {
    let grant = &held.grant;
    let until = context.clock.now().after(pause);
    let over = async {
        sleep_until(&*context.clock, until).await;
        RunProvisions::get_soon(&context).await
    };
    let paused = tokio::select! {
        biased;
        () = context.cancel.cancelled() => PauseEnd::Cancelled,
        _ = grant.tenure().ended() => PauseEnd::Lost,
        halt = halt::wait(&context, grant.token()) => PauseEnd::Halted(halt.kind, halt.to_string()),
        lack = context.control.held(&context.name) => PauseEnd::Lacks(lack),
        provisions = over => match provisions {
            Ok(provisions) => PauseEnd::Over(provisions),
            Err(lack) => PauseEnd::Lacks(lack),
        },
    };
    if matches!(paused, PauseEnd::Lost) {
        let reason = grant
            .tenure()
            .end_reason()
            .map_or_else(String::new, |reason| {
                closing::describe_loss(grant.tenure(), &reason)
            });
        context.event_log.emit(
            context.event_context_for(grant.token()),
            EventKind::LockLost { reason },
        );
    }
    TaskResult::PauseEnded {
        grant: held,
        end: paused,
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    fn boot(seconds: u64) -> BootTime {
        BootTime::from_nanos(seconds * 1_000_000_000)
    }

    fn reachable(seconds: u64) -> StoreState {
        StoreState::Reachable {
            since: boot(seconds),
        }
    }

    /// Fails when a job that failed while the store was reachable is woken at once, again and again. Fails also
    /// when a return between the failed request and the sleep is missed.
    #[test]
    fn store_return_wakes_only_earlier_requests() {
        let (state, store) = watch::channel(reachable(5));
        let is_woken = |requested| {
            wait_for_return(store.clone(), requested)
                .now_or_never()
                .is_some()
        };
        assert!(is_woken(boot(4)));
        assert!(!is_woken(boot(6)));

        let mut waits = std::pin::pin!(wait_for_return(store.clone(), boot(6)));
        assert!(waits.as_mut().now_or_never().is_none());
        state.send_replace(StoreState::Lost { since: boot(6) });
        assert!(waits.as_mut().now_or_never().is_none());
        state.send_replace(reachable(30));
        assert!(waits.now_or_never().is_some());
    }

    /// While the clock is not set, the sleep lasts until its time, and reads the clocks once a minute.
    #[test]
    fn wall_clock_sleep_ends_on_time_or_when_the_clock_is_set() {
        let now = |boot: u64, wall: u64| TimeNow {
            boot: BootTime::from_nanos(boot * 1_000_000_000),
            wall: UnixMs::new(wall * 1000),
        };
        let began = now(10, 1000);
        let until = UnixMs::new(1_300_000);
        assert_eq!(next_nap(began, began, until), Some(NAP));
        assert_eq!(
            next_nap(began, now(290, 1280), until),
            Some(Duration::from_secs(20))
        );
        assert_eq!(next_nap(began, now(310, 1300), until), None);
        // The clock was put back or forward: the job plans again.
        assert_eq!(next_nap(began, now(70, 1000), until), None);
        assert_eq!(next_nap(began, now(70, 1070), until), None);
        // Suspended for an hour: the wall clock and the boot-time clock both went on.
        assert_eq!(next_nap(began, now(3610, 4600), until), None);
        // A small correction does not count as setting the clock.
        let slewed = TimeNow {
            wall: UnixMs::new(1_060_500),
            ..now(70, 0)
        };
        assert_eq!(next_nap(began, slewed, until), Some(NAP));
    }
}
