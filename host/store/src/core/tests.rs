//! Promises of the store as a whole: durable before visible, commits shared, a failing disk survived.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use etcd_client::proto::{PbLeaseGrantRequest, PbPutRequest, PbRangeRequest};
use leasehold_lock::clock::{BootTime, ManualClock};
use redb::StorageBackend;
use tokio::task::JoinSet;

use crate::core::StoreCore;
use crate::disk::faulty::FaultyDisk;
use crate::error::StoreError;
use crate::key_range::KeyRange;
use crate::options::{DataLocation, StoreMedia, StoreOptions};

const PATIENCE: Duration = Duration::from_secs(20);

async fn open(options: StoreOptions) -> Arc<StoreCore> {
    StoreCore::open(options).await.expect("the store opens")
}

/// On a disk that outlives the store.
fn on(disk: &FaultyDisk) -> StoreOptions {
    let disk = disk.clone();
    StoreOptions::new(DataLocation::Media(Box::new(move || Ok(disk.media()))))
}

async fn put(core: &StoreCore, key: &str, value: &str) -> Result<i64, StoreError> {
    put_with(core, key, value, 0).await
}

async fn put_with(core: &StoreCore, key: &str, value: &str, lease: i64) -> Result<i64, StoreError> {
    let request = PbPutRequest {
        key: key.into(),
        value: value.into(),
        lease,
        ..PbPutRequest::default()
    };
    let reply = core.put(request).await?;
    Ok(reply.header.expect("a header").revision)
}

fn get(core: &StoreCore, key: &str) -> Option<String> {
    let request = PbRangeRequest {
        key: key.into(),
        ..PbRangeRequest::default()
    };
    let found = core.range(&request).expect("readable");
    let value = &found.kvs.first()?.value;
    Some(String::from_utf8_lossy(value).into_owned())
}

