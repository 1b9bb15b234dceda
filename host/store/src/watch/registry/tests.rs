//! Wake-ups of subscribers.

use std::time::Duration;

use tokio::time::timeout;

use super::*;
use crate::change::{ChangeKind, KeyChange};

fn revision(number: i64, keys: &[&[u8]]) -> Arc<RevisionChanges> {
    let change = |(sub, key): (usize, &&[u8])| {
        Arc::new(KeyChange {
            key: (*key).into(),
            revision: number,
            sub: u32::try_from(sub).unwrap(),
            kind: ChangeKind::Delete,
        })
    };
    Arc::new(RevisionChanges {
        number,
        changes: keys.iter().enumerate().map(change).collect(),
    })
}

fn one(key: &[u8]) -> KeyRange {
    KeyRange::new(key, b"")
}

async fn waits(subscription: &WatchSubscription) -> bool {
    timeout(Duration::from_millis(20), subscription.changed())
        .await
        .is_err()
}

#[tokio::test]
async fn a_subscriber_is_woken_for_its_ranges_only() {
    let registry = Arc::new(WatchRegistry::default());
    let subscription = registry.subscribe();
    subscription.add(one(b"a"));
    registry.publish(&[revision(2, &[b"b"]), revision(3, &[b"ab"])]);
    assert!(waits(&subscription).await);
    registry.publish(&[revision(4, &[b"x", b"a"])]);
    assert_eq!(subscription.changed().await, 4);
    assert!(waits(&subscription).await);
}

#[tokio::test]
async fn earlier_revisions_are_returned_at_once_as_first_and_last() {
    let registry = Arc::new(WatchRegistry::default());
    let subscription = registry.subscribe();
    subscription.add(KeyRange::new(b"a", b"b"));
    registry.publish(&[revision(2, &[b"b"]), revision(3, &[b"a"])]);
    registry.publish(&[revision(4, &[b"b"]), revision(5, &[b"aa"])]);
    assert_eq!(
        subscription.touched().await,
        TouchedRevisions { first: 3, last: 5 }
    );
    assert_eq!(subscription.take_touched(), None);
}

#[tokio::test]
async fn a_dropped_wait_loses_no_revision() {
    let registry = Arc::new(WatchRegistry::default());
    let subscription = registry.subscribe();
    subscription.add(one(b"a"));
    assert!(waits(&subscription).await);
    registry.publish(&[revision(2, &[b"a"])]);
    {
        // Never polled: its revisions stay.
        let _given_up = subscription.changed();
    }
    assert_eq!(subscription.changed().await, 2);
    // The permit of that publication is left, without a revision.
    assert!(waits(&subscription).await);
}

#[tokio::test]
async fn a_publication_while_waiting_ends_the_wait() {
    let registry = Arc::new(WatchRegistry::default());
    let subscription = registry.subscribe();
    subscription.add(one(b"a"));
    let waiter = tokio::spawn(async move { subscription.changed().await });
    tokio::task::yield_now().await;
    registry.publish(&[revision(2, &[b"a"])]);
    assert_eq!(
        timeout(Duration::from_secs(10), waiter)
            .await
            .unwrap()
            .unwrap(),
        2
    );
}

#[tokio::test]
async fn a_range_added_twice_is_removed_twice() {
    let registry = Arc::new(WatchRegistry::default());
    let subscription = registry.subscribe();
    subscription.add(one(b"a"));
    subscription.add(one(b"a"));
    subscription.remove(&one(b"a"));
    registry.publish(&[revision(2, &[b"a"])]);
    assert_eq!(subscription.changed().await, 2);
    subscription.remove(&one(b"a"));
    subscription.remove(&one(b"a"));
    registry.publish(&[revision(3, &[b"a"])]);
    assert!(waits(&subscription).await);
}

#[test]
fn dropping_a_subscription_leaves_nothing_behind() {
    let registry = Arc::new(WatchRegistry::default());
    let kept = registry.subscribe();
    kept.add(one(b"a"));
    let dropped = registry.subscribe();
    dropped.add(one(b"a"));
    dropped.add(KeyRange::new(b"b", b"\0"));
    dropped.add(KeyRange::new(b"c/", b"c0"));
    assert_eq!(lock(&registry.subscribers).by_range.len(), 4);
    drop(dropped);
    assert_eq!(lock(&registry.subscribers).by_range.len(), 1);
}

#[tokio::test]
async fn the_announced_revision_follows_its_wake_ups() {
    let registry = Arc::new(WatchRegistry::default());
    registry.begin(7);
    registry.begin(9);
    assert_eq!(*registry.announced().borrow(), 7);
    let subscription = registry.subscribe();
    subscription.add(one(b"a"));
    let mut announced = registry.announced();
    registry.publish(&[revision(8, &[b"a"]), revision(9, &[b"b"])]);
    assert_eq!(
        *announced
            .wait_for(|announced| *announced >= 9)
            .await
            .unwrap(),
        9
    );
    assert_eq!(
        subscription.take_touched(),
        Some(TouchedRevisions { first: 8, last: 8 })
    );
}

#[tokio::test]
async fn closing_ends_waits_for_the_close() {
    let registry = Arc::new(WatchRegistry::default());
    let waiter = tokio::spawn({
        let registry = Arc::clone(&registry);
        async move { registry.closed().await }
    });
    registry.close();
    timeout(Duration::from_secs(10), waiter)
        .await
        .unwrap()
        .unwrap();
}
