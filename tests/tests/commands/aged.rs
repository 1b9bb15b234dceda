//! `history = { age = … }`: old records of a job's runs are deleted, and the others stay.

use std::time::{Duration, SystemTime};

use anyhow::{Result, ensure};
use leasehold_lock::{ConnectOptions, LeaseId, Locks};
use leasehold_records::fixtures::run_record;
use leasehold_records::{Outcome, Root, RunKey, RunRecord, UnixMs};
use leasehold_tests::etcd::{Etcd, Version};
use leasehold_tests::guests::{self, config_for};
use leasehold_tests::host::HostProcess;
use leasehold_tests::on_every_store;
use leasehold_tests::wait::eventually;
use toml::{Table, Value};

use crate::SLACK;

on_every_store!(old_records_are_deleted_after_the_next_run);

/// Ages of the runs in the store, from token 1 on.
const AGES: [Duration; 4] = [
    Duration::from_hours(50),
    Duration::from_hours(2),
    Duration::from_mins(61),
    Duration::from_mins(50),
];

fn old_records_are_deleted_after_the_next_run(version: Version) -> Result<()> {
    let etcd = Etcd::start(version)?;
    for job in ["bounded", "unbounded"] {
        put_runs(&etcd, job)?;
    }
    let heartbeat = guests::heartbeat()?;
    let age = Table::from_iter([("age".to_owned(), Value::from("1h"))]);
    let config = config_for("host-a", &etcd)
        .job("bounded", |job| {
            job.plugin(&heartbeat).args(&["1"]).key("history", age)
        })
        .job("unbounded", |job| job.plugin(&heartbeat).args(&["1"]));
    let host = HostProcess::start(&config)?;
    eventually(SLACK, "the end of the old records", || {
        let kept = old_runs(&etcd, "bounded")?;
        ensure!(kept == [4], "{kept:?}");
        Ok(())
    })?;
    host.wait_for(SLACK, |event| {
        event.is("run-ended") && event.job() == Some("unbounded")
    })?;
    ensure!(old_runs(&etcd, "unbounded")? == [1, 2, 3, 4]);
    Ok(())
}

/// Runs of another host that ended long ago.
#[tokio::main(flavor = "current_thread")]
async fn put_runs(etcd: &Etcd, job: &str) -> Result<()> {
    let locks = Locks::connect(ConnectOptions::new(etcd.endpoints())).await?;
    let now = UnixMs::from_system(SystemTime::now());
    for (token, age) in (1..).zip(AGES) {
        let run = RunRecord {
            started_unix_ms: now.before(age + Duration::from_secs(1)),
            ended_unix_ms: Some(now.before(age)),
            outcome: Outcome::Done,
            ..run_record(job, "host-z", token)
        };
        let key = RunKey {
            job: job.to_owned(),
            token: run.token,
            sequence: 0,
        };
        let key = Root::default().run(&key);
        let kv = locks.kv();
        kv.put(&key, &run.to_json(), LeaseId::NONE).await?;
    }
    locks.close().await;
    Ok(())
}

/// Tokens of the job's runs on that host.
fn old_runs(etcd: &Etcd, job: &str) -> Result<Vec<u64>> {
    let prefix = Root::default().runs_of(job);
    let values = etcd.etcdctl(&["get", "--prefix", "--print-value-only", &prefix])?;
    let runs = values.lines().filter(|line| !line.is_empty());
    let runs = runs.map(|line| RunRecord::from_json(line.as_bytes()));
    let runs: Vec<RunRecord> = runs.collect::<Result<_, _>>()?;
    let old = runs.iter().filter(|run| run.host == "host-z");
    Ok(old.map(|run| run.token.get()).collect())
}
