//! Runs under way, found by the holders of their locks, and requests to end them by the token of each.
//!
//! The entry of a lock shows its holder from the first moment on; a job's record is written a little later.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use leasehold_lock::queue_role::with_roles;
use leasehold_lock::{Batch, QueueEntry, Token};
use leasehold_records::{HolderRecord, StopKind, StopRequest, UnixMs};

use crate::desk::{OrderDesk, now};
use crate::error::OrderError;

/// Time after which a request is deleted. A later run has another token in any case.
const KEEP: Duration = Duration::from_mins(10);

/// A job that holds its locks: its run is under way, begins, or pauses between two.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct HeldRun {
    pub(crate) job: String,
    pub(crate) host: String,
    /// The key of its entry; of several, one of them.
    pub(crate) key: String,
    pub(crate) token: Token,
    /// The time when its host joined the queue of the lock.
    pub(crate) since: UnixMs,
}

/// Finds the runs under way of a job, or of all jobs; on one host, or on all.
pub(crate) async fn find_runs(
    desk: &OrderDesk,
    job: Option<&str>,
    host: Option<&str>,
) -> Result<Vec<HeldRun>, OrderError> {
    let (kv, prefix) = (desk.kv(), desk.root().locks());
    let queues = kv.scan(&prefix, BTreeMap::new, |queues, entry| {
        let Some((lock, _)) = entry.key.rsplit_once('/') else {
            return;
        };
        let queue: &mut Vec<QueueEntry> = queues.entry(lock.to_owned()).or_default();
        queue.push(QueueEntry {
            key: entry.key,
            create_revision: entry.create_revision,
            lease: entry.lease,
            value: entry.value,
        });
    });
    let queues = queues.await;
    let queues = queues.map_err(|error| OrderError::unread(desk.root(), &prefix, &error))?;
    let mut runs = holders_of(queues.found.into_values());
    runs.retain(|run| {
        job.is_none_or(|job| run.job == job) && host.is_none_or(|host| run.host == host)
    });
    Ok(runs)
}

/// Returns the runs whose entries hold all their locks, in the order of their tokens.
fn holders_of(queues: impl Iterator<Item = Vec<QueueEntry>>) -> Vec<HeldRun> {
    let mut runs: BTreeMap<Token, HeldRun> = BTreeMap::new();
    let mut waiting = BTreeSet::new();
    for mut queue in queues {
        queue.sort_by_key(|entry| entry.create_revision);
        for (role, entry) in with_roles(&queue) {
            let token = Token::from(entry.create_revision);
            if !role.is_holder() {
                waiting.insert(token);
            } else if let Ok(holder) = HolderRecord::from_json(&entry.value) {
                runs.entry(token).or_insert_with(|| HeldRun {
                    job: holder.job,
                    host: holder.host,
                    key: entry.key.clone(),
                    token,
                    since: holder.since_unix_ms,
                });
            }
        }
    }
    runs.retain(|token, _| !waiting.contains(token));
    runs.into_values().collect()
}

/// Adds a request for each of these runs to the batch.
pub(crate) async fn add_requests(
    desk: &OrderDesk,
    runs: &[HeldRun],
    kind: StopKind,
    batch: &mut Batch,
) -> Result<(), OrderError> {
    if runs.is_empty() {
        return Ok(());
    }
    let lease = desk.lease_for(KEEP).await?;
    let at = now();
    for run in runs {
        let request = StopRequest {
            job: run.job.clone(),
            token: run.token,
            kind,
            by: desk.by().to_owned(),
            why: desk.why().to_owned(),
            at_unix_ms: at,
        };
        let key = desk.root().stop_request(&run.job, run.token);
        batch.put(&key, &request.to_json(), lease);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use leasehold_lock::{LeaseId, LockMode, Revision};

    use super::*;

    fn entry(lock: &str, (lease, mode): (i64, LockMode), revision: i64, host: &str) -> QueueEntry {
        let lease = LeaseId::new(lease);
        let holder = HolderRecord {
            host: host.into(),
            job: "j".into(),
            pid: 7,
            since_unix_ms: UnixMs::new(0),
        };
        QueueEntry {
            key: format!("/l/locks/{lock}/{}", mode.entry_name(lease)),
            create_revision: Revision::new(revision),
            lease,
            value: holder.to_json(),
        }
    }

    /// Fails if only the first entry of a lock counts, or one of a set that waits for another of its locks.
    #[test]
    fn runs_are_the_holders_of_all_their_locks() {
        let exclusive = LockMode::Exclusive;
        let permit = LockMode::permits(1, 2).unwrap();
        let queues = [
            vec![
                entry("p", (3, permit), 30, "c"),
                entry("p", (1, permit), 10, "a"),
                entry("p", (2, permit), 20, "b"),
            ],
            vec![entry("q", (4, exclusive), 40, "d")],
            vec![
                entry("r", (5, LockMode::Shared), 39, "e"),
                entry("r", (4, exclusive), 40, "d"),
            ],
            vec![entry("s", (6, exclusive), 50, "f")],
            vec![entry("t", (6, exclusive), 50, "f")],
        ];
        let runs = holders_of(queues.into_iter());
        let found: Vec<_> = runs
            .iter()
            .map(|run| (run.host.as_str(), run.token.get()))
            .collect();
        assert_eq!(found, [("a", 10), ("b", 20), ("e", 39), ("f", 50)]);
    }
}
