//! Random histories: clients take locks in every mode, singly and in sets, while leases are revoked, entries deleted and
//! clients cut off for good.
//!
//! The oracle then has the store's own history: readers are never beside a writer, weights never over the capacity, the
//! order is kept, and nothing acts under an entry that does not exist. In the end all permits can be had at once.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use fastrand::Rng;
use leasehold_lock::{
    Acquire, AcquireError, ConnectOptions, Grant, LeaseId, LockEntry, LockMode, LockWait, Locks,
    Token,
};
use leasehold_tests::etcd::{Etcd, Version};
use leasehold_tests::on_every_store;
use leasehold_tests::proxy::{FaultProxy, Mode};
use leasehold_tests::wait::eventually_async;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::oracle::{Acting, EFFECTS, LOCKS, Recorder, Share, check_acting, pause};
use crate::{SLACK, client, note};

on_every_store!(
    async random_histories_keep_every_promise_of_the_modes,
);

/// Clients that take locks, each with several acquisitions at a time.
const CLIENTS: usize = 4;
const TASKS: usize = 4;
/// Time for which they do.
const TIME: Duration = Duration::from_secs(6);
const TTL: Duration = Duration::from_secs(3);
const CAPACITY: u32 = 3;

/// Observations of all clients.
#[derive(Default)]
struct Notes {
    grants: Vec<(String, Token)>,
    acting: Vec<Acting>,
    errors: Vec<AcquireError>,
}

struct Contest {
    notes: Mutex<Notes>,
    stop: CancellationToken,
}

