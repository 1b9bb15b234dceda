//! The published output of one run: its chunks in the store, and the next one.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use leasehold_lock::{Batch, LeaseId};
use leasehold_records::{OutputChunk, Root};
use tokio::time::Instant;

use super::allowance::Allowance;
use super::run_output::RunOutput;

/// Bytes a second of one run that are published, and at once.
const RUN_RATE: u64 = 32 << 10;
const RUN_BURST: i64 = 48 << 10;
/// Bytes and number of one run's chunks that stay in the store for readers that come later.
const KEPT_BYTES: usize = 64 << 10;
const KEPT_CHUNKS: usize = 64;
/// Time that the chunks of an ended run stay.
const AFTER_END: Duration = Duration::from_secs(30);
/// Bytes that a write takes in the store beyond its key and value.
const WRITE_OVERHEAD: usize = 48;

/// The published output of one run.
#[derive(Debug)]
pub(super) struct Publication {
    pub(super) output: Arc<RunOutput>,
    /// Position after the last published line.
    position: u64,
    next_number: u64,
    /// Numbers and sizes of the chunks in the store.
    stored: VecDeque<(u64, usize)>,
    stored_bytes: usize,
    allowance: Allowance,
    /// Time at which the run's end was published.
    ended: Option<Instant>,
}

/// A chunk that is about to be written.
#[derive(Debug)]
pub(super) struct NextChunk {
    key: String,
    value: Vec<u8>,
    end_byte: u64,
    is_end: bool,
    /// Number of stored chunks that it displaces.
    displaced: usize,
}

impl NextChunk {
    /// Returns the number of bytes that it brings into the store.
    pub(super) fn size(&self) -> usize {
        self.key.len() + self.value.len() + WRITE_OVERHEAD
    }
}

impl Publication {
    pub(super) fn new(output: Arc<RunOutput>, now: Instant) -> Self {
        Self {
            output,
            position: 0,
            next_number: 0,
            stored: VecDeque::new(),
            stored_bytes: 0,
            allowance: Allowance::new(RUN_RATE, RUN_BURST, now),
            ended: None,
        }
    }

    /// Returns true if there is something to publish. The first chunk is due at once, also without output: it shows
    /// that the host has received the request.
    pub(super) fn is_due(&self) -> bool {
        self.ended.is_none() && (self.next_number == 0 || self.output.has_news(self.position))
    }

    /// Returns the time at which the run's end was published.
    pub(super) const fn ended(&self) -> Option<Instant> {
        self.ended
    }

    /// Returns true once its chunks have been in the store for long enough after the run's end.
    pub(super) fn is_over(&self, now: Instant) -> bool {
        self.ended
            .is_some_and(|at| now.saturating_duration_since(at) >= AFTER_END)
    }

    /// Returns the next chunk, of at most `most` bytes of text but for one long line; `None` while the run has used up
    /// its allowance.
    pub(super) fn next_chunk(
        &mut self,
        root: &Root,
        most: usize,
        now: Instant,
    ) -> Option<NextChunk> {
        let left = self.allowance.left(now);
        if left == 0 {
            return None;
        }
        let run = &self.output.record;
        let news = self.output.news(self.position, most.min(left));
        let chunk = OutputChunk {
            host: run.host.clone(),
            attempt: run.attempt,
            started_unix_ms: run.started_unix_ms,
            from_byte: news.slice.from_byte,
            lines: news.slice.lines,
            more: news.slice.more,
            end: news.end,
        };
        let mut next = NextChunk {
            key: root.output(&self.output.key, self.next_number),
            value: chunk.to_json(),
            end_byte: news.slice.end_byte,
            is_end: chunk.end.is_some(),
            displaced: 0,
        };
        let (mut bytes, mut count) = (self.stored_bytes + next.size(), self.stored.len() + 1);
        for (_, size) in &self.stored {
            if bytes <= KEPT_BYTES && count <= KEPT_CHUNKS {
                break;
            }
            bytes -= size;
            count -= 1;
            next.displaced += 1;
        }
        Some(next)
    }

    /// Adds the writes of a chunk to a batch.
    pub(super) fn write(&self, root: &Root, chunk: &NextChunk, lease: LeaseId, batch: &mut Batch) {
        for (number, _) in self.stored.iter().take(chunk.displaced) {
            batch.delete(&root.output(&self.output.key, *number));
        }
        batch.put(&chunk.key, &chunk.value, lease);
    }

    /// Handles a chunk that was written.
    pub(super) fn written(&mut self, chunk: &NextChunk, now: Instant) {
        for (_, size) in self.stored.drain(..chunk.displaced) {
            self.stored_bytes -= size;
        }
        self.stored.push_back((self.next_number, chunk.size()));
        self.stored_bytes += chunk.size();
        self.next_number += 1;
        self.position = chunk.end_byte;
        self.allowance.spend(chunk.size());
        if chunk.is_end {
            self.ended = Some(now);
        }
    }

    /// Handles a chunk that may not have been written. It counts as sent; its lines are sent again.
    pub(super) fn failed(&mut self, chunk: &NextChunk) {
        self.allowance.spend(chunk.size());
    }

    /// Adds the deletion of all its chunks to a batch. The next chunk is among them: it may have been written by a
    /// request without an answer.
    pub(super) fn withdraw(&self, root: &Root, batch: &mut Batch) {
        let first = self.stored.front().map_or(0, |(number, _)| *number);
        let key = &self.output.key;
        let (from, end) = (
            root.output(key, first),
            root.output(key, self.next_number + 1),
        );
        batch.delete_range(&from, &end);
    }

    /// Handles the loss of all its chunks in the store.
    pub(super) fn lost(&mut self) {
        self.stored.clear();
        self.stored_bytes = 0;
    }
}

#[cfg(test)]
mod tests;
