//! An operator forces a holder or a waiter out. The removal takes effect at once, the loser's fenced writes are
//! refused, and the records name the removed host and the way.
//!
//! Gaps are printed; asserted is that no host waited for a renewal or a deadline to notice.

mod frozen;
mod holder;
mod library;
mod waiter;

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use leasehold_tests::etcd::Etcd;
use leasehold_tests::guests::{self, Config, config_for};
use serde_json::Value;

/// For things that will happen.
const SLACK: Duration = Duration::from_secs(20);

/// Far more than one watch delivery takes, far less than the third of the TTL after which a renewal would show it.
const ONE_DELIVERY: Duration = Duration::from_secs(1);

/// The lock that everyone here contends for, and the prefix of its entries.
const LOCK: &str = "billing/ledger";
const ENTRIES: &str = "/leasehold/locks/billing/ledger/";

/// The TTL of every lease here: only a watch shows a removal within [`ONE_DELIVERY`].
const TTL: &str = "10s";

/// A host that writes under the lock without a pause, for ever.
fn writer(host: &str, etcd: &Etcd) -> Result<Config> {
    let plugin = guests::ledger()?;
    Ok(config_for(host, etcd).grace("1s").job("ledger", |job| {
        job.plugin(&plugin)
            .lock(LOCK)
            .ttl(TTL)
            .allow_kv(&["ledger/"])
            .config("prefix", "ledger/")
            .config("forever", true)
            .restart("50ms", "200ms")
    }))
}

/// Runs an `etcdctl` command that changes the store and gives the revision of the change.
fn change(etcd: &Etcd, args: &[&str]) -> Result<u64> {
    let answer = etcd.etcdctl(&[args, &["-w", "json"]].concat())?;
    let answer: Value = serde_json::from_str(&answer).context("reading etcdctl's answer")?;
    answer["header"]["revision"]
        .as_u64()
        .with_context(|| format!("no revision in {answer}"))
}

/// The newest change to any fenced key of the guest.
fn newest_write(etcd: &Etcd) -> Result<u64> {
    let answer = etcd.etcdctl(&["get", "/leasehold/kv/", "--prefix", "-w", "json"])?;
    let answer: Value = serde_json::from_str(&answer).context("reading etcdctl's answer")?;
    let keys = answer["kvs"]
        .as_array()
        .context("the guest wrote nothing")?;
    let newest = keys.iter().filter_map(|key| key["mod_revision"].as_u64());
    newest.max().context("a key without a revision")
}

/// The part of an entry's key that names its lease.
fn lease_of(key: &str) -> Result<&str> {
    let lease = key.rsplit('/').next().unwrap_or_default();
    ensure!(!lease.is_empty(), "{key} names no lease");
    Ok(lease)
}
