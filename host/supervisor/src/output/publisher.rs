//! The tasks that publish output: one watches for requests, the other writes chunks while there are any.
//!
//! They are apart because a reading of requests that takes long must not be started over at each round of chunks.

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use leasehold_lock::{Backoff, Batch, LeaseId, Locks, RefusalKind, StoreError};
use leasehold_records::{Root, RunKey};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use super::allowance::Allowance;
use super::follow_requests::FollowRequests;
use super::output_registry::OutputRegistry;
use super::publication::{NextChunk, Publication};

/// Time between two rounds of chunks, for lines to gather.
const PERIOD: Duration = Duration::from_millis(200);
/// Bytes a second that all runs of this host publish, and at once: three hosts stay below 200 kB/s together.
const HOST_RATE: u64 = 60 << 10;
const HOST_BURST: i64 = 96 << 10;
/// Bytes of text in one chunk, and the fewest where many runs share a round.
const CHUNK_BYTES: usize = 8 << 10;
const LEAST_CHUNK: usize = 1 << 10;
/// Number of runs whose chunks are withdrawn, and whose chunks are written, in one transaction.
const MOST_WITHDRAWN: usize = 32;
const MOST_WRITTEN: usize = 24;
/// Number of runs that are published at once. Beyond it, those that ended first are withdrawn.
const MOST_RUNS: usize = 256;
/// Limit for the last chunks when the host ends.
const FAREWELL: Duration = Duration::from_secs(1);

/// The tasks that publish output.
#[derive(Debug)]
pub(crate) struct OutputPublisher {
    tasks: JoinSet<()>,
    cancel: CancellationToken,
}

impl OutputPublisher {
    /// Starts publishing the runs of `registry` under `root`, on the records' lease for `ttl`.
    pub(crate) fn start(
        locks: &Locks,
        root: &Root,
        ttl: Duration,
        host: &str,
        registry: OutputRegistry,
    ) -> Self {
        let cancel = CancellationToken::new();
        let (jobs, followed) = watch::channel(HashSet::new());
        let mut tasks = JoinSet::new();
        let requests = FollowRequests::new(root.clone(), host.to_owned());
        let watching = watch_requests(locks.clone(), root.clone(), requests, jobs);
        let until = cancel.clone();
        tasks.spawn(async move {
            until.run_until_cancelled(Box::pin(watching)).await;
        });
        let round = PublishingRound {
            locks: locks.clone(),
            root: root.clone(),
            ttl,
            registry,
            publications: BTreeMap::new(),
            allowance: Allowance::new(HOST_RATE, HOST_BURST, Instant::now()),
            turn: None,
            backoff: Backoff::new(PERIOD, Duration::from_secs(5)),
        };
        tasks.spawn(publish(round, followed, cancel.clone()));
        Self { tasks, cancel }
    }

    /// Publishes the ends of the last runs, and ends the tasks. The chunks go with the records' lease.
    pub(crate) async fn finish(mut self) {
        self.cancel.cancel();
        let ending = async { while self.tasks.join_next().await.is_some() {} };
        if timeout(FAREWELL, ending).await.is_err() {
            self.tasks.abort_all();
            while self.tasks.join_next().await.is_some() {}
        }
    }
}

async fn watch_requests(
    locks: Locks,
    root: Root,
    mut requests: FollowRequests,
    jobs: watch::Sender<HashSet<String>>,
) {
    let mut feed = locks.feed([root.follows()]);
    while let Some(item) = feed.next().await {
        requests.apply(item);
        let wanted = requests.jobs();
        jobs.send_if_modified(|jobs| {
            let is_changed = *jobs != wanted;
            *jobs = wanted;
            is_changed
        });
    }
}

async fn publish(
    mut round: PublishingRound,
    mut followed: watch::Receiver<HashSet<String>>,
    cancel: CancellationToken,
) {
    let mut jobs = HashSet::new();
    let mut next = Instant::now();
    loop {
        let is_needed = !jobs.is_empty() || !round.publications.is_empty();
        tokio::select! {
            () = cancel.cancelled() => break,
            changed = followed.changed() => {
                if changed.is_err() {
                    break;
                }
                jobs.clone_from(&followed.borrow_and_update());
                round.registry.follow(jobs.clone());
            }
            () = sleep_until(next), if is_needed => {
                next = Instant::now() + round.run(&jobs).await;
            }
        }
    }
    if !jobs.is_empty() {
        round.run(&jobs).await;
    }
}

