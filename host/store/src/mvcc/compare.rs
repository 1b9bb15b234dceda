//! The conditions of a transaction.
//!
//! A condition on a range holds when it holds for every key in it. On missing keys, a value is never equal to
//! anything, while everything else counts as zero. This file changes nothing.

use etcd_client::proto::{PbCompare, PbTargetUnion};

use super::read::KeyView;
use crate::change::{ChangeKind, KeyChange};
use crate::key_range::KeyRange;

const VALUE: i32 = 3;

/// Returns true if every condition holds.
pub(super) fn all_hold(view: KeyView<'_>, compares: &[PbCompare]) -> bool {
    compares.iter().all(|compare| holds(view, compare))
}

fn holds(view: KeyView<'_>, compare: &PbCompare) -> bool {
    let range = KeyRange::new(&compare.key, &compare.range_end);
    let mut found = view.live(&range, view.revision).peekable();
    if found.peek().is_none() {
        return compare.target != VALUE && holds_for(compare, None);
    }
    found.all(|change| holds_for(compare, Some(change)))
}

fn holds_for(compare: &PbCompare, change: Option<&KeyChange>) -> bool {
    let (mut create_revision, mut version, mut lease, mut value) = (0, 0, 0, &[][..]);
    if let Some(ChangeKind::Put {
        create_revision: c,
        version: v,
        lease: l,
        value: bytes,
    }) = change.map(|change| &change.kind)
    {
        (create_revision, version, lease, value) = (*c, *v, *l, bytes);
    }
    let modified = change.map_or(0, |change| change.revision);
    // As in etcd, a value sent for another target counts as missing.
    let order = match (compare.target, &compare.target_union) {
        (0, Some(PbTargetUnion::Version(given))) => version.cmp(given),
        (0, _) => version.cmp(&0),
        (1, Some(PbTargetUnion::CreateRevision(given))) => create_revision.cmp(given),
        (1, _) => create_revision.cmp(&0),
        (2, Some(PbTargetUnion::ModRevision(given))) => modified.cmp(given),
        (2, _) => modified.cmp(&0),
        (4, Some(PbTargetUnion::Lease(given))) => lease.cmp(given),
        (4, _) => lease.cmp(&0),
        (_, Some(PbTargetUnion::Value(given))) => value.cmp(given),
        _ => value.cmp(&[]),
    };
    match compare.result {
        0 => order.is_eq(),
        1 => order.is_gt(),
        2 => order.is_lt(),
        3 => order.is_ne(),
        _ => true,
    }
}
