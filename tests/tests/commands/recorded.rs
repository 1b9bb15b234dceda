//! Every run is recorded, however many there are, and few writes are needed for it.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use leasehold_records::RunRecord;
use leasehold_tests::etcd::{Etcd, Version};
use leasehold_tests::guests::{self, config_for};
use leasehold_tests::host::HostProcess;
use leasehold_tests::on_every_store;
use leasehold_tests::suite::read_history;

use crate::{SLACK, ends_with};

on_every_store!(every_run_of_a_busy_host_is_recorded);
on_every_store!(a_tick_costs_few_revisions_and_bytes);

const JOBS: usize = 40;
/// Runs waited for: some seconds of them.
const RUNS: usize = 2500;

fn every_run_of_a_busy_host_is_recorded(version: Version) -> Result<()> {
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
    let mut ended: BTreeMap<(String, String), u64> = BTreeMap::new();
    for event in host.events().iter().filter(|event| event.is("run-ended")) {
        let (job, outcome) = event.job().zip(event.outcome()).context("whose?")?;
        *ended
            .entry((job.to_owned(), outcome.to_owned()))
            .or_default() += 1;
    }
    let records = records(&etcd)?;
    let mut recorded: BTreeMap<(String, String), u64> = BTreeMap::new();
    for run in &records {
        let of = (run.job.clone(), run.outcome.as_str().to_owned());
        *recorded.entry(of).or_default() += run.runs();
    }
    println!(
        "{} records of {} runs",
        records.len(),
        ended.values().sum::<u64>()
    );
    ensure!(
        recorded == ended,
        "recorded are {recorded:?}, of {ended:?}; {}",
        host.stderr()
    );
    ensure!(!host.stderr().contains("dropped"), "{}", host.stderr());
    // Ten of each job at once, then one in ten seconds.
    ensure!(records.len() <= JOBS * 40, "{} records", records.len());
    Ok(())
}

/// Ticks until a job that runs each second has used up the records that it may have at once.
const EARLY: u64 = 14;
const TICKS: u64 = 20;
/// Bytes that a store adds to each key and value that it keeps: revisions, lease, and its own index.
const OVERHEAD: usize = 60;

fn a_tick_costs_few_revisions_and_bytes(version: Version) -> Result<()> {
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
    released(EARLY)?;
    let before = etcd.revision()?;
    released(EARLY + TICKS)?;
    let after = etcd.revision()?;
    let history = read_history(&etcd, SLACK)?.context("nothing was compacted")?;
    let changes = history.changes.iter();
    let changes: Vec<_> = changes
        .filter(|change| (before + 1..=after).contains(&change.revision))
        .collect();
    let bytes = changes.iter().map(|change| {
        let value = change.put.as_ref().map_or(0, |(_, value)| value.len());
        change.key.len() + value + OVERHEAD
    });
    let (bytes, ticks) = (bytes.sum::<usize>(), usize::try_from(TICKS)?);
    println!("{TICKS} ticks: {} revisions, {bytes} bytes", after - before);
    // Entry, claim, and mark with release are the protocol's. The records of the runs and the state of the job are
    // written once in ten seconds, perhaps in two revisions on a slow machine, and either reading may come before.
    ensure!(
        after - before <= TICKS * 3 + 2 * (TICKS / 10 + 1) + 2,
        "{} revisions for {TICKS} runs",
        after - before
    );
    ensure!(bytes <= ticks * 1_050, "{bytes} bytes for {TICKS} runs");
    let runs = records(&etcd)?;
    let recorded: u64 = runs.iter().map(RunRecord::runs).sum();
    ensure!(recorded + 12 >= EARLY + TICKS, "{recorded} runs: {runs:?}");
    Ok(())
}

fn records(etcd: &Etcd) -> Result<Vec<RunRecord>> {
    let text = etcd.etcdctl(&["get", "/leasehold/runs/", "--prefix", "--print-value-only"])?;
    let lines = text.lines().filter(|line| !line.is_empty());
    lines
        .map(|line| Ok(RunRecord::from_json(line.as_bytes())?))
        .collect()
}
