//! Reading ranges of keys at a revision: limits, order, filters and counts.
//!
//! The order of steps is etcd's, oddities included: without a sort order the limit cuts before a sort by anything
//! but the key, and the count ignores limit and filters. This file changes nothing.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use etcd_client::proto::{PbRangeRequest, PbRangeResponse, PbResponseHeader};

use super::versions::KeyVersions;
use crate::change::{ChangeKind, KeyChange, SharedKey};
use crate::error::StoreError;
use crate::key_range::KeyRange;

/// The keys as seen from one revision, and the oldest revision that can be read.
#[derive(Clone, Copy)]
pub(crate) struct KeyView<'a> {
    pub(super) index: &'a BTreeMap<SharedKey, KeyVersions>,
    /// The present revision.
    pub(super) revision: i64,
    pub(super) compacted: i64,
}

const NONE: i32 = 0;
const ASCEND: i32 = 1;
const BY_KEY: i32 = 0;

impl<'a> KeyView<'a> {
    /// Returns the live keys of a range at a revision, in order.
    pub(super) fn live(
        self,
        range: &KeyRange,
        revision: i64,
    ) -> impl Iterator<Item = &'a Arc<KeyChange>> + use<'a> {
        bounds(range)
            .map(|bounds| self.index.range::<[u8], _>(bounds))
            .into_iter()
            .flatten()
            .filter_map(move |(_, versions)| versions.live_at(revision))
    }

    /// Returns the live key of this name at the present revision.
    pub(super) fn get(self, key: &[u8]) -> Option<&'a Arc<KeyChange>> {
        self.index.get(key)?.live_at(self.revision)
    }

    /// Returns a key's state just before a revision, unless the history does not go back that far.
    pub(crate) fn before(self, key: &[u8], revision: i64) -> Option<&'a Arc<KeyChange>> {
        if revision <= self.compacted {
            return None;
        }
        self.index.get(key)?.live_at(revision - 1)
    }

    /// Returns the revision that a request reads at.
    pub(super) fn resolve(self, asked: i64) -> Result<i64, StoreError> {
        match asked {
            ..=0 => Ok(self.revision),
            asked if asked > self.revision => Err(StoreError::FutureRevision),
            asked if asked < self.compacted => Err(StoreError::Compacted),
            asked => Ok(asked),
        }
    }

    /// Checks that a transaction may read at this revision. As in etcd a negative one, which means "now" elsewhere,
    /// lies before the compaction here.
    pub(super) fn check_in_txn(self, asked: i64) -> Result<(), StoreError> {
        if asked < 0 && (self.compacted > 0 || asked < -1) {
            return Err(StoreError::Compacted);
        }
        self.resolve(asked).map(drop)
    }

    /// Answers a range request. The header holds the revision alone.
    pub(crate) fn range(self, request: &PbRangeRequest) -> Result<PbRangeResponse, StoreError> {
        let selected = self.select(request)?;
        answer_fits(selected.bytes(request))?;
        Ok(PbRangeResponse {
            header: Some(PbResponseHeader {
                revision: self.revision,
                ..PbResponseHeader::default()
            }),
            kvs: selected
                .found
                .into_iter()
                .map(|change| change.key_value(request.keys_only))
                .collect(),
            more: selected.more,
            count: i64::try_from(selected.count).unwrap_or(i64::MAX),
        })
    }

    /// Returns the approximate bytes of the answer to a range request.
    pub(super) fn range_bytes(self, request: &PbRangeRequest) -> Result<u64, StoreError> {
        Ok(self.select(request)?.bytes(request))
    }

    /// Selects the keys of a range request.
    fn select(self, request: &PbRangeRequest) -> Result<Selected<'a>, StoreError> {
        let revision = self.resolve(request.revision)?;
        let range = KeyRange::new(&request.key, &request.range_end);
        let mut found: Vec<&Arc<KeyChange>> = Vec::new();
        let mut count = 0_usize;
        if request.count_only {
            count = self.live(&range, revision).count();
        } else {
            // One more than the limit shows if more keys exist.
            let enough = match usize::try_from(request.limit) {
                Ok(limit @ 1..) if request.sort_order == NONE && !filters(request) => limit + 1,
                _ => usize::MAX,
            };
            for change in self.live(&range, revision) {
                count += 1;
                if found.len() < enough {
                    found.push(change);
                }
            }
        }
        found.retain(|change| passes(request, change));
        sort(request, &mut found);
        let mut more = false;
        if let Ok(limit @ 1..) = usize::try_from(request.limit)
            && found.len() > limit
        {
            found.truncate(limit);
            more = true;
        }
        Ok(Selected { found, count, more })
    }
}

