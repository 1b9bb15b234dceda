//! `leasehold-lock` over the embedded store, without TCP: in this process, and over a socket. Its promises over a
//! network must hold here, so its connections are broken too.

use std::sync::Arc;
use std::time::Duration;

use leasehold_lock::{Acquire, ConnectOptions, Connector, LockWait, Locks, StoreService, cuttable};
use leasehold_store::{InProcessConnector, ListenAddress, Store, StoreOptions};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

/// Longer than anything here takes, on a machine that is busy with other things.
const PATIENCE: Duration = Duration::from_secs(30);

async fn store() -> Store {
    Store::open(StoreOptions::memory())
        .await
        .expect("a store in memory opens")
}

async fn locks(options: ConnectOptions) -> Locks {
    Locks::connect(options).await.expect("the store is there")
}

fn in_process(store: &Store) -> ConnectOptions {
    ConnectOptions::in_process(Arc::new(store.connector()))
}

/// Two clients, one lock: the second gets it when the first gives it back, and not before.
async fn hand_over(first: &Locks, second: &Locks) {
    let held = first
        .acquire(Acquire::new("/l"))
        .await
        .expect("the store answers");
    let refused = second
        .acquire(Acquire::new("/l").wait(LockWait::Never))
        .await;
    assert!(refused.is_err());
    let waiter = second.clone();
    let waiting = tokio::spawn(async move { waiter.acquire(Acquire::new("/l")).await });
    let token = held.token();
    held.release().await.expect("the store answers");
    let next = tokio::time::timeout(PATIENCE, waiting)
        .await
        .expect("it is its turn")
        .expect("no panic")
        .expect("granted");
    assert!(next.token() > token);
    assert!(next.tenure().admits());
    next.release().await.expect("the store answers");
}

#[tokio::test]
async fn locks_work_without_any_socket() {
    let store = store().await;
    let (first, second) = (
        locks(in_process(&store)).await,
        locks(in_process(&store)).await,
    );
    assert_eq!(first.endpoints(), ["the embedded store"]);
    hand_over(&first, &second).await;
    first.close().await;
    second.close().await;
    store.close().await;
}

#[tokio::test]
async fn locks_work_over_a_socket_and_beside_clients_in_the_process() {
    let directory = tempfile::tempdir().unwrap();
    let store = store().await;
    let path = directory.path().join("store.sock");
    let endpoint = store.listen(ListenAddress::Unix(path)).await.unwrap();
    let outside = locks(ConnectOptions::new([endpoint])).await;
    let inside = locks(in_process(&store)).await;
    hand_over(&outside, &inside).await;
    hand_over(&inside, &outside).await;
    outside.close().await;
    inside.close().await;
    store.close().await;
}

/// A connector whose streams can be broken, all at once.
struct Breakable {
    way: InProcessConnector,
    broken: Arc<std::sync::Mutex<CancellationToken>>,
}

impl Breakable {
    fn new(store: &Store) -> Arc<Self> {
        Arc::new(Self {
            way: store.connector(),
            broken: Arc::default(),
        })
    }

    /// Ends every request and stream there is; later ones are whole.
    fn cut(&self) {
        std::mem::take(&mut *self.broken.lock().expect("no panic")).cancel();
    }
}

impl Connector for Breakable {
    fn service(&self) -> StoreService {
        let (way, broken) = (self.way.service(), Arc::clone(&self.broken));
        StoreService::new(tower::service_fn(move |request| {
            let broken = broken.lock().expect("no panic").clone();
            cuttable(way.clone(), broken, "broken").oneshot(request)
        }))
    }

    fn describe(&self) -> String {
        self.way.describe()
    }
}

#[tokio::test]
async fn a_lock_outlives_the_stream_it_was_taken_over() {
    let store = store().await;
    let way = Breakable::new(&store);
    let broken = locks(ConnectOptions::in_process(way.clone())).await;
    let other = locks(in_process(&store)).await;
    let held = broken
        .acquire(Acquire::new("/l").ttl(Duration::from_secs(3)))
        .await
        .unwrap();
    let waiter = other.clone();
    let waiting = tokio::spawn(async move { waiter.acquire(Acquire::new("/l")).await });
    // Longer than the lease lives without renewals, which therefore went over later streams.
    for _ in 0..10 {
        tokio::time::sleep(Duration::from_millis(500)).await;
        way.cut();
    }
    assert!(held.tenure().admits());
    assert!(!waiting.is_finished());
    held.release().await.unwrap();
    let next = tokio::time::timeout(PATIENCE, waiting).await.unwrap();
    next.unwrap().unwrap().release().await.unwrap();
    broken.close().await;
    other.close().await;
    store.close().await;
}

#[tokio::test]
async fn a_waiter_gets_its_turn_though_its_streams_break() {
    let store = store().await;
    let way = Breakable::new(&store);
    let broken = locks(ConnectOptions::in_process(way.clone())).await;
    let other = locks(in_process(&store)).await;
    let held = other.acquire(Acquire::new("/l")).await.unwrap();
    let waiter = broken.clone();
    let waiting = tokio::spawn(async move { waiter.acquire(Acquire::new("/l")).await });
    for _ in 0..5 {
        tokio::time::sleep(Duration::from_millis(200)).await;
        way.cut();
    }
    held.release().await.unwrap();
    way.cut();
    let next = tokio::time::timeout(PATIENCE, waiting).await.unwrap();
    next.unwrap().unwrap().release().await.unwrap();
    broken.close().await;
    other.close().await;
    store.close().await;
}

#[tokio::test]
async fn a_store_that_closes_does_not_make_its_clients_hang() {
    let store = store().await;
    let options = in_process(&store).request_timeout(Duration::from_secs(1));
    let client = locks(options).await;
    let held = client.acquire(Acquire::new("/l")).await.unwrap();
    store.close().await;
    let releasing = tokio::time::timeout(PATIENCE, held.release());
    assert!(releasing.await.unwrap().is_err());
    let closing = tokio::time::timeout(PATIENCE, client.close());
    assert!(closing.await.is_ok());
}
