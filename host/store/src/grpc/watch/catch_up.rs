//! Progress of watches through the history.
//!
//! One step reads at most two bounded pieces: one for the live watches, one for those furthest behind, so that
//! neither delays the other. This file must never read on while a response waits to be sent.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

use etcd_client::proto::PbWatchResponse;

use super::event_batch::{EventBatch, StreamWatch};
use super::stream_watches::{
    OutgoingResponse, StreamWatches, WatchPosition, is_there, response_with,
};
use crate::change::RevisionChanges;
use crate::watch::{RangeIndex, TouchedRevisions};

/// The most revisions read at a time.
const REVISIONS_AT_A_TIME: i64 = 256;

/// No further revision is read once this many events wait to be sent.
const EVENTS_AT_A_TIME: usize = 4096;

impl StreamWatches {
    /// Advances the live watches by one piece of history, and those furthest behind by another.
    pub(super) fn advance(&mut self) {
        self.serve_live();
        self.serve_behind();
        self.send_progress();
    }

    fn serve_live(&mut self) {
        let Some(touched) = self.live.touched.take() else {
            return;
        };
        let from = touched.first.max(self.live.next);
        let limit = (touched.last - from + 1).min(REVISIONS_AT_A_TIME);
        if limit <= 0 {
            return;
        }
        let next = match self.history.recent(from, bounded(limit)) {
            Ok(revisions) => {
                let Some(served) = deliver(
                    &revisions,
                    &self.live.members,
                    &mut self.idle,
                    &mut self.outbox,
                    |_| true,
                    None,
                ) else {
                    return;
                };
                served + 1
            }
            Err(compacted) => {
                // Which of them were touched is unknown by now.
                let members = self.live.members.values();
                let missed: Vec<_> = members
                    .filter(|member| member.from < compacted)
                    .map(|member| Arc::clone(&member.watch))
                    .collect();
                for watch in missed {
                    self.live.members.remove(&watch.range, watch.serial);
                    self.end_compacted(&watch, compacted);
                }
                compacted
            }
        };
        self.live.next = next;
        if next <= touched.last {
            self.live.touched = Some(TouchedRevisions {
                first: next,
                last: touched.last,
            });
        }
    }

    fn serve_behind(&mut self) {
        let Some((from, members)) = self.behind.pop_first() else {
            return;
        };
        // Not past the watches ahead, so that both continue together.
        let ahead = self
            .behind
            .keys()
            .next()
            .map_or(i64::MAX, |next| next - from);
        let limit = ahead.min(REVISIONS_AT_A_TIME);
        let revisions = match self.history.history(from, bounded(limit)) {
            Ok(revisions) => revisions,
            Err(compacted) => {
                for member in members.values() {
                    if self.is_there(&member.watch) {
                        self.end_compacted(&member.watch, compacted);
                    }
                }
                return;
            }
        };
        let is_all = i64::try_from(revisions.len()).is_ok_and(|read| read < limit);
        let by_id = &self.by_id;
        let served = deliver(
            &revisions,
            &members,
            &mut self.idle,
            &mut self.outbox,
            |watch| is_there(by_id, watch),
            revisions.last().filter(|_| is_all).map(|last| last.number),
        );
        let next = served.map_or(from, |served| served + 1);
        if is_all && revisions.last().is_none_or(|last| last.number < next) {
            for mut member in members.into_values() {
                if self.is_there(&member.watch) {
                    member.from = next;
                    let range = member.watch.range.clone();
                    self.live
                        .members
                        .insert(&range, member.watch.serial, member);
                }
            }
        } else {
            let here = self.behind.entry(next).or_default();
            here.absorb(members, |member| (&member.watch.range, member.watch.serial));
        }
    }

    fn end_compacted(&mut self, watch: &StreamWatch, compacted: i64) {
        self.forget(watch.id);
        // As etcd does: a header without a revision, and no reason but the compacted revision.
        let mut header = self.history.header();
        header.revision = 0;
        self.reply(PbWatchResponse {
            watch_id: watch.id,
            canceled: true,
            compact_revision: compacted,
            ..response_with(header)
        });
    }
}

fn bounded(limit: i64) -> usize {
    usize::try_from(limit).unwrap_or(1)
}

/// Puts the events of each of these watches into the outbox: whole revisions, until the limit is reached. Returns
/// the last revision read, or `None` if there was none. Watches are then served up to `through`.
fn deliver(
    revisions: &[Arc<RevisionChanges>],
    members: &RangeIndex<WatchPosition>,
    idle: &mut HashMap<i64, bool>,
    outbox: &mut VecDeque<OutgoingResponse>,
    is_there: impl Fn(&StreamWatch) -> bool,
    through: Option<i64>,
) -> Option<i64> {
    let mut batches: BTreeMap<u64, EventBatch> = BTreeMap::new();
    let mut count = 0;
    let mut served = None;
    for revision in revisions {
        for change in &revision.changes {
            members.find(&change.key, |WatchPosition { watch, from }| {
                if *from <= revision.number && watch.filter.passes(change) && is_there(watch) {
                    count += 1;
                    batches
                        .entry(watch.serial)
                        .or_insert_with(|| EventBatch::new(Arc::clone(watch)))
                        .push(Arc::clone(change));
                }
            });
        }
        served = Some(revision.number);
        if count >= EVENTS_AT_A_TIME {
            break;
        }
    }
    for (_, mut batch) in batches {
        if let Some(idle) = idle.get_mut(&batch.watch().id) {
            *idle = false;
        }
        if let Some(through) =
            through.filter(|_| served == revisions.last().map(|last| last.number))
        {
            batch.served_through(through);
        }
        outbox.push_back(OutgoingResponse::Events(batch));
    }
    served
}
