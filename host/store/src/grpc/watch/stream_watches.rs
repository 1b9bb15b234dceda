//! The watches of one stream: their positions, and the responses to send.
//!
//! Up-to-date watches are live: they share a position, and advance when the registry announces a revision. The
//! others are behind: they read the history in bounded pieces until they are live. Those that reach the same
//! revision continue together. This file must never wait, nor hold more than one piece of history.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

use etcd_client::proto::{PbResponseHeader, PbWatchRequest, PbWatchRequestUnion, PbWatchResponse};

use super::event_batch::{EventBatch, EventFilter, StreamWatch};
use crate::budget::RequestTicket;
use crate::error::StoreError;
use crate::key_range::KeyRange;
use crate::watch::{RangeIndex, TouchedRevisions, WatchHistory, WatchRegistry, WatchSubscription};

/// The id in responses about no watch, or about all of them.
const NO_WATCH: i64 = -1;

const DUPLICATE_ID: &str = "mvcc: duplicate watch ID provided on the WatchStream";
const EMPTY_RANGE: &str = "mvcc: watcher range is empty";
const COMPACTED: &str = "etcdserver: mvcc: required revision has been compacted";

/// The watches of one stream.
pub(super) struct StreamWatches {
    pub(super) history: Arc<dyn WatchHistory>,
    registry: Arc<WatchRegistry>,
    subscription: WatchSubscription,
    pub(super) by_id: HashMap<i64, Arc<StreamWatch>>,
    next_id: i64,
    next_serial: u64,
    pub(super) live: LiveWatches,
    /// Watches that are behind, by the next revision they need.
    pub(super) behind: BTreeMap<i64, RangeIndex<WatchPosition>>,
    pub(super) outbox: VecDeque<OutgoingResponse>,
    /// Watches that requested progress responses, with true if they had no event since the last one.
    pub(super) idle: HashMap<i64, bool>,
    progress: Option<ProgressPromise>,
    /// The ticket of the request that opened the stream.
    pub(super) ticket: Option<RequestTicket>,
}

/// Approximate bytes of a watch and its place in four indexes; and the number of copies of its range.
const WATCH_BYTES: u64 = 1024;
const COPIES: u64 = 5;

/// Watches that are up to date but for the announced revisions.
#[derive(Default)]
pub(super) struct LiveWatches {
    pub(super) members: RangeIndex<WatchPosition>,
    /// All revisions below it were served, or touched none of them.
    pub(super) next: i64,
    pub(super) touched: Option<TouchedRevisions>,
}

impl LiveWatches {
    fn note(&mut self, touched: TouchedRevisions) {
        match &mut self.touched {
            Some(noted) => noted.last = noted.last.max(touched.last),
            none => *none = Some(touched),
        }
    }
}

#[derive(Debug)]
pub(super) struct WatchPosition {
    pub(super) watch: Arc<StreamWatch>,
    /// The first revision that it still needs.
    pub(super) from: i64,
}

/// A promise to send the revision up to which everything has been sent.
#[derive(Default)]
struct ProgressPromise {
    /// The promised revision is this one or a later one: the client may have seen it elsewhere.
    at_least: i64,
    /// True if the stream requested it.
    stream: bool,
    /// The watches that requested it.
    watches: Vec<i64>,
}

pub(super) enum OutgoingResponse {
    Reply(PbWatchResponse),
    Events(EventBatch),
}

impl StreamWatches {
    pub(super) fn new(
        history: Arc<dyn WatchHistory>,
        registry: Arc<WatchRegistry>,
        ticket: Option<RequestTicket>,
    ) -> Self {
        Self {
            subscription: registry.subscribe(),
            history,
            registry,
            by_id: HashMap::new(),
            next_id: 0,
            next_serial: 0,
            live: LiveWatches::default(),
            behind: BTreeMap::new(),
            outbox: VecDeque::new(),
            idle: HashMap::new(),
            progress: None,
            ticket,
        }
    }

    /// Returns when a revision touches a live watch, and notes it. Cancel-safe.
    pub(super) async fn touched(&mut self) {
        let touched = self.subscription.touched().await;
        self.live.note(touched);
    }

