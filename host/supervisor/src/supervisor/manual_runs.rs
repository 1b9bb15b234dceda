//! Runs that operators requested, beside the jobs' own turns: at most one of each job is waited for or under way here.

use std::time::SystemTime;

use leasehold_records::Outcome;

use super::job_table::JobTable;
use super::task_output::{TaskOutput, TaskRole};
use crate::control::{ControlHandle, SeenTrigger};
use crate::job::entry::ManualTurn;
use crate::job::machine::MachineGrant as _;
use crate::job::manual::{self, ManualWait};

impl JobTable {
    /// Starts waiting for the requested runs that are open, the oldest of each job.
    pub(super) fn start_manual_runs(&mut self, control: &ControlHandle, host: &str) {
        let mut open: Vec<SeenTrigger> = {
            let state = control.now();
            self.settled.retain(|key| state.has_trigger(key));
            state.triggers_for(host).cloned().collect()
        };
        open.sort_by_key(|seen| (seen.record.at_unix_ms, seen.revision));
        for seen in open {
            if self.settled.contains(&seen.key) {
                continue;
            }
            let Some(at) = self.find(&seen.record.job) else {
                continue;
            };
            let Some(entry) = self.entries.get(&at) else {
                continue;
            };
            let is_held = control.lack(&entry.context.name).is_some();
            if is_held || !entry.takes_requests() {
                continue;
            }
            let context = entry.context.clone();
            let since = SystemTime::now();
            self.set_manual(at, ManualTurn::Waiting { since }, None);
            let role = TaskRole::Manual(seen.key.clone());
            self.spawn_task(at, role, async {
                let key = seen.key.clone();
                TaskOutput::ManualWait(key, manual::take(context, seen).await)
            });
        }
    }

    /// Starts the requested run, if this host has claimed it.
    pub(super) fn take_manual_wait(&mut self, at: usize, key: String, waited: ManualWait) {
        match waited {
            ManualWait::Taken(taken) => {
                self.settled.insert(key.clone());
                let running = ManualTurn::Running {
                    since: SystemTime::now(),
                    token: taken.held.token(),
                };
                self.set_manual(at, running, None);
                self.spawn_task(at, TaskRole::Manual(key), async {
                    TaskOutput::ManualRun(manual::run(taken).await)
                });
            }
            ManualWait::Gone => self.give_up_manual(at, key),
            ManualWait::Held => self.set_manual(at, ManualTurn::Idle, None),
        }
    }

    /// Leaves a request alone from now on.
    pub(super) fn give_up_manual(&mut self, at: usize, key: String) {
        self.settled.insert(key);
        self.set_manual(at, ManualTurn::Idle, None);
    }

    /// Sets the state of the requested run. The end of a job that waited for it is handled.
    pub(super) fn set_manual(&mut self, at: usize, manual: ManualTurn, ended: Option<Outcome>) {
        if let Some(entry) = self.entries.get_mut(&at) {
            entry.set_manual(manual, ended);
            self.unwritten.insert(at);
        }
        self.handle_end(at);
    }
}
