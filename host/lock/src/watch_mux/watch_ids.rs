//! Ids of the watches on one stream: ours, and those that the server uses.
//!
//! etcd uses the id that a client requests; `etcd grpc-proxy` assigns its own. The first watch that is created shows
//! which of the two answers. Where the server assigns ids, one watch is created at a time, because nothing else shows
//! which request an id belongs to. Pure state.

use std::collections::{HashMap, VecDeque};

/// Requested ids begin here: far above those that a proxy counts from zero.
const FIRST: i64 = 1 << 32;

/// Origin of the ids on this stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum IdSource {
    Unknown,
    Client,
    Server,
}

/// A watch to be created now, with the id to request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct WatchCreation {
    pub(crate) watch: u64,
    pub(crate) id: i64,
}

/// The ids on one stream.
#[derive(Debug)]
pub(crate) struct WatchIds {
    next: i64,
    source: IdSource,
    by_id: HashMap<i64, u64>,
    /// The watch whose creation is under way while creations go one by one.
    creating: Option<WatchCreation>,
    waiting: VecDeque<u64>,
}

impl WatchIds {
    pub(crate) fn new() -> Self {
        Self {
            next: FIRST,
            source: IdSource::Unknown,
            by_id: HashMap::new(),
            creating: None,
            waiting: VecDeque::new(),
        }
    }

    /// A new stream begins: nothing on it has an id yet.
    pub(crate) fn reopened(&mut self) {
        self.source = IdSource::Unknown;
        self.by_id.clear();
        self.creating = None;
        self.waiting.clear();
    }

    /// Requests a watch. `None` when its turn comes later.
    pub(crate) fn create(&mut self, watch: u64) -> Option<WatchCreation> {
        if self.source != IdSource::Client && self.creating.is_some() {
            self.waiting.push_back(watch);
            return None;
        }
        Some(self.begin(watch))
    }

    fn begin(&mut self, watch: u64) -> WatchCreation {
        let create = WatchCreation {
            watch,
            id: self.next,
        };
        self.next += 1;
        self.by_id.insert(create.id, watch);
        if self.source != IdSource::Client {
            self.creating = Some(create);
        }
        create
    }

    /// Takes in that the server has created a watch under `id`. Returns the watch, and the ones to create next.
    pub(crate) fn created(&mut self, id: i64) -> (Option<u64>, Vec<WatchCreation>) {
        let Some(asked) = self.creating.take() else {
            return (self.watch(id), Vec::new());
        };
        if asked.id == id {
            self.source = IdSource::Client;
            let waiting = std::mem::take(&mut self.waiting);
            let creates = waiting.into_iter().map(|watch| self.begin(watch));
            return (Some(asked.watch), creates.collect());
        }
        self.source = IdSource::Server;
        self.by_id.remove(&asked.id);
        self.by_id.insert(id, asked.watch);
        let next = self.waiting.pop_front().map(|watch| self.begin(watch));
        (Some(asked.watch), next.into_iter().collect())
    }

    /// The watch whose id on the server is `id`.
    pub(crate) fn watch(&self, id: i64) -> Option<u64> {
        self.by_id.get(&id).copied()
    }

    /// Takes the watch under `id` off the stream: the server has ended it.
    pub(crate) fn ended(&mut self, id: i64) -> Option<u64> {
        self.by_id.remove(&id)
    }

    /// Takes `watch` off the stream. Returns the id to cancel; one whose creation is under way is cancelled when
    /// it is created.
    pub(crate) fn remove(&mut self, watch: u64) -> Option<i64> {
        self.waiting.retain(|waiting| *waiting != watch);
        if self.creating.is_some_and(|create| create.watch == watch) {
            return None;
        }
        let id = self
            .by_id
            .iter()
            .find_map(|(id, of)| (*of == watch).then_some(*id))?;
        self.by_id.remove(&id);
        Some(id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn server_that_uses_our_ids_gets_all_watches_at_once() {
        let mut ids = WatchIds::new();
        let first = ids.create(1).unwrap();
        assert_eq!(ids.create(2), None, "the first shows the origin of ids");
        assert_eq!(ids.create(3), None);
        let (watch, creates) = ids.created(first.id);
        assert_eq!(watch, Some(1));
        let watches: Vec<u64> = creates.iter().map(|create| create.watch).collect();
        assert_eq!(watches, [2, 3]);
        assert_eq!(ids.created(creates[1].id), (Some(3), vec![]));
        assert!(ids.create(4).is_some());
    }

    #[test]
    fn server_that_assigns_ids_gets_one_watch_at_a_time() {
        let mut ids = WatchIds::new();
        ids.create(1).unwrap();
        assert_eq!(ids.create(2), None);
        assert_eq!(ids.create(3), None);
        let (watch, creates) = ids.created(0);
        assert_eq!((watch, creates[0].watch), (Some(1), 2));
        assert_eq!(ids.create(4), None);
        let (watch, creates) = ids.created(1);
        assert_eq!((watch, creates[0].watch), (Some(2), 3));
        assert_eq!(ids.watch(0), Some(1));
        assert_eq!(ids.remove(2), Some(1));
        assert_eq!(ids.watch(1), None);
    }

    #[test]
    fn watch_dropped_during_its_creation_is_cancelled_afterwards() {
        let mut ids = WatchIds::new();
        let first = ids.create(1).unwrap();
        assert_eq!(ids.remove(1), None);
        assert_eq!(ids.created(first.id).0, Some(1));
        assert_eq!(ids.remove(1), Some(first.id));
    }
}
