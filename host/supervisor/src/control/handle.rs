//! The orders as the jobs and runs of one host see them: each waits here for the order that concerns it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use leasehold_config::wall::{UnixMs, WallClock};
use leasehold_lock::Token;
use leasehold_records::{HoldKind, HoldMark, JobHold, StopRequest};
use tokio::sync::watch;

use super::state::{ControlState, SeenTrigger};
use crate::job::lack::RunLack;

/// Longest wait between two readings of the wall clock while a hold has an end.
const NAP: Duration = Duration::from_mins(1);

/// View of the orders for one host. Cheap to clone.
#[derive(Clone)]
pub(crate) struct ControlHandle {
    state: watch::Receiver<ControlState>,
    wall: Arc<dyn WallClock>,
    /// The last moment at which each job was held, for those that were.
    held_until: Arc<Mutex<BTreeMap<String, UnixMs>>>,
}

impl ControlHandle {
    pub(crate) fn new(state: watch::Receiver<ControlState>, wall: Arc<dyn WallClock>) -> Self {
        Self {
            state,
            wall,
            held_until: Arc::default(),
        }
    }

    /// Returns the orders as they are now. They must not be kept over an await.
    pub(crate) fn now(&self) -> watch::Ref<'_, ControlState> {
        self.state.borrow()
    }

    /// Returns the pause of all jobs that is in force now.
    pub(crate) fn pause_of_all(&self) -> Option<HoldMark> {
        let all = self.state.borrow().all.clone();
        all.filter(|mark| mark.is_in_force(self.wall.now()))
    }

    /// Returns the holds on a job that are in force now.
    pub(crate) fn holds(&self, job: &str) -> Vec<JobHold> {
        self.state.borrow().holds(job, self.wall.now())
    }

    /// Returns the lack of a job that is held now.
    pub(crate) fn lack(&self, job: &str) -> Option<RunLack> {
        let hold = self.holds(job).into_iter().next()?;
        Some(RunLack::Held {
            reason: hold.to_string(),
            is_everywhere: hold.kind != HoldKind::Drained,
        })
    }

    /// Resolves when the orders have changed since the last call. Never resolves once they are not followed any more.
    pub(crate) async fn changed(&mut self) {
        if self.state.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// Resolves when the orders have been read for the first time.
    pub(crate) async fn known(&mut self) {
        if self.state.wait_for(|state| state.is_known).await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// Resolves when a hold on this job is in force.
    pub(crate) async fn held(&self, job: &str) -> RunLack {
        let mut seen = self.clone();
        loop {
            seen.state.mark_unchanged();
            if let Some(lack) = seen.lack(job) {
                return lack;
            }
            seen.changed().await;
        }
    }

    /// Resolves when no hold on this job is in force. Returns the lack if it is another than before.
    pub(crate) async fn released(&self, job: &str) -> Option<RunLack> {
        let before = self.lack(job)?;
        let mut seen = self.clone();
        loop {
            seen.state.mark_unchanged();
            // Read before the lack: an end in between is then waited for, and not missed.
            let nap = seen.next_nap();
            match seen.lack(job) {
                Some(lack) if lack == before => {}
                Some(other) => return Some(other),
                None => {
                    self.note_held(job);
                    return None;
                }
            }
            tokio::select! {
                () = seen.changed() => {}
                () = tokio::time::sleep(nap) => {}
            }
        }
    }

    /// Returns the time at which this job was last released from a hold that it waited for.
    pub(crate) fn held_until(&self, job: &str) -> Option<UnixMs> {
        let held_until = self.held_until.lock();
        held_until
            .unwrap_or_else(PoisonError::into_inner)
            .get(job)
            .copied()
    }

    fn note_held(&self, job: &str) {
        let held_until = self.held_until.lock();
        let mut held_until = held_until.unwrap_or_else(PoisonError::into_inner);
        held_until.insert(job.to_owned(), self.wall.now());
    }

    /// Returns the time of the next hold that ends by itself.
    pub(crate) fn next_end(&self) -> Option<UnixMs> {
        self.state.borrow().next_end(self.wall.now())
    }

    /// Returns the time to sleep until this end, or until the clock is read again.
    pub(crate) fn nap_until(&self, end: Option<UnixMs>) -> Duration {
        end.map_or(NAP, |end| end.since(self.wall.now()).min(NAP))
    }

    fn next_nap(&self) -> Duration {
        self.nap_until(self.next_end())
    }

    /// Resolves when the end of the run of this job under this token is requested.
    pub(crate) async fn stop_of(&self, job: &str, token: Token) -> StopRequest {
        let mut seen = self.clone();
        loop {
            seen.state.mark_unchanged();
            let found = seen.state.borrow().stop_of(job, token).cloned();
            if let Some(request) = found {
                return request;
            }
            seen.changed().await;
        }
    }

    /// Resolves when a requested run is no longer open.
    pub(crate) async fn taken(&self, trigger: &SeenTrigger) {
        let mut seen = self.state.clone();
        if seen
            .wait_for(|state| !state.is_open(trigger))
            .await
            .is_err()
        {
            std::future::pending::<()>().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;
    use leasehold_records::HoldMark;

    use super::*;

    #[derive(Debug)]
    struct FixedWall(u64);

    impl WallClock for FixedWall {
        fn now(&self) -> UnixMs {
            UnixMs::new(self.0)
        }
    }

    fn paused(why: &str, until: Option<u64>) -> ControlState {
        let mark = HoldMark {
            by: "ann@vm".into(),
            why: why.into(),
            at_unix_ms: UnixMs::new(1),
            until_unix_ms: until.map(UnixMs::new),
        };
        ControlState {
            all: Some(mark),
            ..ControlState::default()
        }
    }

    #[tokio::test]
    async fn job_waits_for_a_hold_and_for_its_end() {
        let (state, receiver) = watch::channel(ControlState::default());
        let control = ControlHandle::new(receiver, Arc::new(FixedWall(100)));
        let mut held = std::pin::pin!(control.held("j"));
        assert!(held.as_mut().now_or_never().is_none());
        assert_eq!(control.released("j").now_or_never(), Some(None));
        state.send_replace(paused("a", None));
        let lack = |reason: &str| RunLack::Held {
            reason: reason.into(),
            is_everywhere: true,
        };
        let first = lack("all jobs are paused by ann@vm: a");
        assert_eq!(held.now_or_never(), Some(first));

        let mut released = std::pin::pin!(control.released("j"));
        assert!(released.as_mut().now_or_never().is_none());
        state.send_replace(paused("b", None));
        let other = lack("all jobs are paused by ann@vm: b");
        assert_eq!(released.now_or_never(), Some(Some(other)));
        // An end in the past ends the hold.
        state.send_replace(paused("b", Some(100)));
        assert_eq!(control.released("j").now_or_never(), Some(None));
    }
}
