//! A day in the life of three hosts and their operator, from the package to the backup.
//!
//! The Debian package is packed from the built program and unpacked into three roots. In each, the unit's command runs as
//! the unit's user, and the operator types the installed program's commands. The scenario prints what was typed and
//! answered: `cargo nextest run -p leasehold-tests --test day --no-capture`.

mod changes;
mod guests;
mod machine;
mod morning;
mod night;
mod operator;
mod orders;
mod package;
mod unit;

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, ensure};
use leasehold_tests::bank;
use leasehold_tests::etcd::{Etcd, Version};
use leasehold_tests::events::Event;
use serde_json::Value;

use machine::Machine;
use operator::{json, json_at_last};
use package::Package;

/// Machines and their etcd.
struct Day {
    // Before the store: hosts end first.
    machines: Vec<Machine>,
    etcd: Etcd,
    // Its folder has the roots.
    _package: Package,
}

impl Day {
    /// The machine at whose shell the operator sits, unless a step takes another one.
    fn desk(&self) -> &Machine {
        &self.machines[2]
    }

    /// Waits until all hosts have a record, and one of them runs `pulse`.
    fn wait_hosts(&self) -> Result<()> {
        let all = |status: &Value| (status["hosts"].as_array()?.len() == 3).then_some(());
        json_at_last(self.desk(), &["status"], all)?;
        self.pulse().map(drop)
    }

    /// Place of the machine whose host runs the job `pulse`, and the token of that run.
    fn pulse(&self) -> Result<(usize, u64)> {
        self.pulse_after(0)
    }

    /// The same of a run with a higher token.
    fn pulse_after(&self, earlier: u64) -> Result<(usize, u64)> {
        let running = |status: &Value| {
            let jobs = status["jobs"].as_array()?;
            let own = jobs.iter().find(|job| job["state"] == "running")?;
            let token = own["token"].as_u64().filter(|token| *token > earlier)?;
            Some((own["host"].as_str()?.to_owned(), token))
        };
        let (host, token) = json_at_last(self.desk(), &["status", "--job", "pulse"], running)?;
        let mut machines = self.machines.iter();
        let place = machines.position(|machine| machine.name == host);
        Ok((place.with_context(|| format!("no machine {host}"))?, token))
    }
}

#[test]
fn a_day_of_three_hosts_ends_as_it_should() -> Result<()> {
    let mut day = morning::install(Etcd::start(Version::V3_5)?)?;
    morning::start(&mut day)?;
    morning::drop_a_plugin_in(&day)?;
    orders::look_why_and_when(&day)?;
    orders::trigger(&day)?;
    orders::pause_over_a_tick(&day)?;
    orders::follow_stop_and_restart(&day)?;
    orders::drain(&mut day)?;
    changes::rotate_a_secret(&day)?;
    changes::roll_a_plugin(&day)?;
    changes::roll_the_program(&mut day)?;
    night::alert_on_a_kill(&mut day)?;
    night::read_what_happened(&day)?;
    night::back_up(&day)?;
    night::no_false_alarm(&day)?;
    ticks_were_run_once(&day)?;
    let transfers = bank::audit(&day.etcd)?;
    ensure!(transfers > 0, "the ledger made no transfer");
    for machine in &mut day.machines {
        machine.stop()?;
    }
    // The end of hosts and store checks the promises over all logs, and the logs against the store's history.
    Ok(())
}

/// No tick of the day has two runs that succeeded, and none was begun again once a run of it had succeeded.
fn ticks_were_run_once(day: &Day) -> Result<()> {
    let runs = json(day.desk(), &["runs", "--limit", "1000"])?;
    let mut done: BTreeMap<(String, u64), u64> = BTreeMap::new();
    for run in runs.as_array().context("runs")? {
        if let Some(tick) = run["tick_unix_ms"].as_u64()
            && run["outcome"] == "done"
        {
            let job = run["job"].as_str().context("a job")?.to_owned();
            *done.entry((job, tick)).or_default() += 1;
        }
    }
    ensure!(done.len() >= 10, "few ticks: {done:?}");
    ensure!(done.values().all(|count| *count == 1), "{done:?}");
    let mut events: Vec<_> = day.machines.iter().flat_map(Machine::events).collect();
    events.sort_by_key(Event::boot_ns);
    // The end of a run names the run, and its start the tick too.
    let mut ticks: BTreeMap<String, (String, String)> = BTreeMap::new();
    let mut finished: BTreeMap<(String, String), Event> = BTreeMap::new();
    for event in events {
        let Some(run) = event.str("run") else {
            continue;
        };
        if event.is("run-started")
            && let (Some(job), Some(tick)) = (event.job(), event.str("tick"))
        {
            let tick = (job.to_owned(), tick.to_owned());
            let before = finished.get(&tick);
            ensure!(before.is_none(), "{event} after {before:?}");
            ticks.insert(run.to_owned(), tick);
        } else if event.is("run-ended")
            && event.outcome() == Some("done")
            && let Some(tick) = ticks.get(run)
        {
            finished.insert(tick.clone(), event.clone());
        }
    }
    ensure!(finished.len() >= 10, "few ticks: {finished:?}");
    Ok(())
}
