//! Sends a sequence to every server, one step at a time to all of them, and compares the answers.
//!
//! A step goes to the next server only after the one before has answered, and no other client uses them: so
//! a difference is a difference in meaning, never one of timing.

use anyhow::{Context, Result};
use etcd_client::proto::PbWatchResponse as PbWatch;

use super::excuse;
use super::op::{Op, Watch};
use super::server::{Name, Server};

/// The first step that the servers disagreed about.
#[derive(Debug, Clone)]
pub(super) struct Mismatch {
    /// Its place in the sequence.
    pub(super) step: usize,
    /// Name of the compared answer.
    pub(super) what: String,
    /// Answer of each server.
    pub(super) answers: Vec<(Name, String)>,
}

/// A watch of the sequence.
pub(super) struct Open {
    pub(super) request: Watch,
    /// Its id, the same on every server.
    pub(super) id: i64,
    /// Number of responses of each server's stream before it.
    pub(super) since: Vec<usize>,
    pub(super) live: bool,
    /// By the servers, not by us.
    pub(super) ended: bool,
}

/// One sequence under way.
pub(super) struct Play<'a> {
    pub(super) servers: &'a mut [Server],
    step: usize,
    pub(super) watches: Vec<Open>,
    /// The last compaction, as the sequence counts.
    compacted: i64,
}

/// Plays a sequence from a fresh start. Gives the first difference, if there is one.
///
/// # Errors
/// A server has ended, or did not reach the required state.
pub(super) async fn play(servers: &mut [Server], ops: &[Op]) -> Result<Option<Mismatch>> {
    for server in servers.iter_mut() {
        server.reset().await?;
    }
    let mut play = Play {
        servers,
        step: 0,
        watches: Vec::new(),
        compacted: 0,
    };
    for (step, op) in ops.iter().enumerate() {
        play.step = step;
        let played = play.op(op).await;
        if let Some(mismatch) = played.with_context(|| format!("step {step}: {op}"))? {
            return Ok(Some(mismatch));
        }
    }
    play.step = ops.len();
    play.settle().await
}

impl Play<'_> {
    async fn op(&mut self, op: &Op) -> Result<Option<Mismatch>> {
        match op {
            Op::Watch(request) => {
                let mut request = request.clone();
                // See `excuse::AVOIDED`.
                if request.start == self.compacted && request.start > 0 {
                    request.start += 1;
                }
                if let Some(mismatch) = self.settle_for(request.id).await? {
                    return Ok(Some(mismatch));
                }
                if self.was_ended(request.id) {
                    return Ok(None);
                }
                self.watch(op, &request).await
            }
            Op::CancelWatch(index) => self.cancel(*index).await,
            Op::Progress => self.progress().await,
            Op::Compact(_) => {
                if let Some(mismatch) = self.settle().await? {
                    return Ok(Some(mismatch));
                }
                self.plain(op).await
            }
            _ => self.plain(op).await,
        }
    }

    /// A watch that a compaction is about to end still has its id.
    async fn settle_for(&mut self, id: i64) -> Result<Option<Mismatch>> {
        let taken = |open: &Open| open.live && open.id == id;
        if id != 0 && self.watches.iter().any(taken) {
            return self.settle().await;
        }
        Ok(None)
    }

    /// True if a watch of this id was ended by the servers; see `excuse::AVOIDED`.
    fn was_ended(&self, id: i64) -> bool {
        let ended = |open: &Open| open.ended && open.id == id;
        id != 0 && self.watches.iter().any(ended)
    }

    async fn plain(&mut self, op: &Op) -> Result<Option<Mismatch>> {
        let mut answers = Vec::new();
        for server in self.servers.iter() {
            answers.push((server.name, server.answer(op).await?));
        }
        if let Op::Compact(request) = op
            && answers.iter().all(|(_, answer)| answer.starts_with("at "))
        {
            self.compacted = request.revision;
        }
        let compared = answers
            .iter()
            .filter(|(name, answer)| excuse::find(*name, op, answer).is_none())
            .cloned()
            .collect();
        Ok(self.compare(op.to_string(), compared))
    }

    pub(super) fn compare(&self, what: String, answers: Vec<(Name, String)>) -> Option<Mismatch> {
        let different = answers.windows(2).any(|two| two[0].1 != two[1].1);
        let broken = answers.iter().any(|(_, answer)| answer.contains("BROKEN"));
        (different || broken).then_some(Mismatch {
            step: self.step,
            what,
            answers,
        })
    }

    async fn watch(&mut self, op: &Op, request: &Watch) -> Result<Option<Mismatch>> {
        let (mut answers, mut since, mut ids) = (Vec::new(), Vec::new(), Vec::new());
        let created = |heard: &[_]| heard.iter().filter(|r: &&PbWatch| r.created).count();
        for server in self.servers.iter_mut() {
            let watches = server.watches.get_or_insert_with(|| server.wire.watches());
            let before = watches.heard(created);
            since.push(watches.heard(<[_]>::len));
            let sent = watches.send(request.request(server.epoch)).await;
            sent.with_context(|| server.name.to_string())?;
            let came = watches.wait(|heard| created(heard) > before).await;
            if !came {
                answers.push((server.name, format!("no watch: {:?}", watches.end())));
                continue;
            }
            let response = watches.heard(|heard| {
                let mut all = heard.iter().filter(|response| response.created);
                all.nth(before).cloned()
            });
            let response = response.unwrap_or_default();
            ids.push((response.watch_id, !response.canceled));
            answers.push((
                server.name,
                format!(
                    "id={} canceled={} {:?}",
                    response.watch_id, response.canceled, response.cancel_reason
                ),
            ));
        }
        if let Some(&(id, live)) = ids.first() {
            self.watches.push(Open {
                request: request.clone(),
                id,
                since,
                live,
                ended: false,
            });
        }
        Ok(self.compare(op.to_string(), answers))
    }
}
