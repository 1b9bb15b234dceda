//! Events that the watches of a sequence received, in a form that does not depend on time.
//!
//! Servers may cut the events of a watch into messages and mix watches as they like, so each watch's events are
//! compared in order. Rules that hold for every server are checked here: revisions ascend, none is split over
//! messages (but in fragments), and a message never runs ahead of its own header.

#![expect(
    clippy::default_trait_access,
    reason = "the messages of a watch cannot be named outside the client"
)]

use std::collections::BTreeMap;

use etcd_client::proto::{PbWatchRequest, PbWatchRequestUnion, PbWatchResponse};

use super::generate::KEYS;
use super::op::{Epoch, Watch};
use super::show::Show;

/// Both kinds of event, as filters name them.
const NO_PUT: i32 = 0;
const NO_DELETE: i32 = 1;

impl Watch {
    /// Message of the wire.
    pub(crate) fn request(&self, epoch: Epoch) -> PbWatchRequest {
        let mut union = PbWatchRequestUnion::CreateRequest(Default::default());
        if let PbWatchRequestUnion::CreateRequest(create) = &mut union {
            create.key.clone_from(&self.key);
            create.range_end.clone_from(&self.range_end);
            create.start_revision = epoch.absolute(self.start);
            if self.no_put {
                create.filters.push(NO_PUT);
            }
            if self.no_delete {
                create.filters.push(NO_DELETE);
            }
            create.prev_kv = self.prev_kv;
            create.fragment = self.fragment;
            create.watch_id = self.id;
        }
        PbWatchRequest {
            request_union: Some(union),
        }
    }

    /// A key that it sees, if it can see any.
    pub(super) fn a_key(&self) -> Option<&'static [u8]> {
        KEYS.into_iter().find(|key| self.covers(key))
    }

    /// True if this key is one of its keys. An absent key stands for the first that exists.
    pub(super) fn covers(&self, key: &[u8]) -> bool {
        let first: &[u8] = if self.key.is_empty() {
            b"\0"
        } else {
            &self.key
        };
        match self.range_end.as_slice() {
            [] => key == first,
            [0] => key >= first,
            end => key >= first && key < end,
        }
    }
}

pub(super) fn cancel(id: i64) -> PbWatchRequest {
    let mut union = PbWatchRequestUnion::CancelRequest(Default::default());
    if let PbWatchRequestUnion::CancelRequest(cancel) = &mut union {
        cancel.watch_id = id;
    }
    PbWatchRequest {
        request_union: Some(union),
    }
}

pub(super) fn progress() -> PbWatchRequest {
    PbWatchRequest {
        request_union: Some(PbWatchRequestUnion::ProgressRequest(Default::default())),
    }
}

/// Events of each watch, by its id.
pub(super) fn transcripts(heard: &[PbWatchResponse], epoch: Epoch) -> BTreeMap<i64, Vec<String>> {
    let mut told: BTreeMap<i64, Vec<String>> = BTreeMap::new();
    // Of each watch: its last revision, and true if the next message may still be of that.
    let mut last: BTreeMap<i64, (i64, bool)> = BTreeMap::new();
    for response in heard {
        let lines = told.entry(response.watch_id).or_default();
        let header = response.header.as_ref().map_or(0, |header| header.revision);
        if response.created {
            lines.push(format!("created at {}", epoch.relative(header)));
            last.remove(&response.watch_id);
        }
        let (before, open) = last.get(&response.watch_id).copied().unwrap_or((0, false));
        let mut newest = before;
        for (index, event) in response.events.iter().enumerate() {
            lines.push(event.show(epoch));
            let revision = event.kv.as_ref().map_or(0, |kv| kv.mod_revision);
            let goes_on = index > 0 || open;
            if revision < newest || (revision == newest && !goes_on) {
                lines.push(format!(
                    "BROKEN: revision {revision} split, or out of order"
                ));
            }
            if revision > header {
                lines.push(format!(
                    "BROKEN: revision {revision} ahead of the header's {header}"
                ));
            }
            newest = revision;
        }
        last.insert(response.watch_id, (newest, response.fragment));
        if response.canceled {
            lines.push(format!(
                "canceled compact_revision={} {:?}",
                epoch.relative(response.compact_revision),
                response.cancel_reason
            ));
        } else if response.events.is_empty() && !response.created {
            lines.push(format!("progress at {}", epoch.relative(header)));
        }
    }
    told
}

/// True once a watch has received this revision, or has ended.
pub(super) fn is_done(heard: &[PbWatchResponse], id: i64, revision: i64) -> bool {
    heard
        .iter()
        .filter(|response| response.watch_id == id)
        .any(|response| {
            let sees = |kv: &etcd_client::proto::PbKeyValue| kv.mod_revision == revision;
            let mut events = response.events.iter();
            response.canceled || events.any(|event| event.kv.as_ref().is_some_and(sees))
        })
}

pub(super) fn is_cancelled(heard: &[PbWatchResponse], id: i64) -> bool {
    heard
        .iter()
        .any(|response| response.watch_id == id && response.canceled)
}
