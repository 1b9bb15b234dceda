//! Many contenders: in order, one at a time, each in its turn. In short queues a waiter follows every change; in long
//! ones only those next to it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use leasehold_lock::{Acquire, AcquireError, LeaseId, Locks, Token};
use leasehold_tests::etcd::{Etcd, Version};
use leasehold_tests::on_every_store;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::{SLACK, client, granted, queue_of, start};

const NAME: &str = "/library/crowd";

/// More entries than this are not followed in full by a newcomer (`FOLLOW_ALL` in the library).
const FOLLOWED: usize = 32;

/// Long enough to watch for a grant that must not come.
const A_WHILE: Duration = Duration::from_millis(500);

on_every_store!(
    async twenty_contenders_of_one_client_are_served_in_order,
    a_hundred_contenders_of_four_clients_are_served_in_order,
    two_hundred_contenders_of_eight_clients_are_served_in_order,
    a_far_waiter_comes_first_in_the_end,
    a_far_waiter_is_not_first_when_a_followed_entry_ends,
    far_waiters_that_end_while_reading_do_not_crash_the_store,
    a_far_waiter_with_a_deleted_key_fails_and_is_never_granted,
    a_near_waiter_with_a_deleted_key_fails_and_is_never_granted,
    a_far_waiter_and_a_holder_notice_their_removal,
);

/// State that contenders share: true while one of them holds, and the channel on which each reports its grant.
#[derive(Clone)]
struct Contest {
    held: Arc<AtomicBool>,
    report: mpsc::Sender<(Token, LeaseId)>,
}

impl Contest {
    /// Waits for the lock, holds it for a moment, and gives it back.
    async fn contend(self, locks: Locks) -> Result<()> {
        let grant = locks
            .acquire(Acquire::new(NAME))
            .await
            .context("acquiring")?;
        let whom = format!("{} with token {}", grant.key(), grant.token());
        ensure!(
            !self.held.swap(true, Ordering::SeqCst),
            "{whom} was granted while another held"
        );
        self.report.send((grant.token(), grant.lease())).await?;
        tokio::task::yield_now().await;
        let ended = grant.tenure().end_reason();
        ensure!(grant.tenure().admits(), "{whom} held no longer: {ended:?}");
        self.held.store(false, Ordering::SeqCst);
        let release = grant.release().await;
        release.with_context(|| format!("giving back {whom}"))
    }
}

/// Queues `each` acquisitions of every client behind a holder, lets go, and checks who was served when.
async fn serve(etcd: &Etcd, clients: &[Locks], each: usize) -> Result<()> {
    let first = clients[0].acquire(Acquire::new(NAME)).await?;
    let held = Arc::new(AtomicBool::new(true));
    let (report, mut reports) = mpsc::channel(clients.len() * each);
    let mut tasks = JoinSet::new();
    for (client, locks) in clients.iter().enumerate() {
        for n in 0..each {
            let (held, report) = (held.clone(), report.clone());
            let contend = Contest { held, report }.contend(locks.clone());
            tasks.spawn(async move {
                let ended = contend.await;
                ended.with_context(|| format!("contender {n} of client {client}"))
            });
        }
    }
    drop(report);
    let count = clients.len() * each;
    let queue = queue_of(&clients[0], NAME, count + 1).await?;
    ensure!(queue[0] == first.key());
    let before = first.token();
    held.store(false, Ordering::SeqCst);
    first.release().await?;
    let all = async {
        while let Some(ended) = tasks.join_next().await {
            ended??;
        }
        anyhow::Ok(())
    };
    tokio::time::timeout(SLACK, all)
        .await
        .with_context(|| format!("a contender was left out: {:?}", etcd.queue(NAME)))??;

    let mut served = Vec::new();
    while let Ok(report) = reports.try_recv() {
        served.push(report);
    }
    ensure!(served.len() == count, "{} were served", served.len());
    let tokens: Vec<Token> = served.iter().map(|(token, _)| *token).collect();
    ensure!(before < tokens[0] && tokens.is_sorted_by(|a, b| a < b));
    // In the order of the queue, which names each by its lease.
    let leases: Vec<String> = served
        .iter()
        .map(|(_, lease)| format!("{NAME}/{lease}"))
        .collect();
    ensure!(leases == queue[1..], "{leases:?} is not {queue:?}");
    queue_of(&clients[0], NAME, 0).await.map(drop)
}