    /// Notes the revisions that touched a live watch, if any did.
    pub(super) fn note_touched(&mut self) {
        if let Some(touched) = self.subscription.take_touched() {
            self.live.note(touched);
        }
    }

    /// Returns the next response, if one is ready.
    pub(super) fn pop(&mut self) -> Option<PbWatchResponse> {
        match self.outbox.front_mut()? {
            OutgoingResponse::Reply(reply) => {
                let reply = std::mem::take(reply);
                self.outbox.pop_front();
                Some(reply)
            }
            OutgoingResponse::Events(batch) => {
                match batch.next(&*self.history, self.history.header()) {
                    Ok((response, done)) => {
                        if done {
                            self.outbox.pop_front();
                        }
                        Some(response)
                    }
                    Err(too_large) => {
                        let watch = Arc::clone(batch.watch());
                        self.outbox.pop_front();
                        Some(self.end_too_large(&watch, &too_large))
                    }
                }
            }
        }
    }

    /// Ends a watch that did not request fragments and would need them.
    fn end_too_large(&mut self, watch: &StreamWatch, reason: &StoreError) -> PbWatchResponse {
        // Its id may belong to another watch by now, which then continues.
        if self.is_there(watch) {
            self.forget(watch.id);
            self.live.members.remove(&watch.range, watch.serial);
        }
        PbWatchResponse {
            watch_id: watch.id,
            canceled: true,
            cancel_reason: format!("{reason}, or watch with fragments"),
            ..response_with(self.history.header())
        }
    }

    /// Applies a request of the client. It causes at most one response.
    pub(super) fn apply(&mut self, request: PbWatchRequest) {
        match request.request_union {
            Some(PbWatchRequestUnion::CreateRequest(asked)) => {
                let filter = EventFilter {
                    puts: asked.filters.contains(&0),
                    deletes: asked.filters.contains(&1),
                };
                let key: &[u8] = if asked.key.is_empty() {
                    b"\0"
                } else {
                    &asked.key
                };
                let watch = StreamWatch {
                    id: asked.watch_id,
                    serial: self.next_serial,
                    range: KeyRange::new(key, &asked.range_end),
                    prev_kv: asked.prev_kv,
                    fragment: asked.fragment,
                    filter,
                };
                self.next_serial += 1;
                self.create(watch, asked.start_revision, asked.progress_notify);
            }
            Some(PbWatchRequestUnion::CancelRequest(asked)) => self.cancel(asked.watch_id),
            Some(PbWatchRequestUnion::ProgressRequest(_)) => self.promise_progress().stream = true,
            // As etcd does: an empty request does not end the stream.
            None => {}
        }
    }

    fn create(&mut self, mut watch: StreamWatch, start: i64, notify: bool) {
        let refused = match &watch.range {
            _ if start < 0 => Some(COMPACTED.to_owned()),
            KeyRange::Between(first, end) if first >= end => Some(EMPTY_RANGE.to_owned()),
            _ if watch.id != 0 && self.by_id.contains_key(&watch.id) => {
                Some(DUPLICATE_ID.to_owned())
            }
            _ => self.count(&watch.range).err().map(|full| full.to_string()),
        };
        if let Some(reason) = refused {
            return self.reply(PbWatchResponse {
                header: Some(self.history.header()),
                watch_id: NO_WATCH,
                created: true,
                canceled: true,
                cancel_reason: reason,
                ..PbWatchResponse::default()
            });
        }
        if watch.id == 0 {
            while self.by_id.contains_key(&self.next_id) {
                self.next_id += 1;
            }
            watch.id = self.next_id;
            self.next_id += 1;
        }
        // Subscribed before the revision is read: the registry announces all later revisions.
        self.subscription.add(watch.range.clone());
        let header = self.history.header();
        let watch = Arc::new(watch);
        self.by_id.insert(watch.id, Arc::clone(&watch));
        if notify {
            self.idle.insert(watch.id, true);
        }
        self.reply(PbWatchResponse {
            watch_id: watch.id,
            created: true,
            ..response_with(header)
        });
        let is_past = start != 0 && start <= header.revision;
        let from = if start == 0 {
            header.revision + 1
        } else {
            start
        };
        let members = if is_past {
            self.behind.entry(start).or_default()
        } else {
            &mut self.live.members
        };
        let serial = watch.serial;
        members.insert(&watch.range.clone(), serial, WatchPosition { watch, from });
    }

