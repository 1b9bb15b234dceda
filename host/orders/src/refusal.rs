//! Reasons for which no run of a job is requested. Pure.

use leasehold_records::wall_text::age;
use leasehold_records::{HoldKind, HoldMark, JobRecord, JobState, TriggerRecord, UnixMs};

use crate::held_run::HeldRun;
use crate::sentence::{join, state_drain, state_pause, state_pause_of_all};
/// State of a job over all hosts, as far as a request for a run depends on it.
pub(crate) struct JobSituation {
    /// The pause of the job.
    pub(crate) paused: Option<HoldMark>,
    /// The pause of all jobs.
    pub(crate) all_paused: Option<HoldMark>,
    /// The only host that may run it.
    pub(crate) host: Option<String>,
    /// The drain of that host.
    pub(crate) drained: Option<HoldMark>,
    /// Its run, if one is under way.
    pub(crate) running: Option<HeldRun>,
    /// The job on each host that has it.
    pub(crate) jobs: Vec<JobRecord>,
    /// A request that no host has taken.
    pub(crate) open: Option<TriggerRecord>,
}

/// Returns the reason for which the job cannot be run now.
pub(crate) fn find_refusal(job: &str, now: &JobSituation, at: UnixMs) -> Option<String> {
    if let Some(paused) = &now.paused {
        return Some(state_pause(job, paused));
    }
    if let Some(all) = &now.all_paused {
        return Some(state_pause_of_all(all));
    }
    if let (Some(host), Some(drained)) = (&now.host, &now.drained) {
        return Some(state_drain(host, drained));
    }
    if let Some(running) = &now.running {
        // The record of the job has the start of the run; the entry of the lock has the start of the wait.
        let record = now.jobs.iter().find(|job| job.token == Some(running.token));
        let since = record.map_or(running.since, |record| record.since_unix_ms);
        return Some(format!(
            "{job} runs already, on {} for {} (token {})",
            running.host,
            age(at.since(since)),
            running.token
        ));
    }
    if let Some(open) = &now.open {
        return Some(format!(
            "{} requested a run of {job} {} ago, which no host has taken yet",
            open.by,
            age(at.since(open.at_unix_ms))
        ));
    }
    let waiting = now.jobs.iter().filter(|job| job.state == JobState::Waiting);
    let waiting: Vec<String> = waiting.map(|job| job.host.clone()).collect();
    if let Some(lock) = now.jobs.iter().find(|job| job.state == JobState::Waiting) {
        return Some(format!(
            "{job} waits for its lock `{}` already, on {}, and runs when that is free; `leasehold status` shows its \
             holder",
            lock.lock,
            join(&waiting)
        ));
    }
    find_missing_host(job, now)
}

fn find_missing_host(job: &str, now: &JobSituation) -> Option<String> {
    let mut may_run = now.jobs.iter();
    let is_drained = |job: &JobRecord| job.holds.iter().any(|hold| hold.kind == HoldKind::Drained);
    match &now.host {
        Some(host) if may_run.all(|job| job.host != *host) => Some(format!(
            "{host} does not have the job {job} now, or does not run"
        )),
        Some(_) => None,
        None if now.jobs.is_empty() => Some(format!("no host that runs has the job {job}")),
        None => now.jobs.iter().all(is_drained).then(|| {
            let hosts: Vec<String> = now.jobs.iter().map(|job| job.host.clone()).collect();
            format!(
                "every host that has the job {job} is drained: {}",
                join(&hosts)
            )
        }),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use leasehold_lock::Token;
    use leasehold_records::fixtures::job_record;
    use leasehold_records::{JobHold, TriggerState};

    use super::*;

    fn mark() -> HoldMark {
        HoldMark {
            by: "ann@vm".into(),
            why: "the disk is full".into(),
            at_unix_ms: UnixMs::new(0),
            until_unix_ms: None,
        }
    }

    fn job(state: JobState) -> JobRecord {
        JobRecord {
            lock: "billing".into(),
            ..job_record("ledger", "web1", state)
        }
    }

    fn situation(state: JobState) -> JobSituation {
        JobSituation {
            paused: None,
            all_paused: None,
            host: None,
            drained: None,
            running: None,
            jobs: vec![job(state)],
            open: None,
        }
    }

    fn refusal(change: impl FnOnce(&mut JobSituation)) -> String {
        let mut situation = situation(JobState::Sleeping);
        change(&mut situation);
        find_refusal("ledger", &situation, UnixMs::new(63_000)).unwrap_or_default()
    }

    #[test]
    fn sleeping_or_ended_job_is_run() {
        for state in [JobState::Sleeping, JobState::Finished, JobState::Failed] {
            assert_eq!(
                find_refusal("ledger", &situation(state), UnixMs::new(0)),
                None
            );
        }
    }

    #[test]
    fn refusal_names_operator_host_and_remedy() {
        let open = TriggerRecord {
            id: "1".into(),
            job: "ledger".into(),
            by: "bob@vm".into(),
            why: String::new(),
            at_unix_ms: UnixMs::new(60_000),
            config: BTreeMap::new(),
            host: None,
            state: TriggerState::Open,
        };
        let running = HeldRun {
            job: "ledger".into(),
            host: "web1".into(),
            key: "/leasehold/locks/billing/42".into(),
            token: Token::new(42),
            since: UnixMs::new(0),
        };
        let hold = JobHold {
            kind: HoldKind::Drained,
            mark: mark(),
        };
        let lines = [
            refusal(|now| now.paused = Some(mark())),
            refusal(|now| now.all_paused = Some(mark())),
            refusal(|now| {
                now.host = Some("web1".into());
                now.drained = Some(mark());
            }),
            refusal(|now| now.running = Some(running)),
            refusal(|now| now.jobs = vec![job(JobState::Waiting)]),
            refusal(|now| now.open = Some(open)),
            refusal(|now| now.jobs.clear()),
            refusal(|now| now.host = Some("web9".into())),
            refusal(|now| now.jobs[0].holds = vec![hold]),
        ];
        insta::assert_snapshot!(lines.join("\n"), @r"
        ledger is paused by ann@vm: the disk is full: `leasehold resume ledger` ends that
        all jobs are paused by ann@vm: the disk is full: `leasehold resume --all` ends that
        web1 is drained by ann@vm: the disk is full: `leasehold undrain web1` ends that
        ledger runs already, on web1 for 1m03s (token 42)
        ledger waits for its lock `billing` already, on web1, and runs when that is free; `leasehold status` shows its holder
        bob@vm requested a run of ledger 3s ago, which no host has taken yet
        no host that runs has the job ledger
        web9 does not have the job ledger now, or does not run
        every host that has the job ledger is drained: web1
        ");
    }
}
