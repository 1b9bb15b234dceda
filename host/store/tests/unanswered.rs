//! Requests of `leasehold-lock` whose answers are lost, late or refused, over a connector to the embedded store that
//! a test controls. However the store behaves, no entry may stay without an owner, and no lease may be requested
//! in a loop.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http_body_util::Full;
use leasehold_lock::{
    Acquire, AcquireError, ConnectOptions, Connector, LeaseId, LockWait, Locks, StoreError,
    StoreService,
};
use leasehold_store::{InProcessConnector, Store, StoreOptions};
use tokio::sync::watch;
use tokio::time::Instant;
use tonic::Status;
use tonic::body::Body;
use tower::ServiceExt as _;

/// Longer than anything here takes, on a machine that is busy with other things.
const PATIENCE: Duration = Duration::from_secs(30);
/// Short, so that a lost answer is noticed soon.
const REPLY: Duration = Duration::from_millis(300);

const TXN: &str = "/etcdserverpb.KV/Txn";
const GRANT: &str = "/etcdserverpb.Lease/LeaseGrant";
const REVOKE: &str = "/etcdserverpb.Lease/LeaseRevoke";

/// Treatment of the next transactions.
#[derive(Clone, Debug, PartialEq)]
enum Fault {
    /// The request arrives when the gate opens; its answer never does.
    Late,
    /// The request is carried out; its answer never arrives.
    Unheard,
    /// The store refuses, for lack of space.
    NoSpace,
    /// The answer of a queue with a foreign key, also under ours.
    Foreign,
}

/// A connector that mistreats transactions, in the order given; then none, or for ever like the last.
struct Way {
    inner: InProcessConnector,
    faults: Arc<Mutex<Vec<Fault>>>,
    for_ever: bool,
    /// Nothing passes at all while it is true.
    away: watch::Sender<bool>,
    gate: watch::Sender<bool>,
    landed: watch::Sender<bool>,
    /// Requests about leases are not answered while it is true.
    silent: Arc<AtomicBool>,
    /// Leases are granted for no time.
    ends_leases: Arc<AtomicBool>,
    grants: Arc<AtomicUsize>,
    revokes: Arc<AtomicUsize>,
}

impl Way {
    fn new(store: &Store, for_ever: bool) -> Arc<Self> {
        Arc::new(Self {
            inner: store.connector(),
            faults: Arc::default(),
            for_ever,
            away: watch::Sender::new(false),
            gate: watch::Sender::new(false),
            landed: watch::Sender::new(false),
            silent: Arc::default(),
            ends_leases: Arc::default(),
            grants: Arc::default(),
            revokes: Arc::default(),
        })
    }

    fn next(&self, faults: impl IntoIterator<Item = Fault>) {
        *self.faults.lock().expect("no panic") = faults.into_iter().collect();
    }

    /// Delivers the late request. The store's revision shows if it made an entry.
    async fn opened_gate_makes_an_entry(&self, observer: &Locks) -> bool {
        let before = observer
            .kv()
            .put("/probe", b"", LeaseId::NONE)
            .await
            .expect("the store answers");
        self.gate.send_replace(true);
        let mut landed = self.landed.subscribe();
        landed
            .wait_for(|landed| *landed)
            .await
            .expect("the way is there");
        observer
            .kv()
            .put("/probe", b"", LeaseId::NONE)
            .await
            .expect("the store answers")
            > before.next()
    }

    async fn client(self: &Arc<Self>) -> Locks {
        let options = ConnectOptions::in_process(self.clone()).request_timeout(REPLY);
        Locks::connect(options).await.expect("the store answers")
    }
}

