//! A reader of one job's live output.

use std::collections::VecDeque;
use std::time::{Duration, SystemTime};

use leasehold_lock::{KeyFeed, LeaseId, Locks, StoreError};
use leasehold_records::{FollowRecord, Root, RunKey, RunName, RunRecord, UnixMs};
use tokio::time::{Instant, sleep_until};

use crate::assembler::OutputAssembler;
use crate::item::OutputItem;
use crate::run_reading::read_run;

/// Time to live of a request: publication ends within it when the reader is killed.
const REQUEST_TTL: Duration = Duration::from_secs(10);
/// Time between two checks that the request exists, and that a run without chunks has an end.
const CHECK_EVERY: Duration = Duration::from_secs(2);

/// A request for output.
#[derive(Clone, Debug)]
pub struct ReadRequest {
    /// The job.
    pub job: String,
    /// The only host; all if `None`.
    pub host: Option<String>,
    /// The only run, or the only token; all if `None`.
    pub run: Option<RunName>,
    /// The reader, as user@machine.
    pub by: String,
}

/// A reader of the live output of one job. Hosts publish that output while it exists.
pub struct OutputReader {
    locks: Locks,
    root: Root,
    key: String,
    record: FollowRecord,
    /// The lease of the request; none before it is written.
    lease: LeaseId,
    feed: KeyFeed,
    assembler: OutputAssembler,
    items: VecDeque<OutputItem>,
    check_at: Instant,
    /// Withdrawn runs that were reported.
    silent: Vec<RunKey>,
}

impl OutputReader {
    /// Requests the output. Must be called on the tokio runtime that calls [`OutputReader::next`].
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the request cannot be written; a denial shows that the user may not write under `follow/`.
    pub async fn open(locks: Locks, root: Root, request: ReadRequest) -> Result<Self, StoreError> {
        let name = format!("{:016x}", fastrand::u64(..));
        let key = root.follow(&request.job, &name);
        let feed = locks.feed([root.outputs_of(&request.job)]);
        let assembler = OutputAssembler::new(root.clone(), request.host.clone(), request.run);
        let mut reader = Self {
            locks,
            root,
            key,
            record: FollowRecord {
                job: request.job,
                by: request.by,
                host: request.host,
                since_unix_ms: UnixMs::from_system(SystemTime::now()),
            },
            lease: LeaseId::NONE,
            feed,
            assembler,
            items: VecDeque::new(),
            check_at: Instant::now() + CHECK_EVERY,
            silent: Vec::new(),
        };
        reader.keep_request().await?;
        Ok(reader)
    }

    /// Waits for the next item. Safe to cancel. `None` when the client has closed.
    pub async fn next(&mut self) -> Option<OutputItem> {
        loop {
            if let Some(item) = self.items.pop_front() {
                return Some(item);
            }
            tokio::select! {
                biased;
                () = sleep_until(self.check_at) => {
                    self.check().await;
                    self.check_at = Instant::now() + CHECK_EVERY;
                }
                item = self.feed.next() => {
                    self.items.extend(self.assembler.apply(item?));
                    // A run that ended with its host is reported before its successor's output.
                    let mut withdrawn = self.assembler.withdrawn().into_iter();
                    if withdrawn.any(|key| !self.silent.contains(&key)) {
                        self.check_at = Instant::now();
                    }
                }
            }
        }
    }

    /// Returns what has come, and what of a run that is over, by its record, has not.
    pub fn complete(&mut self, record: RunRecord) -> Vec<OutputItem> {
        let mut items: Vec<OutputItem> = self.items.drain(..).collect();
        items.extend(self.assembler.complete(record));
        items
    }

    /// Withdraws the request. Hosts then stop publishing, unless another reader has one.
    pub async fn close(self) {
        if let Err(error) = self.locks.kv().delete(&self.key).await {
            tracing::debug!(%error, "a request for output is left to its lease");
        }
    }

    /// Writes the request if it is not under the client's present lease.
    async fn keep_request(&mut self) -> Result<(), StoreError> {
        let lease = self.locks.lease(REQUEST_TTL).await?;
        if lease != self.lease {
            let json = self.record.to_json();
            self.locks.kv().put(&self.key, &json, lease).await?;
            self.lease = lease;
        }
        Ok(())
    }

    async fn check(&mut self) {
        if let Err(error) = self.keep_request().await {
            tracing::debug!(%error, "a request for output is not renewed");
        }
        let withdrawn = self.assembler.withdrawn();
        self.silent.retain(|key| withdrawn.contains(key));
        for key in withdrawn {
            let Ok(record) = read_run(&self.locks.kv(), &self.root, &key).await else {
                continue;
            };
            let items = self.assembler.found(&key, record);
            if !items.is_empty() {
                self.items.extend(items);
            } else if !self.silent.contains(&key)
                && let Some(head) = self.assembler.head(&key)
            {
                self.items.push_back(OutputItem::Silent(head.clone()));
                self.silent.push(key);
            }
        }
    }
}

impl std::fmt::Debug for OutputReader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OutputReader")
            .field("key", &self.key)
            .finish_non_exhaustive()
    }
}
