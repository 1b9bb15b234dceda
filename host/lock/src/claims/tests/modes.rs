//! Claims that are shared or have permits: granted by the weights ahead, as deletions and readings show them.

use super::*;

fn mode(text: &str) -> LockMode {
    text.parse().unwrap()
}

/// Entries of a queue: key, create revision, mode.
fn queue(entries: &[(&str, i64, &str)]) -> Vec<QueueKey> {
    entries
        .iter()
        .map(|&(key, create_revision, text)| QueueKey {
            key: key.into(),
            create_revision: rev(create_revision),
            mode: mode(text),
        })
        .collect()
}

/// A claim of `text` at revision 10 behind these entries.
fn waiting(text: &str, ahead: &[(&str, i64, &str)]) -> (ClaimSet, watch::Receiver<ClaimStatus>) {
    let mut claims = ClaimSet::new();
    let (id, status) = claims.announce("me", mode(text));
    let mut entries = queue(ahead);
    entries.extend(queue(&[("me", 10, text), ("later", 11, "exclusive")]));
    claims.settle(id, rev(10), &entries, rev(11));
    (claims, status)
}

#[test]
fn reader_holds_beside_readers_and_waits_for_a_writer() {
    let readers = [("a", 3, "shared"), ("b", 4, "shared")];
    let (_, status) = waiting("shared", &readers);
    assert_eq!(*status.borrow(), ClaimStatus::Holder);

    let (mut claims, status) = waiting(
        "shared",
        &[
            ("a", 3, "shared"),
            ("w", 4, "exclusive"),
            ("b", 5, "shared"),
        ],
    );
    assert_eq!(*status.borrow(), behind(3, "a"));
    del(&mut claims, "a", 12);
    assert_eq!(*status.borrow(), behind(2, "w"));
    del(&mut claims, "w", 13);
    assert_eq!(*status.borrow(), ClaimStatus::Holder, "beside b");
}

#[test]
fn writer_waits_for_every_reader_ahead() {
    let (mut claims, status) = waiting("exclusive", &[("a", 3, "shared"), ("b", 4, "shared")]);
    del(&mut claims, "b", 12);
    assert_eq!(*status.borrow(), behind(1, "a"));
    del(&mut claims, "a", 13);
    assert_eq!(*status.borrow(), ClaimStatus::Holder);
}

#[test]
fn permits_are_granted_when_enough_are_free_and_not_before() {
    let ahead = [
        ("a", 3, "permits 2/4"),
        ("b", 4, "permits 1/4"),
        ("c", 5, "permits 1/4"),
    ];
    let (mut claims, status) = waiting("permits 2/4", &ahead);
    assert_eq!(*status.borrow(), behind(3, "a"));
    del(&mut claims, "c", 12);
    assert_eq!(
        *status.borrow(),
        behind(2, "a"),
        "one is free, and two are needed"
    );
    del(&mut claims, "b", 13);
    assert_eq!(*status.borrow(), ClaimStatus::Holder);
}

/// Nothing overtakes: the light one waits behind the heavy one, though a permit is free.
#[test]
fn light_waiter_does_not_overtake_a_heavy_one() {
    let ahead = [("a", 3, "permits 2/3"), ("b", 4, "permits 3/3")];
    let (mut claims, status) = waiting("permits 1/3", &ahead);
    assert_eq!(*status.borrow(), behind(2, "a"));
    del(&mut claims, "a", 12);
    assert_eq!(*status.borrow(), behind(1, "b"));
    del(&mut claims, "b", 13);
    assert_eq!(*status.borrow(), ClaimStatus::Holder);
}

#[test]
fn entry_of_another_capacity_ahead_ends_the_wait_with_its_key() {
    let ahead = [("w", 3, "exclusive"), ("b", 4, "permits 1/5")];
    let (mut claims, status) = waiting("permits 1/3", &ahead);
    let other = ClaimStatus::OtherCapacity {
        entry: "b".into(),
        of: 5,
    };
    assert_eq!(*status.borrow(), other);
    del(&mut claims, "b", 12);
    assert_eq!(*status.borrow(), other, "the acquisition has ended");
}

/// The reply shows part of the queue: nothing is decided before the rest is read.
#[test]
fn reader_behind_unread_entries_holds_only_after_a_reading() {
    let mut claims = ClaimSet::new();
    let (id, status) = claims.announce("me", LockMode::Shared);
    claims.settle(id, rev(10), &[crate::long_queue::unread()], rev(0));
    assert!(matches!(*status.borrow(), ClaimStatus::Behind { .. }));
    claims.opened(rev(12));
    let reading = claims.reading_began().unwrap();
    let entries = queue(&[("a", 3, "shared"), ("me", 10, "shared")]);
    claims.reading_done(reading, rev(12), claims.youngest(), &entries);
    assert_eq!(*status.borrow(), ClaimStatus::Holder);
}

#[test]
fn entry_deleted_after_it_fitted_is_never_held() {
    let (mut claims, status) = waiting("shared", &[("a", 3, "shared")]);
    assert_eq!(*status.borrow(), ClaimStatus::Holder);
    del(&mut claims, "me", 12);
    assert_eq!(*status.borrow(), ClaimStatus::Deleted { revision: rev(12) });
}

/// A holder is not first where others hold beside it.
#[test]
fn reading_with_entries_ahead_keeps_a_holders_tenure() {
    let mut claims = ClaimSet::new();
    let (id, _) = claims.announce("me", LockMode::Shared);
    let tenure = Tenure::detached(Arc::new(SystemClock), BootTime::from_nanos(u64::MAX));
    claims.hold(id, rev(10), rev(10), tenure.clone());
    let reading = claims.reading_began().unwrap();
    let entries = queue(&[("a", 3, "shared"), ("me", 10, "shared")]);
    claims.reading_done(reading, rev(30), rev(10), &entries);
    assert!(tenure.admits());
}
