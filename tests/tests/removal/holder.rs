//! A holder that works while it is forced out.

use anyhow::{Context, Result, ensure};
use leasehold_tests::etcd::{Etcd, Version};
use leasehold_tests::host::HostProcess;
use leasehold_tests::on_every_store;
use leasehold_tests::wait::{boot_ns, eventually};
use serde_json::Value;

use crate::{ENTRIES, ONE_DELIVERY, SLACK, change, lease_of, newest_write, writer};
use leasehold_tests::command::leasehold;

on_every_store!(
    a_holder_whose_lease_is_revoked_is_stopped_at_once,
    a_holder_whose_key_is_deleted_is_stopped_at_once,
    a_holder_whose_key_becomes_a_hold_is_stopped_at_once,
    a_holder_whose_key_becomes_a_strangers_is_stopped_at_once,
);

/// Way in which an operator forces a holder out.
#[derive(Debug, Clone, Copy)]
enum By {
    RevokingItsLease,
    DeletingItsKey,
    /// Then a foreign entry is put under the same key, without a lease.
    PuttingAHoldInItsPlace,
    /// Then a foreign entry is put under the same key, with a lease of its own.
    PuttingAStrangerInItsPlace,
}

impl By {
    /// Removes the entry and gives the revision at which it went.
    fn remove(self, etcd: &Etcd, key: &str, stranger: &str) -> Result<u64> {
        match self {
            Self::RevokingItsLease => change(etcd, &["lease", "revoke", lease_of(key)?]),
            Self::DeletingItsKey => change(etcd, &["del", key]),
            Self::PuttingAHoldInItsPlace => {
                let went = change(etcd, &["del", key])?;
                change(etcd, &["put", key, "stranger"])?;
                Ok(went)
            }
            Self::PuttingAStrangerInItsPlace => {
                let went = change(etcd, &["del", key])?;
                change(etcd, &["put", key, "stranger", "--lease", stranger])?;
                Ok(went)
            }
        }
    }

    /// Part of the detail that the run's record must hold.
    const fn recorded_detail_part(self) -> &'static str {
        match self {
            Self::RevokingItsLease => "the server ended its lease although it was",
            _ => "by hand",
        }
    }
}

fn forced_out(version: Version, by: By) -> Result<()> {
    let etcd = Etcd::start(version)?;
    let stranger = grant_lease(&etcd)?;
    let config = writer("host-a", &etcd)?;
    let mut host = HostProcess::start(&config)?;
    let token = host
        .wait_for(SLACK, |event| event.is("acquired"))?
        .token()
        .context("a grant without a token")?;
    // It is in the middle of its work, not at the beginning of it.
    host.wait_for(SLACK, |event| {
        event.is("progress") && event.u64("done") >= Some(20)
    })?;
    // The next holder is not the host: nothing may write after the removal.
    change(&etcd, &["put", &format!("{ENTRIES}maintenance"), "by hand"])?;
    let key = etcd.wait_holder(ENTRIES, SLACK)?;

    let went = by.remove(&etcd, &key, &stranger)?;
    let removed_ns = boot_ns();
    let ended = host.wait_for(SLACK, |event| event.is("run-ended"))?;
    let lost = host.wait_for(SLACK, |event| event.is("lock-lost"))?;
    let stopped_ns = ended.stopped_ns().context("a run without an end")?;
    let lost_ns = lost.boot_ns().context("a loss without a time")?;
    println!(
        "{version:?} {by:?}: stopped {:+.1} ms from etcdctl's return, {:+.1} ms from lock-lost",
        ms_from(removed_ns, stopped_ns),
        ms_from(lost_ns, stopped_ns),
    );
    ensure!(
        ended.outcome() == Some("lost") && ended.token() == Some(token),
        "{ended}"
    );
    ensure!(
        u128::from(stopped_ns.saturating_sub(removed_ns)) <= ONE_DELIVERY.as_nanos(),
        "stopped only {:.1} ms after etcdctl returned",
        ms_from(removed_ns, stopped_ns)
    );
    let newest = newest_write(&etcd)?;
    ensure!(
        newest < went,
        "the loser wrote at {newest}, after its removal at {went}"
    );

    let detail = recorded_detail(&config, token)?;
    println!("{version:?} {by:?}: the record says: {detail}");
    for part in ["host-a", &key, by.recorded_detail_part()] {
        ensure!(detail.contains(part), "{part:?} is not in {detail:?}");
    }
    host.term()?;
    ensure!(host.wait_exit(SLACK)?.code() == Some(0));
    Ok(())
}

/// A lease that is not the host's, as etcdctl names it.
fn grant_lease(etcd: &Etcd) -> Result<String> {
    let answer = etcd.etcdctl(&["lease", "grant", "600", "-w", "json"])?;
    let answer: Value = serde_json::from_str(&answer)?;
    let lease = answer["ID"].as_i64();
    lease
        .map(|lease| format!("{lease:x}"))
        .with_context(|| format!("no lease in {answer}"))
}

/// Detail of the run with this token from `leasehold runs`, once its outcome is `lost`.
fn recorded_detail(config: &impl std::fmt::Display, token: u64) -> Result<String> {
    eventually(SLACK, "the record of the lost run", || {
        let output = leasehold(config, &["runs", "ledger", "--format", "json"])?;
        ensure!(output.code == Some(0), "{}", output.stderr);
        let runs: Vec<Value> = serde_json::from_str(&output.stdout)?;
        let run = runs.iter().find(|run| run["token"] == token);
        let run = run.with_context(|| format!("no run {token} in {}", output.stdout))?;
        ensure!(run["outcome"] == "lost", "{run}");
        ensure!(run["host"] == "host-a", "{run}");
        run["detail"]
            .as_str()
            .map(str::to_owned)
            .context("no detail")
    })
}

#[expect(
    clippy::cast_precision_loss,
    reason = "a difference of moments, to be read by people"
)]
fn ms_from(start_ns: u64, end_ns: u64) -> f64 {
    (end_ns as f64 - start_ns as f64) / 1e6
}

fn a_holder_whose_lease_is_revoked_is_stopped_at_once(version: Version) -> Result<()> {
    forced_out(version, By::RevokingItsLease)
}

/// Promise P6. Fails on the mutant "a lost run is not written down", see scripts/mutants.
fn a_holder_whose_key_is_deleted_is_stopped_at_once(version: Version) -> Result<()> {
    forced_out(version, By::DeletingItsKey)
}

fn a_holder_whose_key_becomes_a_hold_is_stopped_at_once(version: Version) -> Result<()> {
    forced_out(version, By::PuttingAHoldInItsPlace)
}

fn a_holder_whose_key_becomes_a_strangers_is_stopped_at_once(version: Version) -> Result<()> {
    forced_out(version, By::PuttingAStrangerInItsPlace)
}
