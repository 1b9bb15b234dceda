//! Hosts and `etcdctl lock`s of both versions in one queue: at every hand-off the dashboard has them in the order
//! that etcd itself gives at that revision. `scripts/check-go` adds Go's client.

use anyhow::{Context, Result, ensure};
use leasehold_tests::etcd::{Etcd, Version};
use leasehold_tests::etcdctl::RunningEtcdctl;
use leasehold_tests::guests::{self, config_for};
use leasehold_tests::host::HostProcess;
use leasehold_tests::on_etcd;
use leasehold_tests::terminal::Terminal;
use serde_json::Value;

use crate::{ENTRIES, LOCK, NAME, dashboard, etcdctl_lock, held_key, let_go, once, queue_of};

on_etcd!(a_queue_is_in_create_revision_order_at_every_hand_off);

/// Rounds, in each of which everybody in the queue has had a turn.
const ROUNDS: usize = 6;

/// A host that wants the lock again and again, for a beat or two.
fn taker(host: &str, etcd: &Etcd) -> Result<HostProcess> {
    let heartbeat = guests::heartbeat()?;
    let config = config_for(host, etcd).grace("200ms").job("report", |job| {
        job.plugin(&heartbeat)
            .lock(LOCK)
            .every("100ms")
            .args(&["1"])
    });
    HostProcess::start(&config)
}

fn a_queue_is_in_create_revision_order_at_every_hand_off(version: Version) -> Result<()> {
    let etcd = Etcd::start(version)?;
    let mut first = etcdctl_lock(&etcd, Version::V3_4, NAME)?;
    held_key(&first, NAME)?;
    let hosts = [taker("host-a", &etcd)?, taker("host-b", &etcd)?];
    queue_of(&etcd, 3)?;
    let terminal = dashboard(&etcd.endpoint(), "--view queue")?;
    let mut compared = 0;
    for round in 0..ROUNDS {
        // Of the one version and the other, with the hosts before and between them.
        let next = etcdctl_lock(&etcd, Version::ETCD[(round + 1) % 2], NAME)?;
        queue_of(&etcd, 4)?;
        compared += is_in_order(&etcd)?;
        is_drawn(&etcd, &terminal)?;
        let_go(first)?;
        // While it passes from one to the next, wherever that happens to be.
        compared += is_in_order(&etcd)?;
        held_key(&next, NAME)?;
        is_drawn(&etcd, &terminal)?;
        first = next;
    }
    ensure!(compared >= 10, "{compared} orders were compared");
    let turns = hosts.iter().flat_map(HostProcess::events);
    let turns = turns.filter(|event| event.is("acquired")).count();
    println!("{version:?}: {turns} turns of the hosts, {ROUNDS} of etcdctl");
    ensure!(turns >= ROUNDS, "the hosts had {turns} turns");
    drop::<RunningEtcdctl>(first);
    Ok(())
}

/// The keys that `--once` has are those of etcd at the same revision, in the same order. Gives how many orders
/// were compared.
fn is_in_order(etcd: &Etcd) -> Result<usize> {
    let all = once(&etcd.endpoint())?;
    let revision = all["revision"].to_string();
    let told = etcd.etcdctl(&[
        "get",
        ENTRIES,
        "--prefix",
        "--keys-only",
        "--sort-by=CREATE",
        "--order=ASCEND",
        &format!("--rev={revision}"),
    ])?;
    let told: Vec<&str> = told.lines().filter(|line| !line.is_empty()).collect();
    let locks = all["locks"].as_array().context("no locks")?;
    let queue = locks.iter().find(|lock| lock["name"] == NAME);
    let queue = queue.and_then(|lock| lock["queue"].as_array());
    let queue = queue.with_context(|| format!("no queue in {all}, but {told:?}"))?;
    let shown: Vec<&str> = queue
        .iter()
        .filter_map(|place| place["key"].as_str())
        .collect();
    ensure!(shown == told, "at {revision}: {shown:?}, but {told:?}");
    let tokens: Vec<i64> = queue
        .iter()
        .filter_map(|place| place["token"].as_i64())
        .collect();
    ensure!(tokens.is_sorted(), "at {revision}: {tokens:?}");
    Ok(1)
}

/// Waits until the Queue view has the tokens of etcd, in order. The holder stays the same.
fn is_drawn(etcd: &Etcd, terminal: &Terminal) -> Result<()> {
    terminal.wait("the queue as etcd has it", |screen| {
        let answer = etcd.etcdctl(&["get", ENTRIES, "--prefix", "-w", "json"])?;
        let answer: Value = serde_json::from_str(&answer)?;
        let keys = answer["kvs"].as_array().context("no queue")?;
        let mut told: Vec<u64> = keys
            .iter()
            .filter_map(|key| key["create_revision"].as_u64())
            .collect();
        told.sort_unstable();
        let rows = screen
            .lines()
            .skip_while(|line| !line.contains("PLACE"))
            .filter(|line| line.contains("HOLD ") || line.contains("+- #"));
        let shown = rows.map(|row| {
            let token = row
                .split_whitespace()
                .find_map(|word| word.parse::<u64>().ok());
            token.with_context(|| format!("no token in {row:?}"))
        });
        let shown = shown.collect::<Result<Vec<u64>>>()?;
        ensure!(shown == told, "{shown:?}, but {told:?}");
        Ok(())
    })
}
