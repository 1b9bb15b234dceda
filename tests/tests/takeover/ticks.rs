//! Ticks on hosts whose wall clocks differ, through a kill in the middle of a run: each is run once.
//!
//! The clocks are moved by libfaketime, in the hosts alone and by wall time alone: deadlines are not its business.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use leasehold_records::{Outcome, RunRecord, TickRecord, TickState};
use leasehold_tests::checks::{self, Circumstances};
use leasehold_tests::etcd::{Etcd, Version};
use leasehold_tests::events::Event;
use leasehold_tests::guests::{self, Config, Job, config};
use leasehold_tests::host::{HostProcess, merged};
use leasehold_tests::on_every_store;
use leasehold_tests::wait::eventually;

use crate::scene::{SLACK, end_host, kept_running, next, runs, token};

on_every_store!(
    no_tick_runs_twice_on_hosts_half_a_minute_apart,
    a_cut_off_tick_is_finished_by_the_next_host_once,
    a_clock_that_is_years_ahead_stops_no_schedule,
    a_clock_that_is_years_off_stands_back_beside_two_that_agree,
);

const JOB: &str = "tick";
const TTL: std::time::Duration = std::time::Duration::from_secs(2);
/// Difference between the clocks, in seconds.
const BEHIND: i64 = -30;
/// A clock that is years off, in seconds.
const YEARS: i64 = 1_500 * 24 * 3_600;

fn host(name: &str, etcd: &Etcd, schedule: impl Fn(Job) -> Job) -> Result<Config> {
    let heartbeat = guests::heartbeat()?;
    Ok(config(name, &etcd.endpoint())
        .grace("300ms")
        .job(JOB, |job| {
            schedule(kept_running(job, TTL).plugin(&heartbeat))
        }))
}

/// Every second; each run takes the next ones too, which are left out.
fn every_second(job: Job) -> Job {
    job.key("cron", "* * * * * *").args(&["25", "100"])
}

fn no_tick_runs_twice_on_hosts_half_a_minute_apart(version: Version) -> Result<()> {
    let etcd = Etcd::start(version)?;
    let mut slow = HostProcess::start_at(BEHIND, &host("slow", &etcd, every_second)?)?;
    // Killed in the middle of a run, while the other waits for the lock.
    let begun = runs(&slow, 0, JOB)?;
    let mut right = HostProcess::start(&host("right", &etcd, every_second)?)?;
    next(&right, 0, JOB, "waiting")?;
    slow.kill()?;
    let cut_off = slow.events();
    let end = cut_off
        .iter()
        .find(|event| event.is("run-ended") && event.run() == begun.run());
    ensure!(end.is_none(), "it had ended: {end:?}");
    let ended = next(&right, 0, JOB, "run-ended")?;
    ensure!(
        ended.outcome() == Some("done") && token(&ended)? > token(&begun)?,
        "{ended}"
    );
    // Another host of its name finds that it is behind, and leaves the ticks to the hosts ahead.
    let mut again = HostProcess::start_at(BEHIND, &host("slow", &etcd, every_second)?)?;
    let skipped = again.wait_for(SLACK, |event| event.is("skipped"))?;
    let reason = skipped.str("reason").unwrap_or_default();
    ensure!(reason.starts_with("right is at the tick of"), "{skipped}");
    let mark = right.mark();
    runs(&right, mark, JOB)?;
    right.kill()?;
    // Half a minute's ticks have been run: until its own clock is there, nothing is run by it.
    let mark = again.mark();
    let behind = again.wait_after(mark, SLACK, |event| event.is("skipped"))?;
    ensure!(
        behind
            .str("reason")
            .is_some_and(|reason| reason.contains("right")),
        "{behind}"
    );
    end_host(&mut again)?;
    let hosts = [&slow, &right, &again];
    let ran_late = again.events().iter().any(|event| event.is("run-started"));
    ensure!(!ran_late, "a host that is behind ran a tick again");
    once_each(&etcd, &merged(&hosts))?;
    let killed = Circumstances::default().killed("slow").killed("right");
    checks::all(&merged(&hosts), &killed).map_err(anyhow::Error::msg)
}

