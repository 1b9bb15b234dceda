//! Records that together are larger than a message may be: everything that shows them still does.

use anyhow::{Context as _, Result, ensure};
use leasehold_lock::{ConnectOptions, LeaseId, Locks, Token};
use leasehold_records::fixtures::run_record;
use leasehold_records::{Outcome, Root, RunKey, RunRecord, UnixMs};
use leasehold_tests::etcd::{Etcd, Version};
use leasehold_tests::guests::{self, config_for};
use leasehold_tests::{on_etcd, on_every_store};
use serde_json::Value;

use leasehold_tests::command::leasehold;

on_every_store!(
    async seven_megabytes_of_records_are_read_by_all_that_shows_them,
);

on_etcd!(async a_record_larger_than_a_message_is_left_out_and_named);

const RECORDS: u64 = 300;
/// The client takes messages of up to 4 MiB.
const OUTPUT: usize = 25_000;

fn record(token: u64) -> RunRecord {
    RunRecord {
        lock_key: "/leasehold/locks/k/1".into(),
        ended_unix_ms: Some(UnixMs::new(2_000)),
        outcome: Outcome::Done,
        calls_admitted: 1,
        output: "x".repeat(OUTPUT),
        ..run_record(&format!("k{}", token % 3), "loud", token)
    }
}

async fn fill(etcd: &Etcd) -> Result<()> {
    let locks = Locks::connect(ConnectOptions::new(etcd.endpoints())).await?;
    let root = Root::default();
    for token in 1..=RECORDS {
        let record = record(token);
        let key = root.run(&RunKey {
            job: record.job.clone(),
            token: Token::new(token),
            sequence: 0,
        });
        locks
            .kv()
            .put(&key, &record.to_json(), LeaseId::NONE)
            .await?;
    }
    locks.close().await;
    Ok(())
}

async fn seven_megabytes_of_records_are_read_by_all_that_shows_them(
    version: Version,
) -> Result<()> {
    let etcd = Etcd::start(version)?;
    fill(&etcd).await?;
    let hello = guests::c_hello()?;
    let config = config_for("host-a", &etcd).job("k0", |job| job.plugin(&hello));
    for (args, count, newest) in [
        (&["runs", "-n", "500", "--format", "json"][..], 300, 300),
        (&["runs", "-n", "2", "--format", "json"], 2, 300),
        (&["runs", "k1", "-n", "500", "--format", "json"], 100, 298),
    ] {
        let said = leasehold(&config, args)?;
        ensure!(
            said.code == Some(0) && said.stderr.is_empty(),
            "{args:?}: {:?} {}",
            said.code,
            said.stderr
        );
        let runs: Value = serde_json::from_str(&said.stdout)?;
        let runs = runs.as_array().context("no list")?;
        ensure!(runs.len() == count, "{args:?}: {} runs", runs.len());
        ensure!(runs[0]["token"] == newest, "{args:?}: {}", runs[0]["token"]);
    }
    for args in [&["status"][..], &["top", "--once"]] {
        let said = leasehold(&config, args)?;
        ensure!(
            said.code == Some(0) && said.stderr.is_empty(),
            "{args:?}: {:?} {}",
            said.code,
            said.stderr
        );
    }
    Ok(())
}

async fn a_record_larger_than_a_message_is_left_out_and_named(version: Version) -> Result<()> {
    let etcd = Etcd::builder(version)
        .arg("--max-request-bytes=9000000")
        .start()?;
    let locks = Locks::connect(ConnectOptions::new(etcd.endpoints())).await?;
    let root = Root::default();
    for token in 1..=3 {
        let mut record = record(token);
        record.job = "k0".into();
        if token == 2 {
            record.output = "x".repeat(5 << 20);
        }
        let job = record.job.clone();
        let key = root.run(&RunKey {
            job,
            token: Token::new(token),
            sequence: 0,
        });
        locks
            .kv()
            .put(&key, &record.to_json(), LeaseId::NONE)
            .await?;
    }
    locks.close().await;
    let hello = guests::c_hello()?;
    let config = config_for("host-a", &etcd).job("k0", |job| job.plugin(&hello));
    let said = leasehold(&config, &["runs", "--format", "json"])?;
    ensure!(said.code == Some(0), "{:?} {}", said.code, said.stderr);
    let runs: Value = serde_json::from_str(&said.stdout)?;
    ensure!(runs[0]["token"] == 3 && runs[1]["token"] == 1, "{runs}");
    ensure!(
        said.stderr
            .contains("/leasehold/runs/k0/00000000000000000002 is left out"),
        "{}",
        said.stderr
    );
    Ok(())
}
