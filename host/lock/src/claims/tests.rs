//! Claims over deletions and readings in the orders that a watch can bring them.

use super::*;
use crate::clock::{BootTime, SystemClock};
use crate::end_reason::EndReason;
use crate::tenure::Tenure;
use std::sync::Arc;

const fn rev(number: i64) -> Revision {
    Revision::new(number)
}

fn entries(entries: &[(&str, i64)]) -> Vec<QueueKey> {
    entries
        .iter()
        .map(|&(key, create_revision)| QueueKey {
            key: key.into(),
            create_revision: rev(create_revision),
            mode: LockMode::Exclusive,
        })
        .collect()
}

fn del(claims: &mut ClaimSet, key: &str, revision: i64) {
    claims.deleted(std::iter::once((key.to_owned(), rev(revision))));
}

fn behind(ahead: usize, holder: &str) -> ClaimStatus {
    ClaimStatus::Behind {
        ahead,
        holder: holder.into(),
    }
}

fn held(claims: &mut ClaimSet) -> Tenure {
    let tenure = Tenure::detached(Arc::new(SystemClock), BootTime::from_nanos(u64::MAX));
    let (id, _) = claims.announce("me", LockMode::Exclusive);
    claims.hold(id, rev(10), rev(10), tenure.clone());
    tenure
}

#[test]
fn claim_comes_first_when_all_entries_ahead_are_deleted() {
    let mut claims = ClaimSet::new();
    let (id, status) = claims.announce("me", LockMode::Exclusive);
    claims.settle(
        id,
        rev(10),
        &entries(&[("a", 3), ("b", 7), ("me", 10), ("c", 11)]),
        rev(10),
    );
    assert_eq!(*status.borrow(), behind(2, "a"));
    del(&mut claims, "a", 12);
    assert_eq!(*status.borrow(), behind(1, "b"));
    del(&mut claims, "c", 13);
    del(&mut claims, "b", 14);
    assert_eq!(*status.borrow(), ClaimStatus::Holder);
}

#[test]
fn deletion_that_overtakes_the_reply_of_our_put_is_not_missed() {
    let mut claims = ClaimSet::new();
    let (id, status) = claims.announce("me", LockMode::Exclusive);
    del(&mut claims, "a", 12);
    claims.settle(id, rev(10), &entries(&[("a", 3), ("me", 10)]), rev(10));
    assert_eq!(*status.borrow(), ClaimStatus::Holder);
}

#[test]
fn old_deletion_of_a_key_keeps_its_later_entry() {
    let mut claims = ClaimSet::new();
    let (id, status) = claims.announce("me", LockMode::Exclusive);
    // "a" left at 5 and came back at 8, before us; the news of 5 arrives late.
    del(&mut claims, "a", 5);
    claims.settle(id, rev(10), &entries(&[("a", 8), ("me", 10)]), rev(10));
    del(&mut claims, "a", 5);
    assert_eq!(*status.borrow(), behind(1, "a"));
}

#[test]
fn waiter_whose_entry_is_deleted_is_never_first() {
    let mut claims = ClaimSet::new();
    let (id, status) = claims.announce("me", LockMode::Exclusive);
    claims.settle(id, rev(10), &entries(&[("a", 3), ("me", 10)]), rev(10));
    del(&mut claims, "me", 12);
    del(&mut claims, "a", 13);
    assert_eq!(*status.borrow(), ClaimStatus::Deleted { revision: rev(12) });
}

#[test]
fn both_entries_deleted_in_one_revision_is_not_first() {
    let mut claims = ClaimSet::new();
    let (id, status) = claims.announce("me", LockMode::Exclusive);
    claims.settle(id, rev(10), &entries(&[("a", 3), ("me", 10)]), rev(10));
    let both = [("a".to_owned(), rev(12)), ("me".to_owned(), rev(12))];
    claims.deleted(both.into_iter());
    assert_eq!(*status.borrow(), ClaimStatus::Deleted { revision: rev(12) });
}

/// Promise P5. Fails on the mutant "no reading once the watch is open", see scripts/mutants.
#[test]
fn a_reading_after_a_gap_finds_what_the_watch_missed() {
    let mut claims = ClaimSet::new();
    let (id, status) = claims.announce("me", LockMode::Exclusive);
    claims.settle(
        id,
        rev(10),
        &entries(&[("a", 3), ("b", 4), ("me", 10)]),
        rev(10),
    );
    claims.opened(rev(20));
    assert!(claims.wants_reading());
    let reading = claims.reading_began().unwrap();
    del(&mut claims, "b", 25);
    claims.reading_done(
        reading,
        rev(22),
        claims.youngest(),
        &entries(&[("b", 4), ("me", 10)]),
    );
    assert_eq!(*status.borrow(), ClaimStatus::Holder);
    assert!(!claims.wants_reading());
}