fn a_cut_off_tick_is_finished_by_the_next_host_once(version: Version) -> Result<()> {
    // The current slot of a year is a tick that lasts for the whole test, on any clock.
    let yearly = |job: Job| job.every("365days");
    let long = |job: Job| yearly(job).args(&["0", "50"]);
    let short = |job: Job| yearly(job).args(&["3", "50"]);
    let etcd = Etcd::start(version)?;
    let mut first = HostProcess::start(&host("first", &etcd, long)?)?;
    let begun = runs(&first, 0, JOB)?;
    let mut second = HostProcess::start_at(BEHIND, &host("second", &etcd, short)?)?;
    next(&second, 0, JOB, "waiting")?;
    first.kill()?;
    let resumed = next(&second, 0, JOB, "run-started")?;
    ensure!(
        resumed.str("tick") == begun.str("tick"),
        "{resumed} after {begun}"
    );
    ensure!(resumed.value()["attempt"] == 2, "{resumed}");
    next(&second, 0, JOB, "released")?;
    let record = record(&etcd)?;
    ensure!(
        (record.state, record.outcome) == (TickState::Done, Some(Outcome::Done)),
        "{record:?}"
    );
    ensure!(
        (record.host.as_str(), record.attempt) == ("second", 2),
        "{record:?}"
    );
    // A host that starts now finds the tick done, and requests no lock.
    let mut third = HostProcess::start(&host("first", &etcd, short)?)?;
    let skipped = third.wait_for(SLACK, |event| event.is("skipped"))?;
    let reason = skipped.str("reason").unwrap_or_default();
    ensure!(reason.ends_with("was already run by second"), "{skipped}");
    end_host(&mut third)?;
    end_host(&mut second)?;
    let asked = third.events();
    let asked = asked
        .iter()
        .find(|event| event.is("acquired") || event.is("waiting"));
    ensure!(asked.is_none(), "{asked:?}");
    let hosts = [&first, &second, &third];
    once_each(&etcd, &merged(&hosts))?;
    let killed = Circumstances::default().killed("first");
    checks::all(&merged(&hosts), &killed).map_err(anyhow::Error::msg)
}

/// A short run every second.
fn brief(job: Job) -> Job {
    job.every("1s").args(&["2", "20"])
}

/// Waits until `host` has run a tick to its end, after `mark`.
fn runs_a_tick(host: &HostProcess, mark: usize) -> Result<Event> {
    let done = |event: &Event| event.is("run-ended") && event.outcome() == Some("done");
    host.wait_after(mark, SLACK, done)
}

fn a_clock_that_is_years_ahead_stops_no_schedule(version: Version) -> Result<()> {
    let etcd = Etcd::start(version)?;
    let mut good = HostProcess::start(&host("good", &etcd, brief)?)?;
    runs_a_tick(&good, 0)?;
    end_host(&mut good)?;
    let mut odd = HostProcess::start_at(YEARS, &host("odd", &etcd, brief)?)?;
    runs_a_tick(&odd, 0)?;
    end_host(&mut odd)?;
    let left = record(&etcd)?;
    ensure!(left.host == "odd", "{left:?}");
    // The next host with a right clock does not believe it, logs that once, and runs its own ticks.
    let mut next = HostProcess::start(&host("good", &etcd, brief)?)?;
    let told = next.wait_for(SLACK, |event| event.is("tick-disbelieved"))?;
    ensure!(told.str("by") == Some("odd"), "{told}");
    ensure!(told.str("its_clock") > told.str("our_clock"), "{told}");
    for _ in 0..2 {
        let mark = next.mark();
        runs_a_tick(&next, mark)?;
    }
    let told = next.events();
    let told = told.iter().filter(|event| event.is("tick-disbelieved"));
    ensure!(told.count() == 1, "it was told more than once");
    let repaired = record(&etcd)?;
    ensure!(
        repaired.host == "good" && repaired.tick_unix_ms < left.tick_unix_ms,
        "{repaired:?} after {left:?}"
    );
    // The clock of the other is right again.
    let mut mended = HostProcess::start(&host("odd", &etcd, brief)?)?;
    end_host(&mut next)?;
    let mark = mended.mark();
    runs_a_tick(&mended, mark)?;
    end_host(&mut mended)?;
    let hosts = [&good, &odd, &next, &mended];
    checks::all(&merged(&hosts), &Circumstances::default()).map_err(anyhow::Error::msg)
}

