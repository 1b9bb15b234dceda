//! A history made up for a test, and a client's side of one stream over it.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use etcd_client::proto::{
    PbEvent, PbKeyValue, PbResponseHeader, PbWatchRequest, PbWatchRequestUnion, PbWatchResponse,
};
use futures_util::{Stream, StreamExt, stream};
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tonic::Status;

use crate::change::{ChangeKind, KeyChange, RevisionChanges};
use crate::grpc::watch::WatchService;
use crate::key_range::KeyRange;
use crate::watch::{WatchHistory, WatchRegistry};

/// Put or delete a key.
#[derive(Clone, Copy)]
pub(super) enum KeyAction<'a> {
    Put(&'a str, &'a str),
    Delete(&'a str),
}

/// A history that starts at revision 1, as an empty store's.
#[derive(Default)]
pub(super) struct FakeHistory {
    revisions: Mutex<Vec<Arc<RevisionChanges>>>,
    compacted: Mutex<i64>,
    pub(super) registry: Arc<WatchRegistry>,
    /// Number of revisions read so far.
    pub(super) read: Mutex<usize>,
}

impl FakeHistory {
    pub(super) fn new() -> Arc<Self> {
        let past = Self::default();
        past.registry.begin(1);
        Arc::new(past)
    }

    /// Adds a revision, visible and announced.
    pub(super) fn write(&self, kind: &[KeyAction<'_>]) -> i64 {
        let revision = self.write_untold(kind);
        self.registry.publish(&[Arc::clone(&revision)]);
        revision.number
    }

    /// Adds a revision that can be read and is not announced.
    pub(super) fn write_untold(&self, kind: &[KeyAction<'_>]) -> Arc<RevisionChanges> {
        let mut revisions = lock(&self.revisions);
        let number = i64::try_from(revisions.len()).unwrap() + 2;
        let changes = kind.iter().zip(0..).map(|(kind, sub)| {
            let (key, kind) = match kind {
                KeyAction::Put(key, value) => {
                    let before = latest(&revisions, key.as_bytes(), number);
                    let before = before.map(|change| change.key_value(false));
                    let put = ChangeKind::Put {
                        create_revision: before.as_ref().map_or(number, |kv| kv.create_revision),
                        version: before.map_or(1, |kv| kv.version + 1),
                        lease: 0,
                        value: value.as_bytes().into(),
                    };
                    (key, put)
                }
                KeyAction::Delete(key) => (key, ChangeKind::Delete),
            };
            Arc::new(KeyChange {
                key: key.as_bytes().into(),
                revision: number,
                sub,
                kind,
            })
        });
        let changes = changes.collect();
        let revision = Arc::new(RevisionChanges { number, changes });
        revisions.push(Arc::clone(&revision));
        revision
    }

    /// Returns the events that a watch of a range must get between two revisions: revisions and keys.
    pub(super) fn expected(&self, asked: (&str, &str, i64), to: i64) -> Vec<(i64, Vec<u8>)> {
        let (key, end, from) = asked;
        let key = if key.is_empty() { "\0" } else { key };
        let range = KeyRange::new(key.as_bytes(), end.as_bytes());
        let revisions = lock(&self.revisions);
        let wanted = revisions
            .iter()
            .filter(|revision| (from..=to).contains(&revision.number));
        wanted
            .flat_map(|revision| revision.changes.iter())
            .filter(|change| range.contains(&change.key))
            .map(|change| (change.revision, change.key.to_vec()))
            .collect()
    }

    pub(super) fn compact(&self, at: i64) {
        *lock(&self.compacted) = at;
    }
}

/// Returns the change with a key's value just before a revision.
fn latest(revisions: &[Arc<RevisionChanges>], key: &[u8], before: i64) -> Option<Arc<KeyChange>> {
    let earlier = revisions
        .iter()
        .rev()
        .filter(|revision| revision.number < before);
    earlier
        .flat_map(|revision| revision.changes.iter())
        .find(|change| *change.key == *key)
        .filter(|change| change.is_put())
        .map(Arc::clone)
}

impl WatchHistory for FakeHistory {
    fn header(&self) -> PbResponseHeader {
        PbResponseHeader {
            cluster_id: 7,
            revision: i64::try_from(lock(&self.revisions).len()).unwrap() + 1,
            ..PbResponseHeader::default()
        }
    }

    fn history(&self, from: i64, limit: usize) -> Result<Vec<Arc<RevisionChanges>>, i64> {
        let compacted = *lock(&self.compacted);
        if from < compacted {
            return Err(compacted);
        }
        let skip = usize::try_from(from - 2).unwrap_or(0);
        let found: Vec<_> = lock(&self.revisions)
            .iter()
            .skip(skip)
            .take(limit)
            .cloned()
            .collect();
        *lock(&self.read) += found.len();
        Ok(found)
    }

    fn before(&self, key: &[u8], revision: i64) -> Option<PbKeyValue> {
        latest(&lock(&self.revisions), key, revision).map(|change| change.key_value(false))
    }
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

type Responses = std::pin::Pin<Box<dyn Stream<Item = Result<PbWatchResponse, Status>> + Send>>;

/// A client with one stream.
pub(super) struct StreamClient {
    pub(super) requests: Option<mpsc::Sender<PbWatchRequest>>,
    pub(super) responses: Responses,
    pub(super) cancel: CancellationToken,
}

/// Parameters of a watch that a test creates.
#[derive(Clone, Copy, Default)]
pub(super) struct WatchRequest<'a> {
    pub(super) key: &'a str,
    pub(super) end: &'a str,
    pub(super) start: i64,
    pub(super) id: i64,
    pub(super) prev_kv: bool,
    pub(super) fragment: bool,
    pub(super) progress: bool,
    pub(super) filters: &'a [i32],
}

pub(super) fn key(key: &str) -> WatchRequest<'_> {
    WatchRequest {
        key,
        ..WatchRequest::default()
    }
}

pub(super) fn from(start: i64) -> WatchRequest<'static> {
    WatchRequest { start, ..key("a") }
}

