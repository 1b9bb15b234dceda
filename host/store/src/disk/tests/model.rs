//! Model of a disk's content after some batches, and random batches to test it with.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use fastrand::Rng;

use crate::change::{ChangeKind, KeyChange, RevisionChanges, SharedKey};
use crate::disk::{CommitBatch, DiskImage};

/// A disk that cannot fail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Model {
    pub(super) revision: i64,
    pub(super) compacted: i64,
    pub(super) changes: BTreeMap<(i64, u32), Arc<KeyChange>>,
    pub(super) leases: BTreeMap<i64, i64>,
}

impl Model {
    pub(super) fn new() -> Self {
        Self {
            revision: 1,
            compacted: 0,
            changes: BTreeMap::new(),
            leases: BTreeMap::new(),
        }
    }

    /// The model of an opened disk's image.
    pub(super) fn of(image: &DiskImage) -> Self {
        let changes: BTreeMap<_, _> = image
            .changes
            .iter()
            .map(|change| ((change.revision, change.sub), Arc::clone(change)))
            .collect();
        assert!(
            changes.values().eq(&image.changes),
            "the changes are in order"
        );
        Self {
            revision: image.revision,
            compacted: image.compacted,
            changes,
            leases: image.leases.clone(),
        }
    }

    /// Returns its content without values, for comparisons.
    pub(super) fn summary(&self) -> String {
        let changes: Vec<_> = self.changes.keys().collect();
        format!(
            "revision {}, compacted {}, leases {:?}, changes {changes:?}",
            self.revision, self.compacted, self.leases
        )
    }

    /// Returns the model after a batch.
    pub(super) fn after(&self, batch: &CommitBatch) -> Self {
        let mut next = self.clone();
        for revision in &batch.revisions {
            next.revision = revision.number;
            for change in &revision.changes {
                next.changes
                    .insert((change.revision, change.sub), Arc::clone(change));
            }
        }
        next.leases.extend(batch.granted.iter().copied());
        next.leases.retain(|id, _| !batch.ended.contains(id));
        next.compacted = batch.compacted.unwrap_or(next.compacted);
        for at in next.superfluous(next.compacted) {
            next.changes.remove(&at);
        }
        next
    }

    /// Returns the changes that a compaction makes superfluous: for each key all changes at or below it but the last, and the
    /// last as well when it is a delete below it.
    pub(super) fn superfluous(&self, compacted: i64) -> Vec<(i64, u32)> {
        let old: Vec<_> = self.changes.range(..=(compacted, u32::MAX)).collect();
        let keys: BTreeSet<&SharedKey> = old.iter().map(|(_, change)| &change.key).collect();
        let mut found = Vec::new();
        for key in keys {
            let mut of_key: Vec<_> = old
                .iter()
                .filter(|(_, change)| change.key == *key)
                .collect();
            if let Some((_, last)) = of_key.pop()
                && last.kind == ChangeKind::Delete
                && last.revision < compacted
            {
                found.push((last.revision, last.sub));
            }
            found.extend(of_key.iter().map(|(at, _)| **at));
        }
        found
    }
}

/// One put.
pub(super) fn put(key: &str, revision: i64, sub: u32, value: &[u8]) -> Arc<KeyChange> {
    Arc::new(KeyChange {
        key: key.as_bytes().into(),
        revision,
        sub,
        kind: ChangeKind::Put {
            create_revision: revision,
            version: 1,
            lease: 0,
            value: value.into(),
        },
    })
}

/// One delete.
pub(super) fn delete(key: &str, revision: i64, sub: u32) -> Arc<KeyChange> {
    Arc::new(KeyChange {
        key: key.as_bytes().into(),
        revision,
        sub,
        kind: ChangeKind::Delete,
    })
}

/// One revision.
pub(super) fn revision(
    number: i64,
    changes: impl Into<Box<[Arc<KeyChange>]>>,
) -> Arc<RevisionChanges> {
    Arc::new(RevisionChanges {
        number,
        changes: changes.into(),
    })
}

/// A batch with these revisions and nothing else.
pub(super) fn batch(revisions: Vec<Arc<RevisionChanges>>) -> CommitBatch {
    CommitBatch {
        revisions,
        ..CommitBatch::default()
    }
}

/// Any batch that may follow.
pub(super) fn random(model: &Model, rng: &mut Rng) -> CommitBatch {
    let mut batch = CommitBatch::default();
    for number in 1..=rng.i64(0..4) {
        let number = model.revision + number;
        let changes: Vec<_> = (0..rng.u32(1..5))
            .map(|sub| change(number, sub, rng))
            .collect();
        batch.revisions.push(revision(number, changes));
    }
    for _ in 0..rng.u8(..3) {
        batch.granted.push((rng.i64(1..20), rng.i64(2..100)));
    }
    for _ in 0..rng.u8(..3) {
        batch.ended.push(rng.i64(1..20));
    }
    if rng.u8(..5) == 0 {
        let last = batch
            .revisions
            .last()
            .map_or(model.revision, |last| last.number);
        let compacted = rng.i64(model.compacted..=last);
        if compacted > model.compacted {
            let mut before = model.after(&self::batch(batch.revisions.clone()));
            before.compacted = compacted;
            batch.compacted = Some(compacted);
            batch.dropped = before.superfluous(compacted);
        }
    }
    batch
}

fn change(number: i64, sub: u32, rng: &mut Rng) -> Arc<KeyChange> {
    // Each revision has a key once at most, so the place is a part of it.
    let key = format!("key-{}-{sub}", rng.u8(..4));
    if rng.u8(..4) == 0 {
        return delete(&key, number, sub);
    }
    let size = match rng.u8(..40) {
        0 => rng.usize(..200_000),
        1..8 => rng.usize(..6_000),
        _ => rng.usize(..100),
    };
    let value: Vec<u8> = (0..size)
        .map(|at| at.to_le_bytes()[0] ^ sub.to_le_bytes()[0])
        .collect();
    put(&key, number, sub, &value)
}