/// The published runs of a host.
struct PublishingRound {
    locks: Locks,
    root: Root,
    ttl: Duration,
    registry: OutputRegistry,
    publications: BTreeMap<RunKey, Publication>,
    allowance: Allowance,
    /// The run that was written last: the next round begins after it.
    turn: Option<RunKey>,
    backoff: Backoff,
}

impl PublishingRound {
    /// Writes what is due for these jobs. Returns the time until the next round.
    async fn run(&mut self, jobs: &HashSet<String>) -> Duration {
        let now = Instant::now();
        for output in self.registry.followed() {
            let key = output.key.clone();
            let make = || Publication::new(output, now);
            self.publications.entry(key).or_insert_with(make);
        }
        let withdrawn = self.find_withdrawn(jobs, now);
        let chunks = self.next_chunks(&withdrawn, now);
        match self.write(&withdrawn, &chunks).await {
            Ok(()) => {
                for key in &withdrawn {
                    self.publications.remove(key);
                }
                let now = Instant::now();
                for (key, chunk) in &chunks {
                    if let Some(publication) = self.publications.get_mut(key) {
                        publication.written(chunk, now);
                    }
                }
                self.backoff.reset();
                PERIOD
            }
            Err(error) => {
                tracing::debug!(%error, "cannot publish output");
                for (key, chunk) in &chunks {
                    if let Some(publication) = self.publications.get_mut(key) {
                        publication.failed(chunk);
                    }
                }
                self.backoff.next().max(PERIOD)
            }
        }
    }

    /// Finds runs whose chunks have to go.
    fn find_withdrawn(&self, jobs: &HashSet<String>, now: Instant) -> Vec<RunKey> {
        let surplus = self.publications.len().saturating_sub(MOST_RUNS);
        let all = self.publications.iter();
        let gone =
            all.filter(|(key, publication)| !jobs.contains(&key.job) || publication.is_over(now));
        let mut gone: Vec<RunKey> = gone.map(|(key, _)| key.clone()).collect();
        if gone.len() < surplus {
            let all = self.publications.iter();
            let ended = all.filter_map(|(key, publication)| Some((publication.ended()?, key)));
            let mut ended: Vec<_> = ended.filter(|(_, key)| !gone.contains(key)).collect();
            ended.sort();
            let oldest = ended.into_iter().take(surplus - gone.len());
            gone.extend(oldest.map(|(_, key)| key.clone()).collect::<Vec<_>>());
        }
        gone.truncate(MOST_WITHDRAWN);
        gone
    }

    /// Makes the chunks of this round, for each run in turn.
    fn next_chunks(&mut self, withdrawn: &[RunKey], now: Instant) -> Vec<(RunKey, NextChunk)> {
        let due = self.publications.iter();
        let due = due.filter(|(key, publication)| publication.is_due() && !withdrawn.contains(key));
        let mut due: Vec<RunKey> = due.map(|(key, _)| key.clone()).collect();
        if let Some(turn) = &self.turn {
            let at = due.partition_point(|key| key <= turn);
            due.rotate_left(at);
        }
        let each = self.allowance.left(now) / due.len().max(1);
        let most = each.clamp(LEAST_CHUNK, CHUNK_BYTES);
        let mut chunks = Vec::new();
        for key in due {
            if chunks.len() == MOST_WRITTEN || self.allowance.left(now) == 0 {
                break;
            }
            let publication = self.publications.get_mut(&key);
            if let Some(chunk) =
                publication.and_then(|publication| publication.next_chunk(&self.root, most, now))
            {
                self.allowance.spend(chunk.size());
                self.turn = Some(key.clone());
                chunks.push((key, chunk));
            }
        }
        chunks
    }

    async fn write(
        &mut self,
        withdrawn: &[RunKey],
        chunks: &[(RunKey, NextChunk)],
    ) -> Result<(), StoreError> {
        let mut batch = Batch::default();
        for key in withdrawn {
            if let Some(publication) = self.publications.get(key) {
                publication.withdraw(&self.root, &mut batch);
            }
        }
        let lease = if chunks.is_empty() {
            LeaseId::NONE
        } else {
            self.locks.lease(self.ttl).await?
        };
        for (key, chunk) in chunks {
            if let Some(publication) = self.publications.get(key) {
                publication.write(&self.root, chunk, lease, &mut batch);
            }
        }
        if batch.is_empty() {
            return Ok(());
        }
        let written = self.locks.kv().commit(batch).await;
        if let Err(StoreError::Refused {
            kind: RefusalKind::LeaseNotFound,
            ..
        }) = &written
        {
            // All chunks went with the lease. The next round gets another.
            self.locks.end_session(lease);
            for publication in self.publications.values_mut() {
                publication.lost();
            }
        }
        written.map(drop)
    }
}