fn a_clock_that_is_years_off_stands_back_beside_two_that_agree(version: Version) -> Result<()> {
    for off in [YEARS, -YEARS] {
        let etcd = Etcd::start(version)?;
        let mut first = HostProcess::start(&host("first", &etcd, brief)?)?;
        let mut second = HostProcess::start(&host("second", &etcd, brief)?)?;
        for host in [&first, &second] {
            host.wait_for(SLACK, |event| event.is("run-ended") || event.is("skipped"))?;
        }
        let mut odd = HostProcess::start_at(off, &host("odd", &etcd, brief)?)?;
        let is_odd = |event: &Event| {
            let reason = event.str("reason").unwrap_or_default();
            event.is("standing-back") && reason.contains("the clock of this host seems wrong")
        };
        let stands = odd.wait_for(SLACK, is_odd)?;
        let reason = stands.str("reason").unwrap_or_default();
        ensure!(reason.contains("chrony"), "{stands}");
        // It has run nothing from its start, and the others keep running theirs.
        let ours = record(&etcd)?;
        eventually(SLACK, "three more ticks are run", || {
            let now = record(&etcd)?;
            ensure!(
                now.tick_unix_ms >= ours.tick_unix_ms.after(std::time::Duration::from_secs(3)),
                "{now:?}"
            );
            Ok(())
        })?;
        let events = odd.events();
        let ran = events.iter().find(|event| event.is("run-started"));
        ensure!(ran.is_none(), "{ran:?}");
        let told = events.iter().filter(|event| is_odd(event));
        ensure!(told.count() == 1, "it was told more than once");
        for host in [&mut odd, &mut first, &mut second] {
            end_host(host)?;
        }
        let hosts = [&first, &second, &odd];
        checks::all(&merged(&hosts), &Circumstances::default()).map_err(anyhow::Error::msg)?;
    }
    Ok(())
}

fn record(etcd: &Etcd) -> Result<TickRecord> {
    let json = etcd.etcdctl(&["get", "--print-value-only", "/leasehold/ticks/tick"])?;
    Ok(TickRecord::from_json(json.trim().as_bytes())?)
}

/// In the events and in the records alike: every tick was run to its end once at most, and by increasing
/// tokens.
fn once_each(etcd: &Etcd, events: &[Event]) -> Result<()> {
    let started: Vec<&Event> = events
        .iter()
        .filter(|event| event.is("run-started"))
        .collect();
    ensure!(started.len() >= 2, "too little happened: {started:?}");
    let tokens: Vec<u64> = started.iter().filter_map(|event| event.token()).collect();
    ensure!(tokens.is_sorted(), "tokens went back: {tokens:?}");
    let mut ends: BTreeMap<&str, Vec<&Event>> = BTreeMap::new();
    for start in &started {
        let tick = start
            .str("tick")
            .with_context(|| format!("no tick in {start}"))?;
        let end = events
            .iter()
            .find(|event| event.is("run-ended") && event.run() == start.run());
        ends.entry(tick)
            .or_default()
            .extend(end.filter(|end| end.outcome() == Some("done")));
    }
    for (tick, ends) in &ends {
        ensure!(
            ends.len() <= 1,
            "{tick} was run {} times: {ends:?}",
            ends.len()
        );
    }
    let done = |run: &&RunRecord| run.outcome == Outcome::Done;
    eventually(SLACK, "no tick is recorded as done twice", || {
        let json = etcd.etcdctl(&[
            "get",
            "--prefix",
            "--print-value-only",
            "/leasehold/runs/tick/",
        ])?;
        let runs = json.lines().filter(|line| !line.is_empty());
        let runs: Vec<RunRecord> = runs
            .map(|line| Ok(RunRecord::from_json(line.as_bytes())?))
            .collect::<Result<_>>()?;
        let mut ticks: Vec<Option<leasehold_records::UnixMs>> = runs
            .iter()
            .filter(done)
            .map(|run| run.tick_unix_ms)
            .collect();
        let all = ticks.len();
        ticks.sort_unstable();
        ticks.dedup();
        ensure!(ticks.len() == all && !ticks.contains(&None), "{runs:?}");
        Ok((!runs.is_empty()).then_some(()))
    })?;
    let last = record(etcd)?;
    let latest = events
        .iter()
        .filter(|event| event.is("run-started"))
        .filter_map(Event::token)
        .max();
    ensure!(
        Some(last.token.get()) == latest,
        "{last:?} after {latest:?}"
    );
    Ok(())
}
