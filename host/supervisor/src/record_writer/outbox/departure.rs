//! The next transaction, and the results of those that were sent.

use std::sync::Arc;
use std::time::Duration;

use leasehold_lock::Batch;
use tokio::time::Instant;

use super::pending_write::{PendingWrite, WriteBatch, WriteContent};
use super::{Outbox, PROGRESS_LINGER, RunMark};

/// Time between two transactions that are not full.
pub(super) const PACE: Duration = Duration::from_millis(5);
/// Bytes in one transaction: a store accepts 1.5 MiB in one request.
pub(super) const LOAD_BYTES: usize = 1 << 20;
/// Operations of a transaction that runs may use while other records wait.
const SHARE_OF_RUNS: usize = 96;

impl Outbox {
    /// Returns the time when the next transaction may start; standing records are in it only if there is a lease.
    pub(in crate::record_writer) fn wake(&self, has_lease: bool, closing: bool) -> Option<Instant> {
        let others = if has_lease {
            self.others.first_due()
        } else {
            None
        };
        let due = [self.runs.first_due(), others]
            .into_iter()
            .flatten()
            .min()?;
        if closing || self.is_full() {
            // At once.
            return Some(due.min(self.last_departure.unwrap_or(due)));
        }
        let pace = self.last_departure.map_or(due, |last| last + PACE);
        Some(due.max(pace))
    }

    fn is_full(&self) -> bool {
        self.runs.riding.len() >= Batch::MOST_OPS
    }

    /// Returns the next transaction, if one is to start now.
    pub(in crate::record_writer) fn depart(
        &mut self,
        now: Instant,
        has_lease: bool,
        closing: bool,
    ) -> Option<WriteBatch> {
        let until = if closing {
            now + PROGRESS_LINGER * 2
        } else {
            now
        };
        let wake = self.wake(has_lease, closing)?;
        if wake > until && !self.is_full() {
            return None;
        }
        let mut seqs: Vec<u64> = Vec::new();
        let others = if !has_lease || self.others.is_empty() {
            Vec::new()
        } else {
            self.others.ready(until).take(Batch::MOST_OPS).collect()
        };
        let share = if others.is_empty() {
            Batch::MOST_OPS
        } else {
            SHARE_OF_RUNS
        };
        seqs.extend(self.runs.ready(until).take(share));
        seqs.extend(others);
        seqs.truncate(Batch::MOST_OPS);
        let (mut items, mut bytes) = (Vec::new(), 0);
        for seq in seqs {
            let Some(next) = self.items.get(&seq) else {
                continue;
            };
            bytes += next.key.len() + next.content.bytes();
            let stands_alone =
                next.alone || items.last().is_some_and(|item: &PendingWrite| item.alone);
            if !items.is_empty() && (bytes > LOAD_BYTES || stands_alone) {
                break;
            }
            if let Some(item) = self.take(seq) {
                if let Some(standing) = self.standing.get_mut(&item.key) {
                    standing.written = standing.phase.map(|(state, _)| state);
                }
                self.in_flight.insert(item.key.clone());
                items.push(item);
            }
        }
        if items.is_empty() {
            return None;
        }
        self.last_departure = Some(now);
        Some(WriteBatch { items })
    }

    /// Handles a successful transaction; returns the runs in it and the size of their records.
    pub(in crate::record_writer) fn written(
        &mut self,
        load: WriteBatch,
    ) -> Vec<(Arc<str>, RunMark, usize)> {
        let mut runs = Vec::new();
        for item in load.items {
            self.landed(&item.key);
            let bytes = item.content.bytes();
            if let WriteContent::Run { mark, .. } = item.content {
                runs.push((item.key, mark, bytes));
            }
        }
        runs
    }

    /// Handles a transaction that may have failed: all of it is written again.
    pub(in crate::record_writer) fn failed(&mut self, load: WriteBatch) {
        self.again(load, false);
    }

    /// Handles a transaction that was refused for its content: each of its writes is sent alone.
    pub(in crate::record_writer) fn refused(&mut self, load: WriteBatch) {
        self.again(load, true);
    }

    fn again(&mut self, load: WriteBatch, alone: bool) {
        for mut item in load.items {
            let newer = self.unblock(&item.key);
            self.in_flight.remove(&item.key);
            item.alone |= alone;
            item.tried = true;
            match newer {
                Some(mut newer) => {
                    newer.supersede(&item);
                    self.insert(newer);
                }
                None => self.insert(item),
            }
        }
        self.keep_bounds();
    }

    /// Drops a write that the store refuses. Counts it as dropped if it is a run's.
    pub(in crate::record_writer) fn give_up(&mut self, load: WriteBatch) {
        for item in load.items {
            self.dropped += u64::from(item.content.is_run());
            self.landed(&item.key);
        }
    }

    fn landed(&mut self, key: &Arc<str>) {
        self.in_flight.remove(key);
        if let Some(newer) = self.unblock(key) {
            self.insert(newer);
        }
    }
}