async fn eventually(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let until = tokio::time::Instant::now() + PATIENCE;
    while !holds().await {
        assert!(tokio::time::Instant::now() < until, "never came: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// A disk whose syncs wait until they are let through.
#[derive(Debug, Clone, Default)]
struct Gated {
    disk: FaultyDisk,
    gate: Arc<(Mutex<bool>, Condvar)>,
    is_waiting: Arc<AtomicBool>,
}

impl Gated {
    fn close_gate(&self, closed: bool) {
        let (gate, changed) = &*self.gate;
        *gate.lock().unwrap_or_else(PoisonError::into_inner) = closed;
        changed.notify_all();
    }

    fn options(&self) -> StoreOptions {
        let media = self.clone();
        StoreOptions::new(DataLocation::Media(Box::new(move || {
            Ok(StoreMedia {
                data: Box::new(media.clone()),
                log: Box::new(Self {
                    disk: media.disk.log(),
                    ..media.clone()
                }),
            })
        })))
    }
}

impl StorageBackend for Gated {
    fn len(&self) -> io::Result<u64> {
        self.disk.len()
    }
    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.disk.read(offset, out)
    }
    fn set_len(&self, len: u64) -> io::Result<()> {
        self.disk.set_len(len)
    }
    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.disk.write(offset, data)
    }
    fn sync_data(&self) -> io::Result<()> {
        let (gate, changed) = &*self.gate;
        let mut closed = gate.lock().unwrap_or_else(PoisonError::into_inner);
        self.is_waiting.store(*closed, Ordering::SeqCst);
        while *closed {
            closed = changed.wait(closed).unwrap_or_else(PoisonError::into_inner);
        }
        self.is_waiting.store(false, Ordering::SeqCst);
        self.disk.sync_data()
    }
}

/// Fails at the first assertion if the writer publishes before it commits.
#[tokio::test(flavor = "multi_thread")]
async fn a_write_is_not_acknowledged_read_or_watched_before_durable() {
    let gated = Gated::default();
    let core = open(gated.options()).await;
    let watching = core.watchers().subscribe();
    watching.add(KeyRange::new(b"a", b""));
    gated.close_gate(true);
    let writer = Arc::clone(&core);
    let write = tokio::spawn(async move { put(&writer, "a", "1").await });
    eventually("the disk is busy", async || {
        gated.is_waiting.load(Ordering::SeqCst)
    })
    .await;
    assert_eq!(get(&core, "a"), None);
    assert_eq!(core.revision(), 1);
    assert_eq!(watching.take_touched(), None);
    assert!(!write.is_finished());
    gated.close_gate(false);
    assert_eq!(write.await.expect("no panic"), Ok(2));
    assert_eq!(get(&core, "a").as_deref(), Some("1"));
    assert_eq!(watching.changed().await, 2);
    core.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn writers_waiting_for_the_disk_share_the_next_commit() {
    let gated = Gated::default();
    let core = open(gated.options()).await;
    gated.close_gate(true);
    let mut writers = JoinSet::new();
    for number in 0..200 {
        let core = Arc::clone(&core);
        writers.spawn(async move { put(&core, &format!("k{number}"), "v").await });
    }
    eventually("the disk is busy", async || {
        gated.is_waiting.load(Ordering::SeqCst)
    })
    .await;
    // The queue is read only after the first commit, so all writers have time to join it.
    tokio::time::sleep(Duration::from_millis(300)).await;
    let before = gated.disk.syncs();
    gated.close_gate(false);
    while let Some(done) = writers.join_next().await {
        done.expect("no panic").expect("durable");
    }
    let syncs = gated.disk.syncs() - before;
    assert!(syncs <= 10, "200 writes took {syncs} syncs");
    assert_eq!(core.revision(), 201);
    core.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn acknowledged_writes_survive_a_power_cut() {
    let disk = FaultyDisk::new();
    let core = open(on(&disk)).await;
    let first_term = core.header().raft_term;
    put(&core, "a", "1").await.expect("durable");
    put(&core, "b", "2").await.expect("durable");
    // No close: only the present content of the disk counts.
    let after = disk.copy();
    let again = open(on(&after)).await;
    assert_eq!(
        (get(&again, "a"), get(&again, "b")),
        (Some("1".into()), Some("2".into()))
    );
    assert_eq!(again.revision(), 3);
    assert_eq!(again.header().cluster_id, core.header().cluster_id);
    assert!(again.header().raft_term > first_term);
    core.close().await;
    again.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_makes_the_store_read_only_until_space_is_freed() {
    let disk = FaultyDisk::new();
    let core = open(on(&disk)).await;
    put(&core, "a", "1").await.expect("durable");
    disk.leave_space(Some(0));
    let failed = put(&core, "a", "2").await;
    assert!(
        matches!(failed, Err(StoreError::DiskFailed(_))),
        "{failed:?}"
    );
    let refused = put(&core, "b", "1").await;
    assert!(
        matches!(refused, Err(StoreError::ReadOnly(_))),
        "{refused:?}"
    );
    assert_eq!(get(&core, "a").as_deref(), Some("1"), "reads go on");
    assert!(core.health().read_only.is_some());
    disk.leave_space(None);
    eventually("writing again", async || put(&core, "b", "2").await.is_ok()).await;
    assert!(core.health().read_only.is_none());
    let a = get(&core, "a").expect("it was acknowledged");
    assert!(
        a == "1" || a == "2",
        "the failed write is wholly there or not at all"
    );
    assert_eq!(get(&core, "b").as_deref(), Some("2"));
    core.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lease_ends_by_the_clock_and_deletes_its_keys() {
    let clock = Arc::new(ManualClock::at(BootTime::from_nanos(1)));
    let core = open(StoreOptions::memory().clock(Arc::clone(&clock) as _)).await;
    let grant = PbLeaseGrantRequest { ttl: 10, id: 7 };
    core.lease_grant(grant).await.expect("granted");
    put_with(&core, "a", "1", 7)
        .await
        .expect("the lease is there");
    clock.advance(Duration::from_millis(9_999));
    // Longer than the task that ends leases sleeps.
    tokio::time::sleep(Duration::from_millis(700)).await;
    assert_eq!(get(&core, "a").as_deref(), Some("1"));
    clock.advance(Duration::from_millis(1));
    eventually("the lease ends", async || get(&core, "a").is_none()).await;
    assert_eq!(core.lease_keep_alive(7).ttl, 0);
    core.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn many_expired_leases_end_in_several_writes() {
    let clock = Arc::new(ManualClock::at(BootTime::from_nanos(1)));
    let core = open(StoreOptions::memory().clock(Arc::clone(&clock) as _)).await;
    for id in 1..=2_500 {
        let grant = PbLeaseGrantRequest { ttl: 10, id };
        core.lease_grant(grant).await.expect("granted");
        put_with(&core, &format!("k{id}"), "1", id)
            .await
            .expect("the lease is there");
    }
    clock.advance(Duration::from_secs(10));
    eventually("all leases end", async || {
        core.lease_leases().leases.is_empty()
    })
    .await;
    assert_eq!(get(&core, "k2500"), None);
    core.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn history_beyond_the_retention_is_compacted() {
    for options in [StoreOptions::memory(), on(&FaultyDisk::new())] {
        let core = open(options.keep_revisions(Some(20))).await;
        for turn in 0..100 {
            put(&core, "a", &turn.to_string()).await.expect("durable");
        }
        let health = core.health();
        let kept = health.revision - health.compacted;
        assert!((20..=25).contains(&kept), "{kept} revisions are kept");
        assert_eq!(core.history(1, 1), Err(health.compacted));
        core.close().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn history_is_compacted_before_a_write_is_refused() {
    let value = "x".repeat(10_000);
    for options in [StoreOptions::memory(), on(&FaultyDisk::new())] {
        // The quota alone, without a limit on history.
        let options = options.quota(200_000).keep_revisions(None);
        let core = open(options.keep_bytes(u64::MAX)).await;
        for turn in 0..100 {
            put(&core, "a", &value)
                .await
                .unwrap_or_else(|error| panic!("put {turn}: {error}"));
        }
        let health = core.health();
        assert!(!health.no_space);
        assert!(health.compacted > 50, "compacted at {}", health.compacted);
        // Some of it is kept as long as there is room.
        assert!(health.revision - health.compacted >= 5);
        core.close().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn history_is_kept_by_its_bytes() {
    let value = "x".repeat(10_000);
    for options in [StoreOptions::memory(), on(&FaultyDisk::new())] {
        let core = open(options.keep_bytes(100_000)).await;
        for _ in 0..100 {
            put(&core, "a", &value).await.expect("there is room");
        }
        let health = core.health();
        let kept = health.revision - health.compacted;
        assert!((8..=11).contains(&kept), "{kept} revisions are kept");
        core.close().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn writes_of_one_commit_make_room_for_one_another() {
    let gated = Gated::default();
    let options = gated.options().quota(200_000).keep_revisions(None);
    let core = open(options).await;
    let value: Arc<str> = "x".repeat(10_000).into();
    gated.close_gate(true);
    let mut writers = JoinSet::new();
    for _ in 0..100 {
        let (core, value) = (Arc::clone(&core), Arc::clone(&value));
        writers.spawn(async move { put(&core, "a", &value).await });
    }
    tokio::time::sleep(Duration::from_millis(200)).await;
    gated.close_gate(false);
    while let Some(done) = writers.join_next().await {
        done.expect("no panic").expect("there is room");
    }
    assert_eq!(core.revision(), 101);
    core.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_closed_store_refuses_writes() {
    let core = open(on(&FaultyDisk::new())).await;
    core.close().await;
    assert_eq!(put(&core, "a", "1").await, Err(StoreError::Stopped));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_has_one_store_at_a_time() {
    let place = tempfile::tempdir().expect("a directory");
    let core = open(StoreOptions::directory(place.path())).await;
    let second = StoreCore::open(StoreOptions::directory(place.path())).await;
    let refused = second.err().expect("a second store is refused").to_string();
    assert!(refused.contains("another process has it open"), "{refused}");
    put(&core, "a", "1").await.expect("durable");
    core.close().await;
    let next = open(StoreOptions::directory(place.path())).await;
    assert_eq!(get(&next, "a").as_deref(), Some("1"));
    next.close().await;
}

/// Callers on another runtime of this process must not block it: it runs guests, or renews leases.
#[test]
fn only_the_stores_own_threads_wait_for_the_disk() {
    let several = || {
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        builder.worker_threads(2).enable_all().build().unwrap()
    };
    let gated = Gated::default();
    let (home, other) = (several(), several());
    let core = home.block_on(open(gated.options()));
    gated.close_gate(true);
    let (tell, told) = std::sync::mpsc::channel();
    let writer = Arc::clone(&core);
    let asking = std::thread::spawn(move || {
        other.block_on(async {
            let mut writing = std::pin::pin!(put(&writer, "a", "1"));
            tell.send(futures_util::poll!(&mut writing).is_pending())
                .unwrap();
            writing.await.unwrap();
        });
    });
    let pending = told.recv_timeout(PATIENCE);
    gated.close_gate(false);
    asking.join().unwrap();
    assert_eq!(pending, Ok(true));
    home.block_on(core.close());
}