/// An empty request, whose type has no name outside the generated code.
fn blank<T: Default>() -> T {
    T::default()
}

impl StreamClient {
    pub(super) fn new(past: &Arc<FakeHistory>) -> Self {
        Self::with_progress(past, Duration::from_mins(10))
    }

    pub(super) fn with_progress(past: &Arc<FakeHistory>, interval: Duration) -> Self {
        let cancel = CancellationToken::new();
        let registry = Arc::clone(&past.registry);
        let history: Arc<dyn WatchHistory> = past.clone();
        let service = WatchService::over(history, registry, cancel.clone(), interval);
        let (requests, received) = mpsc::channel(1024);
        let received = Box::pin(stream::unfold(received, async |mut received| {
            received.recv().await.map(|request| (Ok(request), received))
        }));
        Self {
            requests: Some(requests),
            responses: Box::pin(service.stream(received)),
            cancel,
        }
    }

    pub(super) fn send(&self, union: PbWatchRequestUnion) {
        let request = PbWatchRequest {
            request_union: Some(union),
        };
        self.requests.as_ref().unwrap().try_send(request).unwrap();
    }

    pub(super) fn ask(&self, ask: WatchRequest<'_>) {
        let mut union = PbWatchRequestUnion::CreateRequest(blank());
        if let PbWatchRequestUnion::CreateRequest(request) = &mut union {
            request.key = ask.key.into();
            request.range_end = ask.end.into();
            request.start_revision = ask.start;
            request.watch_id = ask.id;
            request.prev_kv = ask.prev_kv;
            request.fragment = ask.fragment;
            request.progress_notify = ask.progress;
            request.filters = ask.filters.to_vec();
        }
        self.send(union);
    }

    /// Creates a watch, and returns its id and the revision of its `created`.
    pub(super) async fn create(&mut self, ask: WatchRequest<'_>) -> (i64, i64) {
        self.ask(ask);
        let response = self.next().await;
        assert!(response.created && !response.canceled, "{response:?}");
        assert!(response.events.is_empty());
        (response.watch_id, revision(&response))
    }

    pub(super) fn cancel(&self, id: i64) {
        let mut union = PbWatchRequestUnion::CancelRequest(blank());
        if let PbWatchRequestUnion::CancelRequest(request) = &mut union {
            request.watch_id = id;
        }
        self.send(union);
    }

    pub(super) fn ask_progress(&self) {
        self.send(PbWatchRequestUnion::ProgressRequest(blank()));
    }

    pub(super) async fn next(&mut self) -> PbWatchResponse {
        let next = timeout(Duration::from_secs(30), self.responses.next()).await;
        next.expect("no response came")
            .expect("the stream ended")
            .unwrap()
    }

    /// Returns true if no response is ready.
    pub(super) async fn is_quiet(&mut self) -> bool {
        timeout(Duration::from_millis(30), self.responses.next())
            .await
            .is_err()
    }
}

pub(super) fn revision(response: &PbWatchResponse) -> i64 {
    response.header.as_ref().unwrap().revision
}

/// An event as text: `+a=1@4`, `-a@5`, with the value before it, if any, as `(was 0)`.
pub(super) fn words(event: &PbEvent) -> String {
    let kv = event.kv.as_ref().unwrap();
    let key = String::from_utf8_lossy(&kv.key);
    let words = match event.r#type {
        0 => format!(
            "+{key}={}@{}",
            String::from_utf8_lossy(&kv.value),
            kv.mod_revision
        ),
        _ => format!("-{key}@{}", kv.mod_revision),
    };
    match &event.prev_kv {
        Some(before) => format!("{words} (was {})", String::from_utf8_lossy(&before.value)),
        None => words,
    }
}

/// A response's events as text.
pub(super) fn events(response: &PbWatchResponse) -> Vec<String> {
    response.events.iter().map(words).collect()
}
