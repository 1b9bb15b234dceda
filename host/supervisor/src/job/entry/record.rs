//! The record of a job on this host, from its entry.

use std::time::SystemTime;

use leasehold_config::wall::UnixMs;
use leasehold_lock::BootTime;
use leasehold_records::{JobRecord, JobState, PendingVersion};

use super::{JobEntry, ManualTurn};
use crate::job::machine::{JobEnding, LackEnd, MachineState, WakeTime};
use crate::job::plan::{files_of, plan_of};
use crate::record_writer::text;

impl JobEntry {
    /// Returns the job's record. `None` for a state that is over in a moment, or whose record is deleted with the
    /// host's lease.
    pub(crate) fn record(&self) -> Option<JobRecord> {
        let (state, next) = self.shown_state()?;
        let (since, token) = match self.manual {
            ManualTurn::Running { since, token } => (since, Some(token)),
            ManualTurn::Waiting { since } if state == JobState::Waiting => (since, None),
            ManualTurn::Waiting { .. } | ManualTurn::Idle => (self.since, self.state.token()),
        };
        let pending = self.pending();
        let detail = self.detail(pending.as_ref());
        Some(JobRecord {
            job: text(&self.context.name),
            host: text(&self.context.host),
            lock: text(&self.context.lock),
            state,
            since_unix_ms: UnixMs::from_system(since),
            token,
            next_unix_ms: next,
            last: self.last,
            plan: Some(plan_of(self.context.job.schedule(), &self.state, &detail)),
            files: Some(files_of(self.next.as_deref().unwrap_or(&self.context))),
            detail,
            progress: self.progress.clone(),
            holds: self.holds.clone(),
            pending,
        })
    }

    /// Returns the state for the record, and the time when it ends.
    fn shown_state(&self) -> Option<(JobState, Option<UnixMs>)> {
        match self.manual {
            ManualTurn::Running { .. } => return Some((JobState::Running, None)),
            ManualTurn::Waiting { .. } if !self.is_at_lock() => {
                return Some((JobState::Waiting, None));
            }
            ManualTurn::Waiting { .. } | ManualTurn::Idle => {}
        }
        Some(match &self.state {
            MachineState::Sleeping(sleep) => {
                let next = match sleep.until {
                    WakeTime::Boot(until) => self.wall(until),
                    WakeTime::Wall(until) => until,
                };
                (JobState::Sleeping, Some(next))
            }
            MachineState::Waiting { .. } => (JobState::Waiting, None),
            MachineState::StandingBack {
                until: LackEnd::At(until),
                ..
            } => (JobState::StandingBack, Some(self.wall(*until))),
            MachineState::StandingBack { .. } => (JobState::StandingBack, None),
            MachineState::Running { .. } => (JobState::Running, None),
            MachineState::Pausing { .. } => (JobState::Pausing, None),
            MachineState::Ended(JobEnding::Finished) => (JobState::Finished, None),
            MachineState::Ended(JobEnding::Failed(_) | JobEnding::NotAcquired(_)) => {
                (JobState::Failed, None)
            }
            MachineState::Looking { .. }
            | MachineState::Claiming { .. }
            | MachineState::Marking { .. }
            | MachineState::Releasing { .. }
            | MachineState::Ended(JobEnding::Stopped) => return None,
        })
    }

    /// True if the job itself holds its lock.
    const fn is_at_lock(&self) -> bool {
        matches!(
            self.state,
            MachineState::Claiming { .. }
                | MachineState::Running { .. }
                | MachineState::Pausing { .. }
                | MachineState::Marking { .. }
                | MachineState::Releasing { .. }
        )
    }

    /// Returns the sentence of the record: the reason of a failure or a wait, and what keeps the job from going on.
    fn detail(&self, pending: Option<&PendingVersion>) -> String {
        let mut parts: Vec<String> = Vec::new();
        if let Some(pending) = pending {
            parts.push(format!(
                "a new version (sha256 {}) waits for the end of this run; `leasehold restart {}` takes it now",
                pending.plugin_sha256.get(..12).unwrap_or_default(),
                self.context.name
            ));
        }
        parts.extend(self.holds.iter().map(ToString::to_string));
        let own = self.state.detail();
        if !own.is_empty() && !parts.iter().any(|part| part == own) {
            parts.push(own.to_owned());
        }
        parts.join("; ")
    }

    /// Returns the version that waits for the end of the run.
    fn pending(&self) -> Option<PendingVersion> {
        let (_, since) = self.outdated.as_ref()?;
        let newest = self.next.as_deref().unwrap_or(&self.context);
        Some(PendingVersion {
            plugin_sha256: newest.plugin.facts().sha256.clone(),
            since_unix_ms: UnixMs::from_system(*since),
        })
    }

    /// Returns a moment of the boot-time clock as wall time.
    fn wall(&self, at: BootTime) -> UnixMs {
        UnixMs::from_system(SystemTime::now() + at.since(self.context.clock.now()))
    }
}
