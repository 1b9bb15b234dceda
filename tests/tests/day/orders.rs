//! Orders: run it now, pause it, stop it, restart it, drain its host; and the answers before and after.

use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Result, ensure};
use leasehold_tests::wait::eventually;
use serde_json::Value;

use crate::Day;
use crate::operator::{
    SLACK, answer, answer_at_last, answer_until, answer_with_code, headline, json, json_at_last,
};

fn unix_ms() -> Result<u64> {
    let since = SystemTime::now().duration_since(UNIX_EPOCH)?;
    Ok(u64::try_from(since.as_millis())?)
}

/// The nominal times of the job's ticks that were run.
fn ticks(runs: &Value) -> Vec<u64> {
    let runs = runs.as_array().into_iter().flatten();
    runs.filter_map(|run| run["tick_unix_ms"].as_u64())
        .collect()
}

/// A job that sleeps until the New Year, and one whose lock another client has.
pub(crate) fn look_why_and_when(day: &Day) -> Result<()> {
    headline("Why is it not running? When does it run next, as a clock time?");
    let new_year = "03:00 Europe/Berlin";
    answer(
        day.desk(),
        &["explain", "billing"],
        &["billing does not run", "next tick at", new_year, "(in "],
    )?;
    answer(
        day.desk(),
        &["status", "--job", "billing"],
        &["billing", "03:00"],
    )?;
    answer_at_last(
        day.desk(),
        &["explain", "pulse", "--host", "web1"],
        &["web1: "],
    )?;
    Ok(())
}

/// One run at once, on any host.
pub(crate) fn trigger(day: &Day) -> Result<()> {
    headline("Run it now");
    let args = [
        "trigger",
        "billing",
        "--wait",
        "--why",
        "the customer waits",
    ];
    answer_with_code(day.desk(), &args, 0, &["the key ends in 7f", "done"])?;
    let runs = json(day.desk(), &["runs", "billing"])?;
    ensure!(runs[0]["manual"]["why"] == "the customer waits", "{runs}");
    ensure!(runs[0]["tick_unix_ms"].is_null(), "it took a tick: {runs}");
    Ok(())
}

/// The ticks of a pause are left out, and the job goes on afterwards.
pub(crate) fn pause_over_a_tick(day: &Day) -> Result<()> {
    headline("Pause it, over a tick");
    answer(
        day.desk(),
        &["pause", "report", "--why", "the disk is full"],
        &["report is paused", "no new run starts"],
    )?;
    let paused = unix_ms()?;
    answer(
        day.desk(),
        &["explain", "report"],
        &["report does not run", "paused by", "the disk is full"],
    )?;
    let refused = ["trigger", "report"];
    answer_with_code(day.desk(), &refused, 6, &["paused", "the disk is full"])?;
    // A tick comes each three seconds.
    eventually(SLACK, "a tick to pass", || {
        let now = unix_ms()?;
        ensure!(now / 3000 > paused / 3000 + 1, "it is {now}");
        Ok(())
    })?;
    let resumed = unix_ms()?;
    answer(day.desk(), &["resume", "report"], &["report is resumed"])?;
    let later = |runs: &Value| ticks(runs).into_iter().find(|tick| *tick > resumed);
    json_at_last(day.desk(), &["runs", "report", "--limit", "100"], later)?;
    let runs = json(day.desk(), &["runs", "report", "--limit", "100"])?;
    let between = |tick: &u64| *tick > paused && *tick <= resumed;
    ensure!(
        !ticks(&runs).iter().any(between),
        "a run in the pause: {runs}"
    );
    answer(day.desk(), &["explain", "report"], &["report"])?;
    Ok(())
}

/// The output of a run under way, and the end of that run, twice.
pub(crate) fn follow_stop_and_restart(day: &Day) -> Result<()> {
    headline("What does it print? Stop or restart this run");
    let (_, token) = day.pulse()?;
    let words = format!("token={token}");
    answer_at_last(day.desk(), &["logs", "pulse"], &[&words])?;
    answer_until(day.desk(), &["logs", "pulse", "--follow"], &words)?;
    let stop = ["stop", "pulse", "--why", "it looks odd"];
    answer(day.desk(), &stop, &["pulse"])?;
    let (_, after_stop) = day.pulse_after(token)?;
    let restart = ["restart", "pulse", "--why", "once more"];
    answer(day.desk(), &restart, &["pulse"])?;
    day.pulse_after(after_stop)?;
    let first = token.to_string();
    let runs = answer(day.desk(), &["runs", "pulse"], &[&first, "stopped"])?;
    ensure!(runs.matches("stopped").count() >= 2, "{runs}");
    Ok(())
}

/// The host of pulse is emptied, ends, and comes back.
pub(crate) fn drain(day: &mut Day) -> Result<()> {
    headline("Drain this host");
    let (place, token) = day.pulse()?;
    let name = day.machines[place].name;
    // The operator sits at another machine.
    let desk = (place + 1) % day.machines.len();
    let args = ["drain", name, "--stop", "--why", "a new disk"];
    answer(&day.machines[desk], &args, &[name])?;
    day.machines[place].wait_end()?;
    let (other, _) = day.pulse_after(token)?;
    ensure!(other != place, "pulse runs on {name}, which is drained");
    let absent = format!("{name} does not run: drained by ada@");
    for args in [
        &["status"][..],
        &["status", "--host", name],
        &["explain", "pulse", "--host", name],
    ] {
        answer(&day.machines[desk], args, &[&absent, "a new disk"])?;
    }
    answer(&day.machines[desk], &["undrain", name], &[name])?;
    day.machines[place].start()?;
    answer_at_last(
        &day.machines[desk],
        &["status", "--host", name],
        &[name, "pulse"],
    )?;
    Ok(())
}
