//! Brings every watch of a sequence up to date, so that their events can be compared.
//!
//! A watch is known to be open when it receives a change that is made for it; no time is long enough to
//! conclude it from silence.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Result, ensure};
use etcd_client::proto::{
    PbDeleteRequest, PbPutRequest, PbTxnOpRequest, PbTxnRequest, PbTxnRequestOp,
    PbWatchResponse as PbWatch,
};

use super::op::Op;
use super::play::{Mismatch, Play};
use super::watching::{self, is_cancelled, is_done, transcripts};

/// Longer than etcd's loop takes that serves watches of the past: 100 ms.
const PAST_SERVED: Duration = Duration::from_millis(300);

impl Play<'_> {
    pub(super) async fn cancel(&mut self, index: usize) -> Result<Option<Mismatch>> {
        if let Some(mismatch) = self.settle().await? {
            return Ok(Some(mismatch));
        }
        let Some(open) = self.watches.get_mut(index).filter(|open| open.live) else {
            return Ok(None);
        };
        open.live = false;
        let (id, since) = (open.id, open.since.clone());
        let mut answers = Vec::new();
        for (server, since) in self.servers.iter_mut().zip(since) {
            let Some(watches) = &mut server.watches else {
                continue;
            };
            watches.send(watching::cancel(id)).await?;
            let ended = watches
                .wait(|heard| is_cancelled(&heard[since..], id))
                .await;
            answers.push((server.name, format!("ended={ended}")));
        }
        Ok(self.compare(format!("cancel watch {id}"), answers))
    }

    /// Asks each server how far its watches are, once they are as far as they can be.
    pub(super) async fn progress(&mut self) -> Result<Option<Mismatch>> {
        if let Some(mismatch) = self.settle().await? {
            return Ok(Some(mismatch));
        }
        let is_progress = |r: &&PbWatch| r.events.is_empty() && !r.created && !r.canceled;
        let count = |heard: &[PbWatch]| heard.iter().filter(is_progress).count();
        let mut answers = Vec::new();
        for server in self.servers.iter_mut() {
            let Some(watches) = &mut server.watches else {
                return Ok(None);
            };
            let before = watches.heard(count);
            watches.send(watching::progress()).await?;
            let came = watches.wait(|heard| count(heard) > before).await;
            answers.push((server.name, format!("answered={came}")));
        }
        Ok(self.compare("progress".to_owned(), answers))
    }

    /// Waits until every live watch has received the newest revision, and compares their events.
    pub(super) async fn settle(&mut self) -> Result<Option<Mismatch>> {
        if self.watches.is_empty() {
            return Ok(None);
        }
        let live = || self.watches.iter().filter(|open| open.live);
        let put_for = live().filter(|open| !open.request.no_put);
        let puts: BTreeSet<_> = put_for.filter_map(|open| open.request.a_key()).collect();
        let delete_for = live().filter(|open| open.request.no_put && !open.request.no_delete);
        let deletes: BTreeSet<_> = delete_for.filter_map(|open| open.request.a_key()).collect();
        // It receives nothing, so the only wait is for surplus events.
        if live().any(|open| open.request.no_put && open.request.no_delete) {
            tokio::time::sleep(PAST_SERVED).await;
        }

        let puts: Vec<_> = puts.union(&deletes).copied().collect();
        let deletes: Vec<_> = deletes.into_iter().collect();
        let put = match self.mark(&puts, put_marker).await? {
            Ok(revision) => (revision, puts),
            Err(mismatch) => return Ok(Some(mismatch)),
        };
        let delete = match self.mark(&deletes, delete_marker).await? {
            Ok(revision) => (revision, deletes),
            Err(mismatch) => return Ok(Some(mismatch)),
        };
        self.wait_for(&put, &delete).await?;
        Ok(self.compare_events())
    }

    /// Makes one change to these keys and gives its revision, as the sequence counts.
    async fn mark(
        &self,
        keys: &[&'static [u8]],
        marker: fn(&[u8]) -> PbTxnOpRequest,
    ) -> Result<Result<i64, Mismatch>> {
        let success: Vec<_> = keys
            .iter()
            .map(|key| PbTxnRequestOp {
                request: Some(marker(key)),
            })
            .collect();
        if success.is_empty() {
            return Ok(Ok(0));
        }
        let request = PbTxnRequest {
            success,
            ..PbTxnRequest::default()
        };
        let mut answers = Vec::new();
        for server in self.servers.iter() {
            answers.push((server.name, server.txn(&request).await));
        }
        let revision = answers[0].1.strip_prefix("at ").and_then(|rest| {
            let number = rest.split_whitespace().next()?;
            number.parse().ok()
        });
        ensure!(revision.is_some(), "a marker failed: {answers:?}");
        let mismatch = self.compare("a change for the watches".to_owned(), answers);
        Ok(mismatch.map_or_else(|| Ok(revision.unwrap_or_default()), Err))
    }

    /// Waits until every live watch has received its last marker.
    async fn wait_for(&mut self, put: &Marker, delete: &Marker) -> Result<()> {
        for (index, server) in self.servers.iter_mut().enumerate() {
            let Some(watches) = &mut server.watches else {
                continue;
            };
            for open in self.watches.iter().filter(|open| open.live) {
                let request = &open.request;
                let hears = |filtered: bool, (_, keys): &Marker| {
                    !filtered && keys.iter().any(|key| request.covers(key))
                };
                let revision = if hears(request.no_delete, delete) {
                    delete.0
                } else if hears(request.no_put, put) {
                    put.0
                } else {
                    continue;
                };
                if request.start > revision {
                    continue;
                }
                let revision = server.epoch.absolute(revision);
                let since = open.since[index];
                let done = watches
                    .wait(|heard| is_done(&heard[since..], open.id, revision))
                    .await;
                ensure!(
                    done,
                    "{} never told watch {} ({}) of revision {revision}; it told {:#?}",
                    server.name,
                    open.id,
                    Op::Watch(request.clone()),
                    watches.heard(|heard| transcripts(heard, server.epoch).remove(&open.id))
                );
            }
        }
        // A watch that one server ended has ended on all of them, or the comparison fails.
        if let Some(watches) = self
            .servers
            .first()
            .and_then(|server| server.watches.as_ref())
        {
            for open in &mut self.watches {
                let over = |heard: &[_]| is_cancelled(&heard[open.since[0]..], open.id);
                if open.live && watches.heard(over) {
                    (open.live, open.ended) = (false, true);
                }
            }
        }
        Ok(())
    }

    fn compare_events(&self) -> Option<Mismatch> {
        let mut all = Vec::new();
        let mut ids = BTreeSet::new();
        for server in self.servers.iter() {
            let Some(watches) = &server.watches else {
                continue;
            };
            let told = watches.heard(|heard| transcripts(heard, server.epoch));
            ids.extend(told.keys().copied());
            all.push((server.name, told));
        }
        for id in ids {
            let answers = all.iter().map(|(name, told)| {
                let lines = told.get(&id).cloned().unwrap_or_default();
                (*name, lines.join("\n"))
            });
            let what = format!("what watch {id} was told");
            if let Some(mismatch) = self.compare(what, answers.collect()) {
                return Some(mismatch);
            }
        }
        None
    }
}

/// A change made as a marker for watches: its revision, as the sequence counts, and its keys.
type Marker = (i64, Vec<&'static [u8]>);

fn put_marker(key: &[u8]) -> PbTxnOpRequest {
    PbTxnOpRequest::RequestPut(PbPutRequest {
        key: key.to_vec(),
        value: b"marker".to_vec(),
        ..PbPutRequest::default()
    })
}

fn delete_marker(key: &[u8]) -> PbTxnOpRequest {
    PbTxnOpRequest::RequestDeleteRange(PbDeleteRequest {
        key: key.to_vec(),
        ..PbDeleteRequest::default()
    })
}