impl Connector for Way {
    fn service(&self) -> StoreService {
        let inner = self.inner.service();
        let (faults, for_ever) = (self.faults.clone(), self.for_ever);
        let (away, gate) = (self.away.clone(), self.gate.clone());
        let (grants, revokes) = (self.grants.clone(), self.revokes.clone());
        let (landed, silent) = (self.landed.clone(), self.silent.clone());
        let ends_leases = self.ends_leases.clone();
        StoreService::new(tower::service_fn(move |request: http::Request<Body>| {
            let path = request.uri().path().to_owned();
            let is_silent =
                silent.load(Ordering::SeqCst) && [GRANT, REVOKE].contains(&path.as_str());
            let fault = match path.as_str() {
                TXN => {
                    let mut faults = faults.lock().expect("no panic");
                    match faults.len() {
                        0 => None,
                        1 if for_ever => faults.first().cloned(),
                        _ => Some(faults.remove(0)),
                    }
                }
                GRANT => {
                    grants.fetch_add(1, Ordering::SeqCst);
                    None
                }
                REVOKE => {
                    revokes.fetch_add(1, Ordering::SeqCst);
                    None
                }
                _ => None,
            };
            let is_ended = path == GRANT && ends_leases.load(Ordering::SeqCst);
            let inner = inner.clone();
            let is_away = *away.borrow();
            let (mut gate, landed) = (gate.subscribe(), landed.clone());
            async move {
                if is_silent {
                    std::future::pending::<()>().await;
                }
                if is_ended {
                    // The lease 7, for 0 seconds.
                    return Ok(answer(&[0x10, 7]));
                }
                if is_away {
                    return Err(Status::unavailable("away").into());
                }
                match fault {
                    None => inner.oneshot(request).await,
                    Some(Fault::Late) => {
                        // Beyond this future's life: the client gives it up.
                        tokio::spawn(async move {
                            gate.wait_for(|open| *open).await.expect("the way is there");
                            drop(inner.oneshot(request).await);
                            landed.send_replace(true);
                        });
                        std::future::pending().await
                    }
                    Some(Fault::Unheard) => {
                        drop(inner.oneshot(request).await);
                        std::future::pending().await
                    }
                    Some(Fault::NoSpace) => Ok(Status::resource_exhausted(
                        "etcdserver: mvcc: database space exceeded",
                    )
                    .into_http()),
                    Some(Fault::Foreign) => Ok(foreign()),
                }
            }
        }))
    }

    fn describe(&self) -> String {
        self.inner.describe()
    }
}

/// The answer to a put that was not made: a range without our key, and one with the key `/l/f`, born at 5.
fn foreign() -> http::Response<Body> {
    let key_value = [&[0x0a, 4][..], b"/l/f", &[0x10, 5]].concat();
    let range = [&[0x12, 8][..], &key_value, &[0x20, 1]].concat();
    answer(&[&[0x1a, 2, 0x0a, 0, 0x1a, 14, 0x0a, 12][..], &range].concat())
}

/// The answer with this message.
fn answer(message: &[u8]) -> http::Response<Body> {
    let length = u8::try_from(message.len()).expect("a short message");
    let frame = [&[0, 0, 0, 0, length][..], message].concat();
    let body = Full::new(bytes::Bytes::from(frame));
    let mut response = http::Response::new(Body::new(body));
    let headers = response.headers_mut();
    let grpc = http::HeaderValue::from_static("application/grpc");
    headers.insert("content-type", grpc);
    headers.insert("grpc-status", http::HeaderValue::from_static("0"));
    response
}

async fn store() -> Store {
    Store::open(StoreOptions::memory())
        .await
        .expect("the store answers")
}

/// A client whose requests are not mistreated.
async fn observer(store: &Store) -> Locks {
    Locks::connect(ConnectOptions::in_process(Arc::new(store.connector())))
        .await
        .expect("the store answers")
}

async fn entries(observer: &Locks, name: &str) -> Vec<String> {
    observer
        .kv()
        .keys(&format!("{name}/"))
        .await
        .expect("the store answers")
}