    fn cancel(&mut self, id: i64) {
        let Some(watch) = self.forget(id) else {
            // As etcd does: no answer.
            return;
        };
        // A watch that is behind is left out when the others advance.
        self.live.members.remove(&watch.range, watch.serial);
        self.reply(PbWatchResponse {
            watch_id: id,
            canceled: true,
            ..response_with(self.history.header())
        });
    }

    pub(super) fn forget(&mut self, id: i64) -> Option<Arc<StreamWatch>> {
        let watch = self.by_id.remove(&id)?;
        self.idle.remove(&id);
        self.subscription.remove(&watch.range);
        if let Some(ticket) = &self.ticket {
            ticket.drop_watch(cost(&watch.range));
        }
        Some(watch)
    }

    /// Counts a new watch, unless the connection has as many as it may.
    fn count(&self, range: &KeyRange) -> Result<(), StoreError> {
        match &self.ticket {
            Some(ticket) => ticket.add_watch(cost(range)),
            None => Ok(()),
        }
    }

    pub(super) fn reply(&mut self, response: PbWatchResponse) {
        self.outbox.push_back(OutgoingResponse::Reply(response));
    }

    /// Returns true if [`StreamWatches::advance`] has something to do.
    pub(super) fn has_work(&self) -> bool {
        self.live.touched.is_some()
            || !self.behind.is_empty()
            || self
                .progress
                .as_ref()
                .is_some_and(|progress| *self.registry.announced().borrow() >= progress.at_least)
    }

    /// Returns the revision that must be announced before progress can be sent.
    pub(super) fn awaited_revision(&self) -> Option<i64> {
        self.progress.as_ref().map(|progress| progress.at_least)
    }

    pub(super) fn is_there(&self, watch: &StreamWatch) -> bool {
        is_there(&self.by_id, watch)
    }

    /// Returns true if any watch requested progress responses.
    pub(super) fn wants_progress(&self) -> bool {
        !self.idle.is_empty()
    }

    /// Promises progress to the watches that had no events since the last tick.
    pub(super) fn tick(&mut self) {
        let due: Vec<i64> = self
            .idle
            .iter_mut()
            .filter_map(|(id, idle)| std::mem::replace(idle, true).then_some(*id))
            .collect();
        if !due.is_empty() {
            self.promise_progress().watches = due;
        }
    }

    fn promise_progress(&mut self) -> &mut ProgressPromise {
        let current = self.history.header().revision;
        let progress = self.progress.get_or_insert_default();
        progress.at_least = current;
        progress
    }

    /// Sends the revision up to which everything has been sent, once everything has been.
    pub(super) fn send_progress(&mut self) {
        if self.live.touched.is_some() || !self.behind.is_empty() {
            return;
        }
        let Some(progress) = self.progress.take() else {
            return;
        };
        // Read before the note: the revisions announced up to here are in the note.
        let announced = *self.registry.announced().borrow();
        self.note_touched();
        if announced < progress.at_least || self.live.touched.is_some() {
            self.progress = Some(progress);
            return;
        }
        let mut header = self.history.header();
        header.revision = announced;
        for id in progress.watches {
            if self.idle.contains_key(&id) {
                self.reply(PbWatchResponse {
                    watch_id: id,
                    ..response_with(header)
                });
            }
        }
        if progress.stream {
            self.reply(PbWatchResponse {
                watch_id: NO_WATCH,
                ..response_with(header)
            });
        }
    }
}

fn cost(range: &KeyRange) -> u64 {
    WATCH_BYTES + COPIES * range.bytes() as u64
}

pub(super) fn response_with(header: PbResponseHeader) -> PbWatchResponse {
    PbWatchResponse {
        header: Some(header),
        ..PbWatchResponse::default()
    }
}

pub(super) fn is_there(by_id: &HashMap<i64, Arc<StreamWatch>>, watch: &StreamWatch) -> bool {
    by_id
        .get(&watch.id)
        .is_some_and(|there| there.serial == watch.serial)
}