impl Contest {
    fn note(&self, note: impl FnOnce(&mut Notes)) {
        note(&mut self.notes.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// Takes locks, acts and lets go, until the contest is over or the client was cut off.
    async fn contend(self: Arc<Self>, locks: Locks, mut rng: Rng) -> Result<()> {
        while !self.stop.is_cancelled() {
            let (request, most) = random_request(&mut rng);
            let acquiring = tokio::time::timeout(most, locks.acquire(request));
            match acquiring.await {
                // Dropped in the queue, or on its way there.
                Err(_) => {}
                Ok(Err(error)) => self.note(|notes| notes.errors.push(error)),
                Ok(Ok(grant)) => self.act(&locks, grant, &mut rng).await,
            }
        }
        Ok(())
    }

    async fn act(&self, locks: &Locks, grant: Grant, rng: &mut Rng) {
        let from = Instant::now();
        let entries = grant.entries().to_vec();
        let keys: Vec<&str> = entries.iter().map(LockEntry::key).collect();
        let (token, value) = (grant.token(), keys.join(" "));
        self.note(|notes| {
            let grants = keys.iter().map(|key| ((*key).to_owned(), token));
            notes.grants.extend(grants);
        });
        for n in 0..rng.u32(1..3) {
            let key = format!("{EFFECTS}{token}-{n}");
            let _ = locks
                .kv()
                .put_fenced(&grant.fence(), &key, value.as_bytes())
                .await;
            tokio::time::sleep(Duration::from_millis(rng.u64(0..8))).await;
        }
        // One that was forced out may act until it learns of that; only fencing separates it from the next.
        let until = Instant::now();
        if grant.tenure().admits() {
            self.note(|notes| {
                notes.acting.extend(entries.iter().map(|entry| Acting {
                    key: entry.key().to_owned(),
                    share: Share::read(entry.key(), grant.lease()),
                    from,
                    until,
                }));
            });
        }
        if rng.bool() {
            let _ = grant.release().await;
        }
    }
}

fn random_mode(rng: &mut Rng, lock: &str) -> LockMode {
    let permits = |weight| LockMode::permits(weight, CAPACITY).expect("within the capacity");
    match (lock, rng.u32(0..10)) {
        ("rw", 4..) | ("any" | "alone", 1..4) => LockMode::Shared,
        ("sem", 1..) => permits(rng.u32(1..=CAPACITY)),
        ("any", 4..7) => permits(1),
        _ => LockMode::Exclusive,
    }
}

/// A request for one to three of the locks, and the longest that it may take.
fn random_request(rng: &mut Rng) -> (Acquire, Duration) {
    let mut names = ["rw", "sem", "any", "alone"];
    rng.shuffle(&mut names);
    let count = if rng.u32(0..3) == 0 {
        rng.usize(2..4)
    } else {
        1
    };
    let locks: Vec<(String, LockMode)> = names
        .iter()
        .take(count)
        .map(|name| (format!("{LOCKS}{name}"), random_mode(rng, name)))
        .collect();
    let wait = match rng.u32(0..6) {
        0 => LockWait::Never,
        1 => LockWait::AtMost(Duration::from_millis(rng.u64(0..100))),
        _ => LockWait::Forever,
    };
    let most = match rng.u32(0..8) {
        0 => Duration::from_micros(rng.u64(0..20_000)),
        _ => Duration::from_secs(2),
    };
    let margin = Duration::from_millis(250);
    let request = Acquire::all(locks).ttl(TTL).stop_margin(margin).wait(wait);
    (request, most)
}

/// Revokes leases and deletes entries at random, holders' and waiters'.
async fn force_out(operator: Locks, stop: CancellationToken, mut rng: Rng) -> Result<usize> {
    let mut forced = 0;
    while pause(&stop, Duration::from_millis(rng.u64(20..120))).await {
        let entries = operator.kv().list(LOCKS, 0).await?;
        let Some(entry) = rng.choice(&entries) else {
            continue;
        };
        let is_done = if rng.bool() && entry.lease != LeaseId::NONE {
            operator.revoke_lease(entry.lease, &note()).await?
        } else {
            let (key, created) = (entry.key.as_str(), entry.create_revision);
            operator.remove_entry(key, created, &note()).await?
        };
        forced += usize::from(is_done);
    }
    Ok(forced)
}

/// Runs clients behind proxies, and cuts each off after a while: for the store they are dead.
async fn live_and_die(
    contest: Arc<Contest>,
    endpoint: String,
    seed: u64,
    dead: Arc<Mutex<Vec<(Locks, FaultProxy)>>>,
) -> Result<()> {
    let mut rng = Rng::with_seed(seed);
    while !contest.stop.is_cancelled() {
        let proxy = FaultProxy::start(&endpoint)?;
        let locks = Locks::connect(ConnectOptions::new([proxy.endpoint()])).await?;
        let mut tasks = JoinSet::new();
        for _ in 0..TASKS {
            tasks.spawn(contest.clone().contend(locks.clone(), rng.fork()));
        }
        let life = Duration::from_millis(rng.u64(800..3000));
        let is_killed = pause(&contest.stop, life).await;
        if is_killed {
            // Nothing of it arrives any more, not even a release. Its tasks end with it.
            proxy.set(Mode::DropBoth);
            tasks.abort_all();
        }
        while let Some(ended) = tasks.join_next().await {
            if let Ok(ended) = ended {
                ended?;
            }
        }
        let mut dead = dead.lock().unwrap_or_else(PoisonError::into_inner);
        dead.push((locks, proxy));
    }
    Ok(())
}

async fn random_histories_keep_every_promise_of_the_modes(version: Version) -> Result<()> {
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    let mut rng = Rng::with_seed(seed);
    let etcd = Etcd::start(version)?;
    let operator = client(etcd.endpoints()).await?;
    let recorder = Recorder::start(&operator).await?;
    let contest = Arc::new(Contest {
        notes: Mutex::default(),
        stop: CancellationToken::new(),
    });
    let dead = Arc::default();
    let mut clients = JoinSet::new();
    for _ in 0..CLIENTS {
        let life = live_and_die(
            contest.clone(),
            etcd.endpoint(),
            rng.u64(..),
            Arc::clone(&dead),
        );
        clients.spawn(life);
    }
    let forcing = force_out(operator.clone(), contest.stop.clone(), rng.fork());
    let forcing = tokio::spawn(forcing);
    tokio::time::sleep(TIME).await;
    contest.stop.cancel();
    let forced = forcing.await??;
    let all = async {
        while let Some(ended) = clients.join_next().await {
            ended??;
        }
        anyhow::Ok(())
    };
    tokio::time::timeout(SLACK, all)
        .await
        .context("a client hangs")??;

    // The dead ones' entries end with their leases, and then every permit is free.
    eventually_async(SLACK, "all queues are empty", || async {
        let left = operator.kv().keys(LOCKS).await?;
        ensure!(left.is_empty(), "{left:?}");
        Ok(())
    })
    .await?;
    let everything = Acquire::new(format!("{LOCKS}sem")).permits(CAPACITY, CAPACITY)?;
    operator
        .acquire(everything.wait(LockWait::Never))
        .await?
        .release()
        .await?;
    let story = recorder.finish(&operator).await?;
    let notes = std::mem::take(&mut *contest.notes.lock().unwrap_or_else(PoisonError::into_inner));
    let effects = story.check_effects()?;
    story.check_grants(&notes.grants)?;
    let entries = story.check_end()?;
    check_acting(&notes.acting)?;
    println!(
        "{version:?}: {entries} entries, {} grants, {effects} effects, {forced} forced out, {} errors",
        notes.grants.len(),
        notes.errors.len()
    );
    for error in &notes.errors {
        let is_expected = matches!(
            error,
            AcquireError::Contended { .. }
                | AcquireError::Removed { .. }
                | AcquireError::SessionLost { .. }
                | AcquireError::Store { .. }
        );
        ensure!(is_expected, "an unexpected error: {error}");
    }
    ensure!(effects > 50 && forced > 5, "hardly anything happened");
    let dead = std::mem::take(&mut *dead.lock().unwrap_or_else(PoisonError::into_inner));
    for (locks, proxy) in dead {
        proxy.reset();
        proxy.set(Mode::Pass);
        locks.close().await;
    }
    Ok(())
}
