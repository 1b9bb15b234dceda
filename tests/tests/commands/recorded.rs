//! Every run is recorded, however many there are, and few writes are needed for it.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use leasehold_lock::{ConnectOptions, Locks};
use leasehold_records::RunRecord;
use leasehold_tests::etcd::{Etcd, Version};
use leasehold_tests::guests::{self, config_for};
use leasehold_tests::host::HostProcess;
use leasehold_tests::on_every_store;

use crate::{SLACK, ends_with};

on_every_store!(async every_run_of_a_busy_host_is_recorded);
on_every_store!(a_tick_costs_few_revisions);

const JOBS: usize = 40;
/// Runs waited for: some seconds of them.
const RUNS: usize = 2500;
/// Runs of each job that must have a record; a hundred are kept.
const LOOKED_AT: usize = 60;

async fn outcomes(etcd: &Etcd) -> Result<HashMap<String, String>> {
    let locks = Locks::connect(ConnectOptions::new(etcd.endpoints())).await?;
    let found = locks.kv().list("/leasehold/runs/", 0).await?;
    locks.close().await;
    let runs = found.iter().map(|kv| RunRecord::from_json(&kv.value));
    runs.map(|run| run.map(|run| (run.run_id, run.outcome.as_str().to_owned())))
        .collect::<Result<_, _>>()
        .context("a record that is none")
}

async fn every_run_of_a_busy_host_is_recorded(version: Version) -> Result<()> {
    let etcd = Etcd::start(version)?;
    let heartbeat = guests::heartbeat()?;
    let mut config = config_for("busy", &etcd).host("max_runs", 200);
    for n in 0..JOBS {
        config = config.job(&format!("k{n:02}"), |job| {
            job.plugin(&heartbeat).restart("10ms", "20ms").args(&["1"])
        });
    }
    let mut host = HostProcess::start(&config)?;
    let mut ended = 0;
    host.wait_for(SLACK * 3, |event| {
        ended += usize::from(event.is("run-ended"));
        ended >= RUNS
    })?;
    host.term()?;
    ends_with(&mut host, 0)?;
    let mut by_job: BTreeMap<String, Vec<(String, String)>> = BTreeMap::new();
    for event in host.events().iter().filter(|event| event.is("run-ended")) {
        let (job, run) = event.job().zip(event.run()).context("whose?")?;
        let outcome = event.outcome().context("no outcome")?;
        let runs = by_job.entry(job.to_owned()).or_default();
        runs.push((run.to_owned(), outcome.to_owned()));
    }
    let recorded = outcomes(&etcd).await?;
    let (mut missing, mut wrong, mut looked_at) = (0, 0, 0);
    for runs in by_job.values() {
        for (run, outcome) in runs.iter().rev().take(LOOKED_AT) {
            looked_at += 1;
            match recorded.get(run) {
                None => missing += 1,
                Some(recorded) if recorded != outcome => wrong += 1,
                Some(_) => {}
            }
        }
    }
    println!("{looked_at} runs looked at, {} records", recorded.len());
    ensure!(
        missing == 0 && wrong == 0,
        "of {looked_at} runs {missing} have no record and {wrong} another outcome; {}",
        host.stderr()
    );
    ensure!(!host.stderr().contains("dropped"), "{}", host.stderr());
    // Old runs are deleted.
    let most = JOBS * 140;
    ensure!(recorded.len() <= most, "{} records", recorded.len());
    Ok(())
}

const TICKS: u64 = 12;

fn a_tick_costs_few_revisions(version: Version) -> Result<()> {
    let etcd = Etcd::start(version)?;
    let hello = guests::c_hello()?;
    let config = config_for("one", &etcd).job("tick", |job| {
        job.plugin(&hello).key("cron", "* * * * * *").args(&["0"])
    });
    let host = HostProcess::start(&config)?;
    let released = |count: u64| {
        let mut seen = 0;
        host.wait_for(SLACK + Duration::from_secs(count), |event| {
            seen += u64::from(event.is("released"));
            seen >= count
        })
    };
    // The first run is written from its start on, since nothing is known of how long one takes.
    released(3)?;
    let before = etcd.revision()?;
    released(3 + TICKS)?;
    let spent = etcd.revision()? - before;
    println!("{spent} revisions for {TICKS} runs");
    // Entry, claim, and mark with release are the protocol's; one more holds the run's record and its job's state.
    // A slow machine may split that one, and either reading may come before it.
    ensure!(
        spent <= TICKS * 4 + TICKS / 2 + 2,
        "{spent} revisions for {TICKS} runs"
    );
    Ok(())
}
