//! Events on their way to one watch, made into responses one at a time.
//!
//! Waiting events are shared with the history; only the response that is being sent copies values. This file must
//! never split a revision over responses, unless the client requested fragments.

use std::collections::VecDeque;
use std::sync::Arc;

use etcd_client::proto::{PbEvent, PbResponseHeader, PbWatchResponse};
use prost::Message;

use crate::change::KeyChange;
use crate::error::StoreError;
use crate::key_range::KeyRange;
use crate::mvcc::answer_fits;
use crate::watch::WatchHistory;

/// A response is closed at the end of a revision once it has this many bytes. It bounds the bytes that a slow client
/// makes the store hold, beyond the one revision that cannot be split.
const ENOUGH_BYTES: usize = 256 << 10;

/// Upper bound for fragments, as in etcd.
const FRAGMENT_BYTES: usize = crate::grpc::limits::MAX_MESSAGE_BYTES;

/// One watch as its client requested it.
#[derive(Debug)]
pub(super) struct StreamWatch {
    /// The client's id for it. Ids can be used again.
    pub(super) id: i64,
    /// A number that differs from that of every other watch of the stream, earlier ones included.
    pub(super) serial: u64,
    pub(super) range: KeyRange,
    pub(super) prev_kv: bool,
    pub(super) fragment: bool,
    pub(super) filter: EventFilter,
}

/// Events that a watch leaves out.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct EventFilter {
    pub(super) puts: bool,
    pub(super) deletes: bool,
}

impl EventFilter {
    pub(super) const fn passes(self, change: &KeyChange) -> bool {
        if change.is_put() {
            !self.puts
        } else {
            !self.deletes
        }
    }
}

/// Events for one watch, in order.
#[derive(Debug)]
pub(super) struct EventBatch {
    watch: Arc<StreamWatch>,
    changes: VecDeque<Arc<KeyChange>>,
    /// The event that did not fit into the last fragment.
    carried: Option<PbEvent>,
    /// The revision up to which the watch is served with the last of these events, if later than that event.
    through: Option<i64>,
}

impl EventBatch {
    pub(super) const fn new(watch: Arc<StreamWatch>) -> Self {
        Self {
            watch,
            changes: VecDeque::new(),
            carried: None,
            through: None,
        }
    }

    pub(super) const fn watch(&self) -> &Arc<StreamWatch> {
        &self.watch
    }

    pub(super) fn push(&mut self, change: Arc<KeyChange>) {
        self.changes.push_back(change);
    }

    pub(super) const fn served_through(&mut self, revision: i64) {
        self.through = Some(revision);
    }

    /// Returns the next response, with `header` but for its revision; and true if it is the last one. A header's
    /// revision is one up to which the watch has then been sent everything.
    ///
    /// # Errors
    /// One revision is larger than any answer, and the client did not request fragments.
    pub(super) fn next(
        &mut self,
        history: &dyn WatchHistory,
        mut header: PbResponseHeader,
    ) -> Result<(PbWatchResponse, bool), StoreError> {
        let mut response = PbWatchResponse {
            watch_id: self.watch.id,
            ..PbWatchResponse::default()
        };
        // The largest size of the fields beside the events.
        let mut size = header.encoded_len() + 32;
        while let Some(event) = self.next_event(history) {
            let revision = event.kv.as_ref().map_or(0, |kv| kv.mod_revision);
            let length = event.encoded_len();
            size += 1 + prost::length_delimiter_len(length) + length;
            let fits = size < FRAGMENT_BYTES || response.events.is_empty();
            if self.watch.fragment && !fits {
                self.carried = Some(event);
                response.fragment = true;
                break;
            }
            if !self.watch.fragment {
                answer_fits(size as u64)?;
            }
            header.revision = revision;
            response.events.push(event);
            let ends_revision = self
                .changes
                .front()
                .is_none_or(|next| next.revision != revision);
            if ends_revision && size >= ENOUGH_BYTES {
                break;
            }
        }
        let done = self.carried.is_none() && self.changes.is_empty();
        if let (true, Some(through)) = (done, self.through) {
            header.revision = header.revision.max(through);
        }
        response.header = Some(header);
        Ok((response, done))
    }

    fn next_event(&mut self, history: &dyn WatchHistory) -> Option<PbEvent> {
        if let Some(event) = self.carried.take() {
            return Some(event);
        }
        let change = self.changes.pop_front()?;
        let kv = change.key_value(false);
        let is_create = change.is_put() && kv.create_revision == kv.mod_revision;
        let prev_kv = (self.watch.prev_kv && !is_create)
            .then(|| history.before(&change.key, change.revision))
            .flatten();
        Some(PbEvent {
            // 0 is a put, 1 a deletion.
            r#type: i32::from(!change.is_put()),
            kv: Some(kv),
            prev_kv,
        })
    }
}
