//! The embedded store: its log after a crash that no disk makes, and requests that no client sends.

use std::io;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use http::Request;
use http_body_util::Full;
use leasehold_lock::{Connector as _, StoreService};
use leasehold_store::{DataLocation, StorageBackend, Store, StoreMedia, StoreOptions};
use tower::ServiceExt as _;

/// Requests by their path; the first byte of the input chooses.
const PATHS: &[&str] = &[
    "/etcdserverpb.KV/Range",
    "/etcdserverpb.KV/Put",
    "/etcdserverpb.KV/DeleteRange",
    "/etcdserverpb.KV/Txn",
    "/etcdserverpb.KV/Compact",
    "/etcdserverpb.Lease/LeaseGrant",
    "/etcdserverpb.Lease/LeaseRevoke",
    "/etcdserverpb.Lease/LeaseTimeToLive",
    "/etcdserverpb.Lease/LeaseLeases",
    "/etcdserverpb.Maintenance/Status",
    "/etcdserverpb.Maintenance/Alarm",
    "/etcdserverpb.Maintenance/HashKV",
    "/etcdserverpb.Cluster/MemberList",
    "/v3electionpb.Election/Campaign",
    "/v3electionpb.Election/Leader",
    "/etcdserverpb.Auth/AuthStatus",
];

/// The longest wait for one request of an input: locks and elections wait by themselves.
const PATIENCE: Duration = Duration::from_millis(20);
/// The longest wait for a request that must have an answer, also on a busy machine.
const ANSWER: Duration = Duration::from_secs(20);

fn runtime() -> tokio::runtime::Runtime {
    let made = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build();
    match made {
        Ok(runtime) => runtime,
        Err(error) => panic!("no runtime: {error}"),
    }
}

/// Requests after one another: a byte for the path, a byte for the length, the message.
pub fn store_requests(data: &[u8]) {
    runtime().block_on(async {
        let Ok(store) = Store::open(StoreOptions::memory().quota(1 << 20)).await else {
            panic!("a store in memory does not open");
        };
        let service = store.connector().service();
        let mut rest = data;
        while let [path, length, more @ ..] = rest {
            let at = usize::from(*length).min(more.len());
            let (message, after) = more.split_at(at);
            rest = after;
            let path = PATHS[usize::from(*path) % PATHS.len()];
            send(&service, path, message, PATIENCE).await;
        }
        // The store still answers.
        assert!(
            send(&service, PATHS[0], b"\x0a\x01a", ANSWER).await,
            "no answer"
        );
        store.close().await;
    });
}

/// Sends a message; false if there is no answer in `patience`.
async fn send(service: &StoreService, path: &str, message: &[u8], patience: Duration) -> bool {
    let mut frame = vec![0];
    frame.extend(u32::try_from(message.len()).unwrap_or(0).to_be_bytes());
    frame.extend(message);
    let request = Request::post(format!("http://store{path}"))
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .body(tonic::body::Body::new(Full::new(frame.into())));
    let Ok(request) = request else { return false };
    let answer = service.clone().oneshot(request);
    tokio::time::timeout(patience, answer)
        .await
        .is_ok_and(|answer| answer.is_ok())
}

/// A file in memory.
#[derive(Clone, Debug, Default)]
struct Memory(Arc<Mutex<Vec<u8>>>);

impl Memory {
    fn with<T>(&self, act: impl FnOnce(&mut Vec<u8>) -> T) -> T {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn copy(&self) -> Self {
        Self(Arc::new(Mutex::new(self.with(|bytes| bytes.clone()))))
    }
}

impl StorageBackend for Memory {
    fn len(&self) -> io::Result<u64> {
        Ok(self.with(|bytes| bytes.len() as u64))
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let at = usize::try_from(offset).map_err(io::Error::other)?;
        self.with(|bytes| match bytes.get(at..at + out.len()) {
            Some(found) => {
                out.copy_from_slice(found);
                Ok(())
            }
            None => Err(io::ErrorKind::UnexpectedEof.into()),
        })
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let len = usize::try_from(len).map_err(io::Error::other)?;
        self.with(|bytes| bytes.resize(len, 0));
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let at = usize::try_from(offset).map_err(io::Error::other)?;
        self.with(|bytes| match bytes.get_mut(at..at + data.len()) {
            Some(place) => {
                place.copy_from_slice(data);
                Ok(())
            }
            None => Err(io::ErrorKind::UnexpectedEof.into()),
        })
    }
}

/// The two files of a store that was written to and not closed.
fn base() -> &'static (Memory, Memory) {
    static BASE: OnceLock<(Memory, Memory)> = OnceLock::new();
    BASE.get_or_init(|| {
        let (data, log) = (Memory::default(), Memory::default());
        runtime().block_on(async {
            let Ok(store) = open(&data, &log).await else {
                panic!("an empty store does not open");
            };
            let service = store.connector().service();
            for n in 0..20_u8 {
                assert!(send(&service, PATHS[1], &[0x0a, 1, n, 0x12, 1, n], ANSWER).await);
            }
            // As a crash leaves them: the writes of a close are not included.
            let left = (data.copy(), log.copy());
            store.close().await;
            left
        })
    })
}

async fn open(data: &Memory, log: &Memory) -> Result<Store, leasehold_store::OpenError> {
    let (data, log) = (data.clone(), log.clone());
    let media = move || {
        Ok(StoreMedia {
            data: Box::new(data.clone()),
            log: Box::new(log.clone()),
        })
    };
    Store::open(StoreOptions::new(DataLocation::Media(Box::new(media)))).await
}

/// A log with bytes changed: three for the offset, one for the new byte. It opens, or is refused with a reason.
pub fn store_log(data: &[u8]) {
    let (file, log) = base();
    let (file, log) = (file.copy(), log.copy());
    log.with(|bytes| {
        for edit in data.chunks_exact(4) {
            let offset = u32::from_le_bytes([edit[0], edit[1], edit[2], 0]) as usize;
            let len = bytes.len().max(1);
            if let Some(byte) = bytes.get_mut(offset % len) {
                *byte = edit[3];
            }
        }
    });
    runtime().block_on(async {
        match open(&file, &log).await {
            Ok(store) => store.close().await,
            Err(error) => drop(error.to_string()),
        }
    });
}