/// Keys selected by a range request.
struct Selected<'a> {
    found: Vec<&'a Arc<KeyChange>>,
    count: usize,
    more: bool,
}

impl Selected<'_> {
    fn bytes(&self, request: &PbRangeRequest) -> u64 {
        let each = self
            .found
            .iter()
            .map(|change| shown_bytes(change, request.keys_only));
        each.sum()
    }
}

/// The largest answer in bytes. etcd has no limit; every answer is in memory twice while it is sent.
pub(crate) const MOST_ANSWER: u64 = 64 << 20;

/// Approximate bytes of a key in an answer besides its name and value.
const SHOWN_OVERHEAD: u64 = 64;

/// Refuses an answer that would be too large.
pub(crate) const fn answer_fits(bytes: u64) -> Result<(), StoreError> {
    if bytes > MOST_ANSWER {
        return Err(StoreError::AnswerTooLarge(MOST_ANSWER >> 20));
    }
    Ok(())
}

/// Returns the approximate bytes of a key in an answer.
pub(super) fn shown_bytes(change: &KeyChange, keys_only: bool) -> u64 {
    let value = if keys_only {
        0
    } else {
        put_fields(change).2.len()
    };
    (change.key.len() + value) as u64 + SHOWN_OVERHEAD
}

type Bounds<'a> = (Bound<&'a [u8]>, Bound<&'a [u8]>);

/// Returns the bounds of a range, unless it is empty.
fn bounds(range: &KeyRange) -> Option<Bounds<'_>> {
    match range {
        KeyRange::One(key) => Some((Bound::Included(key), Bound::Included(key))),
        KeyRange::From(first) => Some((Bound::Included(first), Bound::Unbounded)),
        KeyRange::Between(first, end) if first < end => {
            Some((Bound::Included(first), Bound::Excluded(end)))
        }
        KeyRange::Between(..) => None,
    }
}

const fn filters(request: &PbRangeRequest) -> bool {
    request.min_mod_revision != 0
        || request.max_mod_revision != 0
        || request.min_create_revision != 0
        || request.max_create_revision != 0
}

fn passes(request: &PbRangeRequest, change: &KeyChange) -> bool {
    let within =
        |value: i64, min: i64, max: i64| (min == 0 || value >= min) && (max == 0 || value <= max);
    within(
        change.revision,
        request.min_mod_revision,
        request.max_mod_revision,
    ) && within(
        put_fields(change).0,
        request.min_create_revision,
        request.max_create_revision,
    )
}

fn sort(request: &PbRangeRequest, found: &mut [&Arc<KeyChange>]) {
    let order = match (request.sort_target, request.sort_order) {
        // The keys are in this order already.
        (BY_KEY, NONE | ASCEND) => return,
        (_, NONE) => ASCEND,
        (_, order) => order,
    };
    let by = |a: &KeyChange, b: &KeyChange| -> Ordering {
        let ((a_create, a_version, a_value), (b_create, b_version, b_value)) =
            (put_fields(a), put_fields(b));
        match request.sort_target {
            BY_KEY => a.key.cmp(&b.key),
            1 => a_version.cmp(&b_version),
            2 => a_create.cmp(&b_create),
            3 => a.revision.cmp(&b.revision),
            _ => a_value.cmp(b_value),
        }
    };
    if order == ASCEND {
        found.sort_by(|a, b| by(a, b));
    } else {
        found.sort_by(|a, b| by(b, a));
    }
}

/// Returns create revision, version and value.
fn put_fields(change: &KeyChange) -> (i64, i64, &[u8]) {
    match &change.kind {
        ChangeKind::Put {
            create_revision,
            version,
            value,
            ..
        } => (*create_revision, *version, value),
        ChangeKind::Delete => (0, 0, &[]),
    }
}
