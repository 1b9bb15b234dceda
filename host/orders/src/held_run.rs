//! Runs under way, found by the holders of their locks, and requests to end them by the token of each.
//!
//! The entry of a lock shows its holder from the first moment on; a job's record is written a little later.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use leasehold_lock::queue_role::with_roles;
use leasehold_lock::{Batch, KeyValue, LockMode, QueuedEntry, Token};
use leasehold_records::{HolderRecord, StopKind, StopRequest, UnixMs};

use crate::desk::{OrderDesk, now};
use crate::error::OrderError;

/// Time after which a request is deleted. A later run has another token in any case.
const KEEP: Duration = Duration::from_mins(10);

/// A job that holds its lock: its run is under way, begins, or pauses between two.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct HeldRun {
    pub(crate) job: String,
    pub(crate) host: String,
    /// The key of its entry.
    pub(crate) key: String,
    pub(crate) token: Token,
    /// The time when its host joined the queue of the lock.
    pub(crate) since: UnixMs,
}

/// An entry of a lock's queue.
struct LockEntry(KeyValue);

impl QueuedEntry for LockEntry {
    fn mode(&self) -> LockMode {
        LockMode::of_key(&self.0.key, self.0.lease)
    }
}

/// Finds the runs under way of a job, or of all jobs; on one host, or on all.
pub(crate) async fn find_runs(
    desk: &OrderDesk,
    job: Option<&str>,
    host: Option<&str>,
) -> Result<Vec<HeldRun>, OrderError> {
    let (kv, prefix) = (desk.kv(), desk.root().locks());
    let queues = kv.scan(&prefix, BTreeMap::new, |queues, entry| {
        if let Some((lock, _)) = entry.key.rsplit_once('/') {
            let queue: &mut Vec<LockEntry> = queues.entry(lock.to_owned()).or_default();
            queue.push(LockEntry(entry));
        }
    });
    let queues = queues.await;
    let queues = queues.map_err(|error| OrderError::unread(desk.root(), &error))?;
    let mut runs = holding_runs(queues.found.into_values());
    runs.retain(|run| {
        job.is_none_or(|job| run.job == job) && host.is_none_or(|host| run.host == host)
    });
    Ok(runs)
}

/// Returns the runs whose entries hold their locks: one run for the entries of several locks, which have one token, and
/// none while one of them waits.
fn holding_runs(queues: impl Iterator<Item = Vec<LockEntry>>) -> Vec<HeldRun> {
    let mut runs: BTreeMap<(Token, String, String), HeldRun> = BTreeMap::new();
    let mut waiting: BTreeSet<Token> = BTreeSet::new();
    for mut queue in queues {
        queue.sort_by_key(|entry| entry.0.create_revision);
        for (role, LockEntry(entry)) in with_roles(&queue) {
            let token = Token::from(entry.create_revision);
            if !role.is_holder() {
                waiting.insert(token);
            } else if let Ok(holder) = HolderRecord::from_json(&entry.value) {
                let run = HeldRun {
                    job: holder.job,
                    host: holder.host,
                    key: entry.key.clone(),
                    token,
                    since: holder.since_unix_ms,
                };
                runs.entry((token, run.job.clone(), run.host.clone()))
                    .or_insert(run);
            }
        }
    }
    runs.into_values()
        .filter(|run| !waiting.contains(&run.token))
        .collect()
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
    use leasehold_lock::{LeaseId, Revision};

    use super::*;

    fn entry(key: &str, job: &str, host: &str, create: i64) -> LockEntry {
        let record = HolderRecord {
            host: host.into(),
            job: job.into(),
            pid: 7,
            since_unix_ms: UnixMs::new(0),
        };
        LockEntry(KeyValue {
            key: format!("/leasehold/locks/{key}"),
            value: record.to_json(),
            create_revision: Revision::new(create),
            mod_revision: Revision::new(create),
            lease: LeaseId::new(0x7b),
        })
    }

    fn found(queues: Vec<Vec<LockEntry>>) -> Vec<String> {
        let runs = holding_runs(queues.into_iter());
        runs.iter()
            .map(|run| format!("{}@{} {}", run.job, run.host, run.token))
            .collect()
    }

    #[test]
    fn first_of_a_queue_runs_and_so_do_all_that_share() {
        let exclusive = vec![
            entry("a/7b", "etl", "web2", 9),
            entry("a/7b", "etl", "web1", 4),
        ];
        assert_eq!(found(vec![exclusive]), ["etl@web1 4"]);
        let shared = vec![
            entry("b/7b-r", "read", "web1", 5),
            entry("b/7b-r", "read", "web2", 6),
            entry("b/7b", "write", "web3", 7),
        ];
        assert_eq!(found(vec![shared]), ["read@web1 5", "read@web2 6"]);
    }

    #[test]
    fn run_under_several_locks_is_one_and_has_all_of_them() {
        let both = || vec![entry("a/7b", "move", "web1", 4)];
        let free = vec![entry("b/7b", "move", "web1", 4)];
        assert_eq!(found(vec![both(), free]), ["move@web1 4"]);
        let taken = vec![
            entry("b/7b", "other", "web2", 3),
            entry("b/7b", "move", "web1", 4),
        ];
        assert_eq!(found(vec![both(), taken]), ["other@web2 3"]);
    }
}