/// Promise P5. Fails on the mutant "a waiter is served before its turn", see scripts/mutants.
async fn twenty_contenders_of_one_client_are_served_in_order(version: Version) -> Result<()> {
    let etcd = Etcd::start(version)?;
    serve(&etcd, &[client(etcd.endpoints()).await?], 20).await
}

async fn a_hundred_contenders_of_four_clients_are_served_in_order(version: Version) -> Result<()> {
    serve_all(version, 4, 25).await
}

/// Six times as many as a newcomer follows: most of them move up from far behind.
async fn two_hundred_contenders_of_eight_clients_are_served_in_order(
    version: Version,
) -> Result<()> {
    serve_all(version, 8, 25).await
}

async fn serve_all(version: Version, clients: usize, each: usize) -> Result<()> {
    let etcd = Etcd::start(version)?;
    let mut connected = Vec::new();
    for _ in 0..clients {
        connected.push(client(etcd.endpoints()).await?);
    }
    serve(&etcd, &connected, each).await
}

/// Fills the lock with entries that no client follows, so that the next one in is far from the head.
async fn fill(locks: &Locks) -> Result<()> {
    for n in 0..=FOLLOWED {
        let key = format!("{NAME}/filler-{n:03}");
        locks.kv().put(&key, b"", LeaseId::NONE).await?;
    }
    Ok(())
}

async fn clear(locks: &Locks) -> Result<()> {
    let (from, end) = (format!("{NAME}/filler-"), format!("{NAME}/filler."));
    let cleared = locks.kv().delete_range(&from, &end).await?;
    ensure!(cleared > 0, "there was nothing to clear");
    Ok(())
}

async fn a_far_waiter_comes_first_in_the_end(version: Version) -> Result<()> {
    let etcd = Etcd::start(version)?;
    let (locks, operator) = (
        client(etcd.endpoints()).await?,
        client(etcd.endpoints()).await?,
    );
    fill(&operator).await?;
    let waiting = start(&locks, Acquire::new(NAME));
    let queue = queue_of(&operator, NAME, FOLLOWED + 2).await?;
    // An entry in the middle is deleted, and its predecessor at the end: neither makes it first.
    for n in [FOLLOWED / 2, FOLLOWED] {
        let key = format!("{NAME}/filler-{n:03}");
        ensure!(operator.kv().delete(&key).await?);
    }
    tokio::time::sleep(A_WHILE).await;
    ensure!(!waiting.is_finished(), "granted behind many others");
    clear(&operator).await?;
    let grant = granted(waiting).await?;
    ensure!(Some(grant.key()) == queue.last().map(String::as_str));
    Ok(())
}

/// Other waiters of the same client receive the same deletions, and must not take them for a grant.
///
/// Promise P1. Fails on the mutant "a far waiter is first when the one before it goes", see scripts/mutants.
async fn a_far_waiter_is_not_first_when_a_followed_entry_ends(version: Version) -> Result<()> {
    let etcd = Etcd::start(version)?;
    let (locks, operator) = (
        client(etcd.endpoints()).await?,
        client(etcd.endpoints()).await?,
    );
    let holder = operator.acquire(Acquire::new(NAME)).await?;
    // Joins a short queue and so follows every deletion, those of the two behind it included.
    let near = start(&locks, Acquire::new(NAME));
    queue_of(&operator, NAME, 2).await?;
    fill(&operator).await?;
    let far = start(&locks, Acquire::new(NAME));
    queue_of(&operator, NAME, FOLLOWED + 4).await?;
    let farther = start(&locks, Acquire::new(NAME));
    let queue = queue_of(&operator, NAME, FOLLOWED + 5).await?;

    let [.., filler, removed, last] = queue.as_slice() else {
        bail!("a short queue: {queue:?}");
    };
    for key in [filler, removed] {
        ensure!(operator.kv().delete(key).await?);
    }
    match tokio::time::timeout(SLACK, far).await?? {
        Err(AcquireError::Removed { .. }) => {}
        other => bail!("granted or not told that it was removed: {other:?}"),
    }
    tokio::time::sleep(A_WHILE).await;
    ensure!(!farther.is_finished(), "granted behind many others");
    ensure!(!near.is_finished() && holder.tenure().admits());

    clear(&operator).await?;
    holder.release().await?;
    let grant = granted(near).await?;
    ensure!(grant.key() == queue[1]);
    ensure!(!farther.is_finished(), "granted behind one other");
    grant.release().await?;
    let grant = granted(farther).await?;
    ensure!(grant.key() == last);
    Ok(())
}

