//! Random sets of locks in random order, with `etcdctl lock` in between: no deadlock, no overlap.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use fastrand::Rng;
use leasehold_lock::{Acquire, LockEntry, LockMode, Locks};
use leasehold_tests::etcd::{Etcd, Version};
use leasehold_tests::on_every_store;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::oracle::{Acting, EFFECTS, LOCKS, Recorder, Share, check_acting};
use crate::{SLACK, client};

on_every_store!(
    async random_sets_in_random_order_neither_deadlock_nor_overlap,
);

const CLIENTS: usize = 6;
const ROUNDS: usize = 25;
const NAMES: [&str; 4] = ["a", "b", "c", "d"];

/// Takes random pairs and triples in random order, and acts under each.
async fn take_sets(locks: Locks, mut rng: Rng, acted: mpsc::Sender<Acting>) -> Result<()> {
    for round in 0..ROUNDS {
        let mut names = NAMES;
        rng.shuffle(&mut names);
        let set = names.iter().take(rng.usize(2..4)).map(|name| {
            let mode = match rng.u32(0..4) {
                0 => LockMode::Shared,
                _ => LockMode::Exclusive,
            };
            (format!("{LOCKS}{name}"), mode)
        });
        let request = Acquire::all(set.collect::<Vec<_>>());
        let acquired = tokio::time::timeout(SLACK, locks.acquire(request)).await;
        let grant = acquired.with_context(|| format!("deadlock in round {round}"))??;
        let from = Instant::now();
        let keys: Vec<&str> = grant.entries().iter().map(LockEntry::key).collect();
        let effect = format!("{EFFECTS}{}", grant.token());
        let value = keys.join(" ");
        let (kv, fence) = (locks.kv(), grant.fence());
        let put = kv.put_fenced(&fence, &effect, value.as_bytes()).await;
        put.context("a holder's write")?;
        tokio::time::sleep(Duration::from_millis(rng.u64(0..4))).await;
        ensure!(grant.tenure().admits(), "{:?}", grant.tenure().end_reason());
        for key in keys {
            let acting = Acting {
                key: key.to_owned(),
                share: Share::read(key, grant.lease()),
                from,
                until: Instant::now(),
            };
            acted.send(acting).await?;
        }
        grant.release().await?;
    }
    Ok(())
}

/// Runs `etcdctl lock` on one lock after the other, with a command that leaves an effect.
fn take_singly(
    etcd: &Etcd,
    ctl: Version,
    stop: &CancellationToken,
    done: &AtomicUsize,
) -> Result<()> {
    let binary = ctl.etcdctl()?;
    let endpoint = etcd.endpoint();
    for turn in 0.. {
        if stop.is_cancelled() {
            break;
        }
        let name = format!("{LOCKS}{}", NAMES[turn % NAMES.len()]);
        let effect = format!("{EFFECTS}{ctl:?}-{turn}");
        let put = format!(
            "ETCDCTL_API=3 {} --endpoints {endpoint} put {effect} $ETCD_LOCK_KEY",
            binary.display()
        );
        let mut lock = etcd
            .ctl()?
            .version(ctl)?
            .spawn(&["lock", &name, "--", "sh", "-c", &put])?;
        let status = lock.wait_exit(SLACK)?;
        ensure!(status.success(), "{status}: {}", lock.stderr());
        done.fetch_add(1, Ordering::Relaxed);
    }
    Ok(())
}

async fn random_sets_in_random_order_neither_deadlock_nor_overlap(version: Version) -> Result<()> {
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    let mut rng = Rng::with_seed(seed);
    let etcd = Arc::new(Etcd::start(version)?);
    let operator = client(etcd.endpoints()).await?;
    let recorder = Recorder::start(&operator).await?;
    let (acted, mut acting) = mpsc::channel(CLIENTS * ROUNDS * NAMES.len());
    let (stop, foreign) = (CancellationToken::new(), Arc::new(AtomicUsize::new(0)));
    let mut strangers = JoinSet::new();
    for ctl in [Version::V3_4, Version::V3_5] {
        let (etcd, stop, foreign) = (etcd.clone(), stop.clone(), foreign.clone());
        strangers.spawn_blocking(move || take_singly(&etcd, ctl, &stop, &foreign));
    }
    let mut clients = JoinSet::new();
    for _ in 0..CLIENTS {
        let locks = client(etcd.endpoints()).await?;
        clients.spawn(take_sets(locks, rng.fork(), acted.clone()));
    }
    drop(acted);
    let ended: Vec<_> = clients.join_all().await;
    stop.cancel();
    for ended in ended.into_iter().chain(strangers.join_all().await) {
        ended?;
    }
    let story = recorder.finish(&operator).await?;
    let effects = story.check_effects()?;
    story.check_end()?;
    let mut all = Vec::new();
    while let Ok(one) = acting.try_recv() {
        all.push(one);
    }
    check_acting(&all)?;
    let foreign = foreign.load(Ordering::Relaxed);
    println!("{version:?}: {effects} effects, {foreign} of etcdctl");
    ensure!(
        effects == CLIENTS * ROUNDS + foreign && foreign > 3,
        "{effects}, {foreign}"
    );
    Ok(())
}