async fn until(what: &str, mut met: impl AsyncFnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !met().await {
        assert!(Instant::now() < end, "waited in vain: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn lock(name: &str) -> Acquire {
    Acquire::new(name).ttl(Duration::from_mins(1))
}

/// The lease lives on, because it carries another lock: only a reading finds the entry.
#[tokio::test]
async fn put_that_arrives_after_the_release_is_undone() {
    let store = store().await;
    let (way, observer) = (Way::new(&store, false), observer(&store).await);
    let client = way.client().await;
    let other = client.acquire(lock("/other")).await.unwrap();
    way.next([Fault::Late]);
    let grant = client.acquire(lock("/l")).await.unwrap();
    assert_eq!(grant.lease(), other.lease(), "they share a lease");
    grant.release().await.unwrap();
    // Beyond the readings before the lease is retired, which find nothing.
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert!(way.opened_gate_makes_an_entry(&observer).await);
    until("the late entry is deleted", async || {
        entries(&observer, "/l").await.is_empty()
    })
    .await;
    let next = observer.acquire(lock("/l").wait(LockWait::Never)).await;
    next.unwrap().release().await.unwrap();
    assert!(
        other.tenure().admits(),
        "the clean-up took another lock along"
    );
    // While the put could arrive, its key was reserved; another acquisition needed another lease.
    let again = client.acquire(lock("/l")).await.unwrap();
    assert_ne!(again.lease(), other.lease());
    client.close().await;
    observer.close().await;
}

#[tokio::test]
async fn lease_with_only_an_unanswered_put_is_revoked() {
    let store = store().await;
    let (way, observer) = (Way::new(&store, false), observer(&store).await);
    let client = way.client().await;
    way.next([Fault::Late]);
    let grant = client.acquire(lock("/l")).await.unwrap();
    let lease = grant.lease();
    assert_eq!(way.revokes.load(Ordering::SeqCst), 0);
    grant.release().await.unwrap();
    until("the lease is revoked", async || {
        observer.lease_ttl(lease).await.unwrap().is_none()
    })
    .await;
    assert!(!way.opened_gate_makes_an_entry(&observer).await);
    let next = client.acquire(lock("/l")).await.unwrap();
    assert_ne!(next.lease(), lease);
    client.close().await;
    observer.close().await;
}

/// The records of a host end with their lease, so that lease must not be revoked.
#[tokio::test]
async fn lease_of_records_outlives_an_unanswered_put() {
    let store = store().await;
    let (way, observer) = (Way::new(&store, false), observer(&store).await);
    let client = way.client().await;
    let ttl = Duration::from_mins(1);
    let records = client.lease(ttl).await.unwrap();
    client.kv().put("/hosts/a", b"up", records).await.unwrap();
    way.next([Fault::Late]);
    let grant = client.acquire(lock("/l")).await.unwrap();
    let lease = grant.lease();
    grant.release().await.unwrap();
    until("the lock's lease is revoked", async || {
        observer.lease_ttl(lease).await.unwrap().is_none()
    })
    .await;
    assert!(observer.kv().get("/hosts/a").await.unwrap().is_some());
    assert_eq!(client.lease(ttl).await.unwrap(), records);
    client.close().await;
    assert!(observer.kv().get("/hosts/a").await.unwrap().is_none());
    observer.close().await;
}

#[tokio::test]
async fn unanswered_put_is_undone_though_a_later_one_was_refused() {
    let store = store().await;
    let (way, observer) = (Way::new(&store, false), observer(&store).await);
    let client = way.client().await;
    let other = client.acquire(lock("/other")).await.unwrap();
    way.next([Fault::Unheard, Fault::NoSpace]);
    let refused = client.acquire(lock("/l")).await.err();
    assert!(
        matches!(
            &refused,
            Some(AcquireError::Store {
                source: StoreError::Refused { .. },
                ..
            })
        ),
        "{refused:?}"
    );
    until("the entry is deleted", async || {
        entries(&observer, "/l").await.is_empty()
    })
    .await;
    assert!(other.tenure().admits());
    client.close().await;
    observer.close().await;
}

/// Longer away than a bounded number of readings would last.
#[tokio::test]
async fn unanswered_put_is_undone_however_long_the_store_was_away() {
    let store = store().await;
    let (way, observer) = (Way::new(&store, false), observer(&store).await);
    let client = way.client().await;
    way.next([Fault::Unheard]);
    let theirs = client.clone();
    let acquiring = tokio::spawn(async move { theirs.acquire(lock("/l")).await });
    until("the put is carried out", async || {
        entries(&observer, "/l").await.len() == 1
    })
    .await;
    way.away.send_replace(true);
    acquiring.abort();
    assert!(acquiring.await.is_err());
    tokio::time::sleep(Duration::from_secs(14)).await;
    assert_eq!(entries(&observer, "/l").await.len(), 1);
    way.away.send_replace(false);
    until("the entry is deleted", async || {
        entries(&observer, "/l").await.is_empty()
    })
    .await;
    client.close().await;
    observer.close().await;
}

/// Fails without a pause between attempts, and if unused leases stay.
#[tokio::test]
async fn foreign_keys_under_every_lease_leave_no_lease() {
    let store = store().await;
    let way = Way::new(&store, true);
    let client = way.client().await;
    way.next([Fault::Foreign]);
    let request = lock("/l").wait(LockWait::AtMost(Duration::from_secs(2)));
    let contended = client.acquire(request).await.err();
    assert!(
        matches!(&contended, Some(AcquireError::Contended { holder, .. }) if holder == "/l/f"),
        "{contended:?}"
    );
    let granted = way.grants.load(Ordering::SeqCst);
    assert!((2..=20).contains(&granted), "{granted} leases in 2 s");
    // The last one is kept for the next acquisition.
    until("the leases are given back", async || {
        way.revokes.load(Ordering::SeqCst) + 1 >= granted
    })
    .await;
    client.close().await;
}

#[tokio::test]
async fn closing_revokes_all_leases_without_waiting_for_the_store() {
    let store = store().await;
    let way = Way::new(&store, false);
    let options = ConnectOptions::in_process(way.clone());
    let client = Locks::connect(options).await.unwrap();
    for ttl in 60..68 {
        let request = lock("/l").ttl(Duration::from_secs(ttl));
        let grant = client.acquire(request).await.unwrap();
        grant.release().await.unwrap();
    }
    way.silent.store(true, Ordering::SeqCst);
    let began = Instant::now();
    client.close().await;
    // One after the other they would take 40 s.
    assert!(began.elapsed() < Duration::from_secs(10));
    assert_eq!(way.revokes.load(Ordering::SeqCst), 8);
}

#[tokio::test]
async fn session_that_opens_slowly_delays_no_other_lock() {
    let store = store().await;
    let way = Way::new(&store, false);
    let options = ConnectOptions::in_process(way.clone());
    let client = Locks::connect(options).await.unwrap();
    let held = client.acquire(lock("/a")).await.unwrap();
    way.silent.store(true, Ordering::SeqCst);
    let slow = client.clone();
    let opening = tokio::spawn(async move {
        let request = lock("/slow").ttl(Duration::from_secs(7));
        slow.acquire(request).await
    });
    until("a lease is asked for", async || {
        way.grants.load(Ordering::SeqCst) == 2
    })
    .await;
    let other = client.acquire(lock("/b")).await.unwrap();
    assert!(!opening.is_finished(), "it waited for the other session");
    assert_eq!(other.lease(), held.lease());
    way.silent.store(false, Ordering::SeqCst);
    opening.abort();
    client.close().await;
}

/// Fails if a session that has ended on arrival is replaced at once, for ever.
#[tokio::test]
async fn leases_granted_for_no_time_are_requested_with_pauses() {
    let store = store().await;
    let way = Way::new(&store, false);
    let client = way.client().await;
    way.ends_leases.store(true, Ordering::SeqCst);
    let acquiring = client.acquire(lock("/l"));
    let refused = tokio::time::timeout(PATIENCE, acquiring).await.unwrap();
    assert!(
        matches!(&refused, Err(AcquireError::Store { source, .. }) if source.to_string().contains("have ended")),
        "{refused:?}"
    );
    assert!(way.grants.load(Ordering::SeqCst) <= 3);
    client.close().await;
}
