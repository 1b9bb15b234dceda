//! Statistics of a lock: the depth of its queue, and times held and waited for.
//!
//! Bounded lists, ordered by moment. An earlier moment ignores later entries, so nothing here has to be undone.

use std::collections::VecDeque;
use std::time::Duration;

use leasehold_lock::Token;
use leasehold_records::UnixMs;

/// Changes of depth that are kept for one lock.
const DEPTHS: usize = 512;
/// Holds, waits and hand-offs that are kept for one lock.
const SPANS: usize = 256;

/// Spans: the end and the length of each, in milliseconds.
#[derive(Clone, Debug, Default)]
pub(crate) struct SpanList(VecDeque<(UnixMs, u64)>);

impl SpanList {
    pub(super) fn push(&mut self, at: UnixMs, span: u64) {
        if self.0.len() == SPANS {
            self.0.pop_front();
        }
        self.0.push_back((at, span));
    }

    /// The percentile `percent` of the spans that had ended by `now`.
    pub(crate) fn percentile(&self, percent: usize, now: UnixMs) -> Option<u64> {
        let ended = self.0.iter().filter(|(at, _)| *at <= now);
        let mut spans: Vec<u64> = ended.map(|(_, span)| *span).collect();
        spans.sort_unstable();
        let last = spans.len().checked_sub(1)?;
        spans.get((last * percent).div_ceil(100)).copied()
    }

    pub(crate) fn count(&self, now: UnixMs) -> usize {
        self.0.iter().filter(|(at, _)| *at <= now).count()
    }
}

/// Statistics of one lock.
#[derive(Clone, Debug, Default)]
pub(crate) struct LockStats {
    depths: VecDeque<(UnixMs, u16)>,
    pub(crate) holds: SpanList,
    pub(crate) waits: SpanList,
    /// From the end of a holder to the run of the next one.
    pub(crate) handoffs: SpanList,
    /// Holders that did not release the lock; the span is the time for which they had held it.
    pub(crate) takeovers: SpanList,
    /// A hand-off under way: the token of the new holder, and the moment at which the old one left.
    pub(super) passing: Option<(Token, UnixMs)>,
}

impl LockStats {
    /// Records the depth of the queue from `at` on.
    pub(super) fn depth(&mut self, at: UnixMs, depth: usize) {
        let depth = u16::try_from(depth).unwrap_or(u16::MAX);
        if let Some(last) = self.depths.back_mut()
            && last.0 == at
        {
            last.1 = depth;
            return;
        }
        if self.depths.len() == DEPTHS {
            self.depths.pop_front();
        }
        self.depths.push_back((at, depth));
    }

    /// Greatest depth in each of `buckets` spans of `width` milliseconds that end at `now`, oldest first; `None`
    /// before the first observation.
    pub(crate) fn depths(&self, now: UnixMs, width: u64, buckets: usize) -> Vec<Option<u16>> {
        let mut out = vec![None; buckets];
        let span = width * buckets as u64;
        let start = now.before(Duration::from_millis(span));
        let bucket_of = |at: UnixMs| {
            usize::try_from(at.millis_since(start) / width.max(1)).unwrap_or(usize::MAX)
        };
        let mut raise = |from: UnixMs, to: UnixMs, depth: u16| {
            let last = bucket_of(to.min(now)).min(buckets.saturating_sub(1));
            for bucket in out.iter_mut().take(last + 1).skip(bucket_of(from)) {
                *bucket = Some(bucket.map_or(depth, |deepest: u16| deepest.max(depth)));
            }
        };
        for (at, &(from, depth)) in self.depths.iter().enumerate() {
            let to = self.depths.get(at + 1).map_or(now, |next| next.0);
            if from <= now && to >= start && buckets > 0 {
                raise(from.max(start), to.max(start), depth);
            }
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bucket_shows_its_deepest_moment() {
        let mut history = LockStats::default();
        history.depth(UnixMs::new(1_000), 1);
        history.depth(UnixMs::new(2_200), 5);
        history.depth(UnixMs::new(2_300), 2);
        let shown = history.depths(UnixMs::new(5_000), 1_000, 5);
        assert_eq!(shown, [None, Some(1), Some(5), Some(2), Some(2)]);
        assert_eq!(
            history.depths(UnixMs::new(2_000), 1_000, 2),
            [None, Some(1)]
        );
    }

    #[test]
    fn percentiles_know_only_what_had_ended() {
        let mut spans = SpanList::default();
        for at in 1..=100 {
            spans.push(UnixMs::new(at), at * 10);
        }
        assert_eq!(spans.percentile(50, UnixMs::new(100)), Some(510));
        assert_eq!(spans.percentile(95, UnixMs::new(100)), Some(960));
        assert_eq!(spans.percentile(50, UnixMs::new(1)), Some(10));
        assert_eq!(spans.percentile(50, UnixMs::new(0)), None);
    }
}
