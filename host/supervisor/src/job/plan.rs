//! The plan of a job, for its record: its schedule, and the tick or the attempt that it sleeps until. Pure.

use leasehold_config::wall::UnixMs;
use leasehold_config::{Beat, Schedule};
use leasehold_records::{JobFiles, JobPlan};

use super::context::JobContext;
use super::machine::{JobSleep, MachineState, WakeTime};

/// Returns the plan of a job with this schedule in this state, with the reason of the state if the record's `detail`
/// has more than that.
pub(crate) fn plan_of<P>(schedule: &Schedule, state: &MachineState<P>, detail: &str) -> JobPlan {
    let sleep = match state {
        MachineState::Sleeping(sleep) => Some(sleep),
        _ => None,
    };
    let reason = state.detail();
    let beat = match schedule {
        Schedule::Ticks(ticks) => Some(ticks.beat()),
        Schedule::KeepRunning | Schedule::Once => None,
    };
    let cron = match beat {
        Some(Beat::Cron(cron)) => Some(cron),
        Some(Beat::Every(_)) | None => None,
    };
    let tick = sleep.and_then(tick_of);
    JobPlan {
        schedule: schedule.to_string(),
        zone: cron.map(|cron| cron.tz().to_owned()),
        tick_unix_ms: tick,
        zone_offset_s: cron.zip(tick).and_then(|(cron, tick)| cron.offset_s(tick)),
        reason: (reason != detail).then(|| reason.to_owned()),
        attempt: sleep
            .filter(|sleep| is_pause(sleep))
            .map(|sleep| sleep.next.attempt),
    }
}

/// Returns the versions of the files of a job.
pub(crate) fn files_of(context: &JobContext) -> JobFiles {
    JobFiles {
        plugin_sha256: context.plugin.facts().sha256.clone(),
        settings: context.settings.clone(),
    }
}

/// Returns the tick that this sleep ends with; `None` for a pause.
const fn tick_of(sleep: &JobSleep) -> Option<UnixMs> {
    match sleep.until {
        WakeTime::Wall(_) => sleep.next.tick,
        WakeTime::Boot(_) => None,
    }
}

/// True for a sleep that follows a failure.
const fn is_pause(sleep: &JobSleep) -> bool {
    matches!(sleep.until, WakeTime::Boot(_)) && !sleep.detail.is_empty()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::job::machine::RunTurn;
    use leasehold_config::Config;
    use leasehold_lock::BootTime;

    fn schedule(keys: &str) -> Schedule {
        let text = format!("[store]\nembedded = true\n[jobs.j]\nplugin = \"/j.wasm\"\n{keys}\n");
        let config = Config::parse(&text, Path::new("test.toml")).unwrap();
        config.jobs()[0].schedule().clone()
    }

    const fn pause_turn() -> RunTurn {
        RunTurn {
            attempt: 2,
            tick: None,
        }
    }

    fn sleep(until: WakeTime, tick: u64, detail: &str) -> MachineState<()> {
        MachineState::Sleeping(JobSleep {
            until,
            next: RunTurn {
                tick: Some(UnixMs::new(tick)),
                ..pause_turn()
            },
            detail: detail.into(),
            unanswered: None,
        })
    }

    #[test]
    fn sleep_until_a_tick_has_its_zone_and_offset() {
        let nightly = schedule("cron = \"0 3 * * *\"\ntz = \"Europe/Berlin\"");
        // 2026-01-02T02:00:00Z and, in summer, 2026-07-02T01:00:00Z.
        for (tick, offset) in [(1_767_319_200_000, 3600), (1_782_954_000_000, 7200)] {
            let until = WakeTime::Wall(UnixMs::new(tick + 500));
            let plan = plan_of(&nightly, &sleep(until, tick, ""), "");
            assert_eq!(plan.schedule, "cron = \"0 3 * * *\"");
            assert_eq!(plan.zone.as_deref(), Some("Europe/Berlin"));
            assert_eq!(plan.tick_unix_ms, Some(UnixMs::new(tick)));
            assert_eq!((plan.zone_offset_s, plan.attempt), (Some(offset), None));
        }
    }

    #[test]
    fn pause_after_a_failure_has_its_attempt_and_no_tick() {
        let until = WakeTime::Boot(BootTime::from_nanos(7));
        let pause = sleep(until, 60_000, "no luck");
        let plan = plan_of(&schedule("every = \"1m\""), &pause, "no luck");
        assert_eq!(plan.reason, None);
        let held = plan_of(&schedule(""), &pause, "paused by ann@vm; no luck");
        assert_eq!(held.reason.as_deref(), Some("no luck"));
        assert_eq!((plan.tick_unix_ms, plan.attempt), (None, Some(2)));
        assert_eq!(plan.schedule, "every = \"1m\"");
        let turn = pause_turn();
        let waiting = MachineState::<()>::Waiting {
            turn,
            requested: BootTime::from_nanos(7),
        };
        let plan = plan_of(&schedule(""), &waiting, "");
        assert_eq!(plan.schedule, "continuous");
        assert_eq!((plan.zone, plan.attempt), (None, None));
    }
}
