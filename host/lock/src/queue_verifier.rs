//! Verifier: the task that confirms the queues of near holders and waiters once per TTL. Runs on the lease thread.
//!
//! A watch that loses an event shows nothing of it: real etcd has lost deletions at compaction (its issues 18089 and
//! 19179). The holder of a deleted entry would then continue for ever, or a waiter wait for ever. So each queue that
//! no reading has confirmed for most of a TTL is read again. Many queues are read with one request, where their keys
//! lie close enough together. Far waiters read by themselves; see the `long_queue` module.

use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::time::sleep;

use crate::claims::QueueReading;
use crate::key_range::prefix_end;
use crate::local_queue::LocalQueue;
use crate::queue_keys::{QueueKey, is_entry};
use crate::queue_registry::QueueRegistry;
use crate::requests::StoreRequests;

/// The pause when no lock is in use, which is also the longest.
const IDLE: Duration = Duration::from_secs(10);
/// Fewer queues than this are read one by one.
const FEW: usize = 4;
/// Keys read in one request, per queue that is to be read.
const KEYS_PER_QUEUE: usize = 8;
/// Rounds without a common reading after one that was denied, failed, or hardly confirmed anything.
const ROUNDS_OFF: u32 = 10;

/// Confirms the queues of one client until the client is dropped.
pub(crate) async fn run(registry: Weak<QueueRegistry>, requests: StoreRequests) {
    let mut rounds_off = 0;
    loop {
        let Some(queues) = registry.upgrade() else {
            return;
        };
        let period = queues.shortest_ttl().unwrap_or(IDLE).min(IDLE);
        drop(queues);
        // Jittered, so that hosts that took their locks together do not read together.
        sleep(period.mul_f64(0.4 + 0.2 * fastrand::f64())).await;
        let Some(queues) = registry.upgrade() else {
            return;
        };
        let mut due = queues.unread();
        if due.len() > FEW && rounds_off == 0 {
            let before = due.len();
            due = read_together(&requests, due).await;
            if due.len() * 2 > before {
                rounds_off = ROUNDS_OFF;
            }
        } else {
            rounds_off = rounds_off.saturating_sub(1);
        }
        for queue in due {
            queue.verify();
        }
    }
}

/// Reads many queues with one request. Returns the queues that it did not reach.
async fn read_together(
    requests: &StoreRequests,
    mut queues: Vec<Arc<LocalQueue>>,
) -> Vec<Arc<LocalQueue>> {
    queues.sort_by(|a, b| a.prefix.cmp(&b.prefix));
    let (Some(first), Some(last)) = (queues.first(), queues.last()) else {
        return queues;
    };
    let (from, end) = (first.prefix.clone(), prefix_end(&last.prefix));
    // Deletions are kept from here on, so that an older reading undoes none of them.
    let begun: Vec<(Arc<LocalQueue>, QueueReading)> = queues
        .iter()
        .filter_map(|queue| Some((queue.clone(), queue.reading_began()?)))
        .collect();
    let limit = queues.len() * KEYS_PER_QUEUE;
    let read = requests.keys_between(&from, end, limit).await;
    let (revision, keys, more) = match read {
        Ok(read) => read,
        Err(error) => {
            tracing::debug!(%error, "cannot read many queues at once");
            for (queue, reading) in begun {
                queue.reading_done(reading, None);
            }
            return queues;
        }
    };
    // Keys after the last one that was read are unknown.
    let reached = more
        .then(|| keys.last().map(|entry| entry.key.clone()))
        .flatten();
    let mut missed = Vec::new();
    for (queue, reading) in begun {
        let is_whole = reached
            .as_ref()
            .is_none_or(|last| last.as_bytes() >= prefix_end(&queue.prefix).as_slice());
        if is_whole {
            let entries = queue_of(&keys, &queue.prefix);
            queue.reading_done(reading, Some((revision, &entries)));
        } else {
            queue.reading_done(reading, None);
            missed.push(queue);
        }
    }
    missed
}

/// The entries of one queue, oldest first, among keys in key order.
fn queue_of(keys: &[QueueKey], prefix: &str) -> Vec<QueueKey> {
    let from = keys.partition_point(|entry| entry.key.as_str() < prefix);
    let mut queue: Vec<QueueKey> = keys
        .iter()
        .skip(from)
        .take_while(|entry| entry.key.starts_with(prefix))
        .filter(|entry| is_entry(&entry.key, prefix))
        .cloned()
        .collect();
    queue.sort_by_key(|entry| entry.create_revision);
    queue
}

#[cfg(test)]
mod tests {
    use super::*;
    use leasehold_ids::{LockMode, Revision};

    #[test]
    fn the_queue_of_a_lock_is_its_direct_children_oldest_first() {
        let entry = |key: &str, create_revision| QueueKey {
            key: key.into(),
            create_revision: Revision::new(create_revision),
            mode: LockMode::Exclusive,
        };
        let keys = [
            entry("/l/a/1", 9),
            entry("/l/a/2", 4),
            entry("/l/a/b/3", 5),
            entry("/l/ab/4", 6),
        ];
        assert_eq!(
            queue_of(&keys, "/l/a/"),
            [entry("/l/a/2", 4), entry("/l/a/1", 9)]
        );
        assert_eq!(queue_of(&keys, "/l/c/"), []);
    }
}
