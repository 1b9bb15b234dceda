//! Two hosts that take turns, again and again, with nothing wrong.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use leasehold_tests::checks::Circumstances;
use leasehold_tests::etcd::{Etcd, Version};
use leasehold_tests::guests::{Config, config, heartbeat, ledger};
use leasehold_tests::host::{HostProcess, merged};
use leasehold_tests::on_every_store;

use crate::scene::{
    LEDGER, PULSE, SLACK, TTL, end_host, judge, kept_running, next, since, wait_queue,
};
use leasehold_tests::bank;

on_every_store!(hosts_that_take_turns_never_overlap_and_conserve_the_total);

/// Turns that each host must get under each lock.
const TURNS: usize = 4;

/// Jobs whose runs are short, so that the lock changes hands all the time.
fn turns(host: &str, etcd: &Etcd) -> Result<Config> {
    let (heartbeat, ledger) = (heartbeat()?, ledger()?);
    Ok(config(host, &etcd.endpoint())
        .job(PULSE, |job| {
            kept_running(job, TTL)
                .plugin(&heartbeat)
                .args(&["4", "20"])
                .restart("10ms", "1s")
        })
        .job(LEDGER, |job| {
            let job = kept_running(job, TTL).plugin(&ledger).restart("10ms", "1s");
            job.allow_kv(&["ledger/"])
                .config("transfers", 4)
                .config("pause_ms", 10)
        }))
}

fn all_had_their_turns(hosts: &[&HostProcess]) -> bool {
    let turns = |host: &HostProcess, job| since(host, 0, job, "acquired").len();
    let mut hosts = hosts.iter();
    hosts.all(|host| turns(host, PULSE) >= TURNS && turns(host, LEDGER) >= TURNS)
}

fn hosts_that_take_turns_never_overlap_and_conserve_the_total(version: Version) -> Result<()> {
    let etcd = Etcd::start(version)?;
    let mut a = HostProcess::start(&turns("a", &etcd)?)?;
    let mut b = HostProcess::start(&turns("b", &etcd)?)?;
    // Both take part, so each has a first run, and no run reports progress before the ledger is founded.
    next(&a, 0, LEDGER, "progress")?;
    let started = Instant::now();
    while !all_had_their_turns(&[&a, &b]) {
        // From its founding on, the ledger adds up at every moment, under any holder.
        bank::audit(&etcd)?;
        if started.elapsed() > SLACK {
            bail!(
                "not everybody had {TURNS} turns in {SLACK:?}: {:?}",
                merged(&[&a, &b])
            );
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    for host in [&mut a, &mut b] {
        end_host(host)?;
    }
    for job in [PULSE, LEDGER] {
        wait_queue(&etcd, job, "no entry", <[String]>::is_empty)?;
    }
    bank::audit(&etcd)?;
    judge(&[&a, &b], &Circumstances::default()).map(drop)
}
