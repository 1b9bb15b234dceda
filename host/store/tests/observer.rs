//! Calls of a client's observer, over the embedded store.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use leasehold_lock::{Acquire, ConnectOptions, EndReason, LeaseId, LockObserver, Locks, Token};
use leasehold_store::{Store, StoreOptions};

/// Longer than anything here takes, on a machine that is busy with other things.
const PATIENCE: Duration = Duration::from_secs(30);

/// The names of the calls so far.
#[derive(Default)]
struct Calls(Mutex<Vec<&'static str>>);

impl Calls {
    fn record(&self, call: &'static str) {
        self.0.lock().expect("no panic").push(call);
    }

    async fn wait_for(&self, call: &str) {
        let called = async {
            while !self.0.lock().expect("no panic").contains(&call) {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(PATIENCE, called)
            .await
            .unwrap_or_else(|_| panic!("{call} is called"));
    }
}

impl LockObserver for Calls {
    fn renewal_sent(&self, _: LeaseId) {
        self.record("renewal_sent");
    }

    fn renewal_confirmed(&self, _: LeaseId, _: Duration) {
        self.record("renewal_confirmed");
    }

    fn lock_acquired(&self, _: &str, _: Token, _: Duration) {
        self.record("lock_acquired");
    }

    fn lock_lost(&self, lock: &str, _: Token, reason: &EndReason) {
        assert_eq!(lock, "/l");
        assert!(matches!(reason, EndReason::Removed { .. }), "{reason}");
        self.record("lock_lost");
    }
}

#[tokio::test]
async fn observer_follows_a_lock_from_its_grant_to_its_loss() {
    let store = Store::open(StoreOptions::memory())
        .await
        .expect("a store in memory opens");
    let calls = Arc::new(Calls::default());
    let options = ConnectOptions::in_process(Arc::new(store.connector())).observer(calls.clone());
    let locks = Locks::connect(options).await.expect("the store answers");
    let request = Acquire::new("/l").ttl(Duration::from_secs(3));
    let grant = locks.acquire(request).await.expect("the lock is free");
    calls.wait_for("lock_acquired").await;
    calls.wait_for("renewal_sent").await;
    calls.wait_for("renewal_confirmed").await;
    let removed = locks.kv().delete(grant.key()).await;
    assert!(removed.expect("the store answers"));
    calls.wait_for("lock_lost").await;
    drop(grant);
    locks.close().await;
    let losses = calls.0.lock().expect("no panic");
    let losses = losses.iter().filter(|call| **call == "lock_lost");
    assert_eq!(losses.count(), 1);
}