#[test]
fn a_far_claim_is_first_by_its_own_reading_alone() {
    let mut claims = ClaimSet::new();
    let (id, status) = claims.announce("me", LockMode::Exclusive);
    // Its predecessor leaves at once, with others ahead of both; the watch of a near claim shows it.
    del(&mut claims, "b", 101);
    let [ahead] = entries(&[("b", 99)]).try_into().expect("one entry");
    claims.settle_far(id, rev(100), &ahead, rev(100));
    del(&mut claims, "b", 101);
    assert_eq!(*status.borrow(), ClaimStatus::Unknown);
    claims.read_far(id, rev(102), true, &entries(&[("a", 3)]));
    del(&mut claims, "a", 103);
    assert_eq!(*status.borrow(), ClaimStatus::Unknown);
    claims.read_far(id, rev(104), true, &[]);
    assert_eq!(*status.borrow(), ClaimStatus::Holder);
}

#[test]
fn deleted_or_replaced_entry_ends_its_holders_tenure() {
    let mut claims = ClaimSet::new();
    let tenure = held(&mut claims);
    del(&mut claims, "me", 9);
    assert!(tenure.admits(), "an older deletion is of an earlier entry");
    del(&mut claims, "me", 12);
    assert_eq!(
        tenure.end_reason(),
        Some(EndReason::Removed { revision: rev(12) })
    );

    let tenure = held(&mut claims);
    let reading = claims.reading_began().unwrap();
    claims.reading_done(reading, rev(30), rev(10), &entries(&[("me", 21)]));
    assert_eq!(
        tenure.end_reason(),
        Some(EndReason::Replaced { revision: rev(21) })
    );
}

/// Promise P1. Fails when the deletion of our own entry is forgotten once we were first: on the
/// mutant "hold ignores a lost entry", see scripts/mutants.
#[test]
fn entry_deleted_between_first_and_holding_is_never_held() {
    let mut claims = ClaimSet::new();
    let (id, status) = claims.announce("me", LockMode::Exclusive);
    claims.settle(id, rev(10), &entries(&[("a", 3), ("me", 10)]), rev(10));
    claims.opened(rev(10));
    del(&mut claims, "a", 11);
    assert_eq!(*status.borrow(), ClaimStatus::Holder);
    del(&mut claims, "me", 12);
    let tenure = Tenure::detached(Arc::new(SystemClock), BootTime::from_nanos(u64::MAX));
    claims.hold(id, rev(10), rev(10), tenure.clone());
    assert!(!tenure.admits());
    assert_eq!(
        tenure.end_reason(),
        Some(EndReason::Removed { revision: rev(12) })
    );
}

/// A server may lose the event of a deletion; only a reading finds it then.
#[test]
fn requested_reading_is_wanted_though_none_seems_missing() {
    let mut claims = ClaimSet::new();
    let tenure = held(&mut claims);
    claims.opened(rev(10));
    assert!(!claims.wants_reading());
    claims.verify();
    assert!(claims.wants_reading());
    let reading = claims.reading_began().unwrap();
    assert!(!claims.wants_reading());
    claims.reading_done(reading, rev(30), rev(30), &[]);
    assert_eq!(
        tenure.end_reason(),
        Some(EndReason::Removed { revision: rev(30) })
    );
}

/// Fails when the answer to a reading that was given up is taken for the one under way: deletions in
/// between were not kept for it.
#[test]
fn answer_to_an_abandoned_reading_changes_nothing() {
    let mut claims = ClaimSet::new();
    let (id, status) = claims.announce("me", LockMode::Exclusive);
    claims.settle(id, rev(10), &entries(&[("a", 3), ("me", 10)]), rev(10));
    let early = claims.reading_began().unwrap();
    claims.reading_given_up();
    del(&mut claims, "a", 12);
    let late = claims.reading_began().unwrap();
    claims.reading_done(early, rev(11), rev(11), &entries(&[("a", 3), ("me", 10)]));
    assert_eq!(*status.borrow(), ClaimStatus::Holder);
    assert_eq!(claims.reading_began(), None, "the later one is under way");
    claims.reading_done(late, rev(13), rev(13), &entries(&[("me", 10)]));
    assert_eq!(*status.borrow(), ClaimStatus::Holder);
}

mod modes;
