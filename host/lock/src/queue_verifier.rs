//! Verifier: the task that confirms, once per TTL, what near holders and waiters take for true. Runs on the guard.
//!
//! A watch that loses an event shows nothing of it: real etcd has lost deletions at compaction (its issues 18089
//! and 19179), and the holder of a deleted entry would go on, or a waiter wait, for ever. So each queue that no
//! reading has confirmed for most of a TTL is read again. Many queues are read with one request, where their keys
//! lie close enough together. Far waiters read by themselves; see the `long_queue` module.

use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::time::sleep;

use crate::claims::Reading;
use crate::kv::after_all;
use crate::locks::Shared;
use crate::queue_task::Room;
use crate::requests::{Line, is_entry};

/// The pause when no lock is in use, which is also the longest.
const IDLE: Duration = Duration::from_secs(10);
/// Fewer queues than this are read one by one.
const FEW: usize = 4;
/// Keys read in one request, per queue that is to be read.
const KEYS_PER_QUEUE: usize = 8;
/// Rounds without a common reading after one that was denied, failed, or hardly confirmed anything.
const ROUNDS_OFF: u32 = 10;

/// Confirms the queues of one client until the client has gone.
pub(crate) async fn run(client: Weak<Shared>) {
    let mut rounds_off = 0;
    loop {
        let Some(shared) = client.upgrade() else {
            return;
        };
        let period = shared.shortest_room_ttl().unwrap_or(IDLE).min(IDLE);
        drop(shared);
        // Jittered, so that hosts that took their locks together do not ask together.
        sleep(period.mul_f64(0.4 + 0.2 * fastrand::f64())).await;
        let Some(shared) = client.upgrade() else {
            return;
        };
        let mut due = shared.rooms_unread();
        if due.len() > FEW && rounds_off == 0 {
            let before = due.len();
            due = read_together(&shared, due).await;
            if due.len() * 2 > before {
                rounds_off = ROUNDS_OFF;
            }
        } else {
            rounds_off = rounds_off.saturating_sub(1);
        }
        for room in due {
            room.verify();
        }
    }
}

/// Reads the queues of many rooms with one request. Returns the rooms that it did not reach.
async fn read_together(shared: &Shared, mut rooms: Vec<Arc<Room>>) -> Vec<Arc<Room>> {
    rooms.sort_by(|a, b| a.prefix.cmp(&b.prefix));
    let (Some(first), Some(last)) = (rooms.first(), rooms.last()) else {
        return rooms;
    };
    let (from, end) = (first.prefix.clone(), after_all(&last.prefix));
    // Deletions are kept from here on, so that none is undone by what was read before it.
    let begun: Vec<(Arc<Room>, Reading)> = rooms
        .iter()
        .filter_map(|room| Some((room.clone(), room.reading_began()?)))
        .collect();
    let limit = rooms.len() * KEYS_PER_QUEUE;
    let read = shared.guard_wire.keys_between(&from, end, limit).await;
    let (revision, keys, more) = match read {
        Ok(read) => read,
        Err(error) => {
            tracing::debug!(%error, "cannot read many queues at once");
            for (room, reading) in begun {
                room.reading_done(reading, None);
            }
            return rooms;
        }
    };
    // What comes after the last key that was read is unknown.
    let reached = more
        .then(|| keys.last().map(|line| line.key.clone()))
        .flatten();
    let mut missed = Vec::new();
    for (room, reading) in begun {
        let is_whole = reached
            .as_ref()
            .is_none_or(|last| last.as_bytes() >= after_all(&room.prefix).as_slice());
        if is_whole {
            let lines = queue_of(&keys, &room.prefix);
            room.reading_done(reading, Some((revision, &lines)));
        } else {
            room.reading_done(reading, None);
            missed.push(room);
        }
    }
    missed
}

/// The entries of one queue, oldest first, among keys in key order.
fn queue_of(keys: &[Line], prefix: &str) -> Vec<Line> {
    let from = keys.partition_point(|line| line.key.as_str() < prefix);
    let mut queue: Vec<Line> = keys
        .iter()
        .skip(from)
        .take_while(|line| line.key.starts_with(prefix))
        .filter(|line| is_entry(&line.key, prefix))
        .cloned()
        .collect();
    queue.sort_by_key(|line| line.create);
    queue
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_queue_of_a_lock_is_its_direct_children_oldest_first() {
        let line = |key: &str, create| Line {
            key: key.into(),
            create,
        };
        let keys = [
            line("/l/a/1", 9),
            line("/l/a/2", 4),
            line("/l/a/b/3", 5),
            line("/l/ab/4", 6),
        ];
        assert_eq!(
            queue_of(&keys, "/l/a/"),
            [line("/l/a/2", 4), line("/l/a/1", 9)]
        );
        assert_eq!(queue_of(&keys, "/l/c/"), []);
    }
}