/// A far waiter reads when its predecessor's entry is deleted. When the waiter ends too, no client waits for the
/// answer, and etcd 3.5.1 crashes if the reading is a transaction.
async fn far_waiters_that_end_while_reading_do_not_crash_the_store(version: Version) -> Result<()> {
    const WAITERS: usize = 20;
    let etcd = Etcd::start(version)?;
    let (locks, operator) = (
        client(etcd.endpoints()).await?,
        client(etcd.endpoints()).await?,
    );
    fill(&operator).await?;
    let fillers = queue_of(&operator, NAME, FOLLOWED + 1).await?;
    for round in 0..30 {
        let waiters: Vec<_> = (0..WAITERS)
            .map(|_| start(&locks, Acquire::new(NAME)))
            .collect();
        queue_of(&operator, NAME, fillers.len() + WAITERS).await?;
        // The end of one is what makes the next one read; a timer would be too coarse to meet that.
        for waiter in waiters {
            waiter.abort();
            let until = Instant::now() + Duration::from_micros(round * 50);
            while Instant::now() < until {
                tokio::task::yield_now().await;
            }
        }
        let left = queue_of(&operator, NAME, fillers.len()).await?;
        ensure!(left == fillers, "{left:?}");
    }
    clear(&operator).await?;
    let grant = locks.acquire(Acquire::new(NAME)).await?;
    ensure!(grant.tenure().admits());
    Ok(())
}

/// Deletes the waiter's own key, then everything ahead of it.
async fn fails_and_is_never_granted(etcd: &Etcd, far: bool) -> Result<()> {
    let (locks, operator) = (
        client(etcd.endpoints()).await?,
        client(etcd.endpoints()).await?,
    );
    if far {
        fill(&operator).await?;
    } else {
        let key = format!("{NAME}/filler-000");
        operator.kv().put(&key, b"", LeaseId::NONE).await?;
    }
    let count = operator.kv().keys(&format!("{NAME}/")).await?.len();
    let waiting = start(&locks, Acquire::new(NAME));
    let queue = queue_of(&operator, NAME, count + 1).await?;
    let own = queue.last().context("an empty queue")?;
    ensure!(!own.contains("filler"), "the waiter is not the last: {own}");
    let before = etcd.revision()?;
    ensure!(operator.kv().delete(own).await?);
    clear(&operator).await?;
    match tokio::time::timeout(SLACK, waiting).await?? {
        Err(AcquireError::Removed { name, revision }) => {
            ensure!(name == NAME);
            ensure!(revision.as_u64() > before, "{revision}, {before}");
        }
        other => bail!("not told that it was removed: {other:?}"),
    }
    queue_of(&operator, NAME, 0).await?;
    // The client is none the worse for it.
    locks.acquire(Acquire::new(NAME)).await?.release().await?;
    Ok(())
}

async fn a_far_waiter_with_a_deleted_key_fails_and_is_never_granted(
    version: Version,
) -> Result<()> {
    fails_and_is_never_granted(&Etcd::start(version)?, true).await
}

/// Promise P5. Fails on the mutant "a waiter does not look whether its own entry stands", see scripts/mutants.
async fn a_near_waiter_with_a_deleted_key_fails_and_is_never_granted(
    version: Version,
) -> Result<()> {
    fails_and_is_never_granted(&Etcd::start(version)?, false).await
}

/// Only the far waiter's own key is deleted: no predecessor triggers a reading, and no watch of the lock is open.
async fn a_far_waiter_and_a_holder_notice_their_removal(version: Version) -> Result<()> {
    let etcd = Etcd::start(version)?;
    let (locks, operator) = (
        client(etcd.endpoints()).await?,
        client(etcd.endpoints()).await?,
    );
    fill(&operator).await?;
    let waiting = start(&locks, Acquire::new(NAME));
    let queue = queue_of(&operator, NAME, FOLLOWED + 2).await?;
    ensure!(operator.kv().delete(&queue[FOLLOWED + 1]).await?);
    match tokio::time::timeout(SLACK, waiting).await?? {
        Err(AcquireError::Removed { .. }) => {}
        other => bail!("not told that it was removed: {other:?}"),
    }

    let waiting = start(&locks, Acquire::new(NAME));
    queue_of(&operator, NAME, FOLLOWED + 2).await?;
    clear(&operator).await?;
    let grant = granted(waiting).await?;
    ensure!(operator.kv().delete(grant.key()).await?);
    tokio::time::timeout(SLACK, grant.tenure().ended()).await?;
    ensure!(!grant.tenure().admits());
    Ok(())
}
