//! The machine's own data: the rules of the job, its failures in a row, and the ticks it is done with.

use std::fmt;
use std::marker::PhantomData;
use std::time::Duration;

use leasehold_config::{Restart, Schedule};
use leasehold_lock::{BootTime, Token};

use super::planning::TickPlan;
use super::state::{JobEnding, JobSleep, LackEnd, NextStep, RunTurn, TimeNow, WakeTime};
use crate::job::lack::RunLack;

/// Settings of a job that the machine needs.
#[derive(Clone, Debug)]
pub(crate) struct JobRules {
    pub(crate) schedule: Schedule,
    pub(crate) restart: Restart,
    pub(crate) retries: u32,
}

impl JobRules {
    /// Returns the reason for which runs of this job start.
    pub(crate) const fn cause(&self) -> StartCause {
        match &self.schedule {
            Schedule::KeepRunning => StartCause::Continuous,
            Schedule::Once => StartCause::Once,
            Schedule::Ticks(_) => StartCause::Schedule,
        }
    }
}

/// Reason for which a run was started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StartCause {
    Continuous,
    Schedule,
    Once,
}

/// The lock that a job holds, as far as the machine reads it.
pub(crate) trait MachineGrant: fmt::Debug {
    /// Returns the fencing token, for the job's record.
    fn token(&self) -> Token;
}

/// A lock in tests of the machine.
#[cfg(test)]
impl MachineGrant for () {
    fn token(&self) -> Token {
        Token::default()
    }
}

/// State machine of one job, whose lock is held by a grant `G`, and whose runs need provisions `P`.
pub(crate) struct JobMachine<G, P> {
    pub(crate) rules: JobRules,
    /// Set when the host stops.
    pub(crate) stopping: bool,
    /// Number of the job's failures in a row.
    pub(super) failures: u32,
    pub(super) ticks: TickPlan,
    passes_on: PhantomData<fn(G, P)>,
}

impl<G, P> JobMachine<G, P> {
    pub(crate) const fn new(rules: JobRules) -> Self {
        Self {
            rules,
            stopping: false,
            failures: 0,
            ticks: TickPlan::new(),
            passes_on: PhantomData,
        }
    }

    /// Returns the next pause: it doubles with each failure in a row, and lies in its upper half.
    pub(super) fn backoff(&mut self, jitter: f64) -> Duration {
        let doublings = self.failures.min(20);
        self.failures = self.failures.saturating_add(1);
        let full = self.rules.restart.min() * (1 << doublings);
        full.min(self.rules.restart.max())
            .mul_f64(0.5 + jitter.clamp(0.0, 1.0) / 2.0)
    }

    /// Plans the next tick for this host. `detail` is the reason of the job's last failure.
    pub(super) fn plan(&self, detail: String, now: TimeNow, jitter: f64) -> NextStep {
        self.ticks.plan(&self.rules.schedule, detail, now, jitter)
    }

    /// Plans to stand back until the lack may have ended.
    pub(super) fn plan_lack(
        &mut self,
        turn: RunTurn,
        lack: &RunLack,
        now: TimeNow,
        jitter: f64,
    ) -> NextStep {
        let until = match lack {
            RunLack::Slot(_) => LackEnd::Slot,
            RunLack::Held { .. } => LackEnd::Hold,
            RunLack::Clock(_) | RunLack::Other(_) => {
                LackEnd::At(now.boot.after(self.backoff(jitter)))
            }
        };
        let reason = lack.reason().to_owned();
        self.or_stop(NextStep::StandBack {
            turn,
            until,
            reason,
        })
    }

    /// Returns this next step, or the end of the job if the host stops.
    pub(super) fn or_stop(&self, then: NextStep) -> NextStep {
        match then {
            NextStep::Wait(_) | NextStep::Sleep(_) | NextStep::StandBack { .. }
                if self.stopping =>
            {
                NextStep::End(JobEnding::Stopped)
            }
            then => then,
        }
    }
}

/// Returns a sleep for `delay` after a failure with this reason. If the store did not answer a request, `unanswered` is
/// the time when it was sent.
pub(super) fn sleep_for(
    delay: Duration,
    next: RunTurn,
    reason: &str,
    now: TimeNow,
    unanswered: Option<BootTime>,
) -> JobSleep {
    JobSleep {
        detail: reason.to_owned(),
        unanswered,
        ..JobSleep::new(WakeTime::Boot(now.boot.after(delay)), next)
    }
}
