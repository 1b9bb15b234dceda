//! Storage in memory: the second implementation of the trait, with hooks for faults.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use leasehold_lock::Revision;

use super::{GuestKv, KvEntry, KvError};

/// Entries, and hooks that run when they are accessed.
#[derive(Default)]
pub(super) struct FakeKv {
    pub(super) entries: Mutex<BTreeMap<String, (Vec<u8>, Revision)>>,
    pub(super) revision: AtomicI64,
    /// True if `put` waits forever.
    pub(super) hangs: AtomicBool,
    /// Set when a `put` that waited was dropped.
    pub(super) dropped: std::sync::Arc<AtomicBool>,
    /// Hook called by `put` when it writes.
    pub(super) on_put: Option<Box<dyn Fn() + Send + Sync>>,
    /// Hook called by `check` while the guest waits for its answer.
    pub(super) on_check: Option<Box<dyn Fn() + Send + Sync>>,
}

struct Noticed(std::sync::Arc<AtomicBool>);

impl Drop for Noticed {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

impl FakeKv {
    pub(super) fn writes(&self) -> i64 {
        self.revision.load(Ordering::SeqCst)
    }

    pub(super) fn value(&self, key: &str) -> Option<Vec<u8>> {
        self.entries.lock().unwrap().get(key).map(|e| e.0.clone())
    }

    fn write(&self, key: &str, value: Vec<u8>) -> Revision {
        let revision = Revision::new(self.revision.fetch_add(1, Ordering::SeqCst) + 1);
        let mut entries = self.entries.lock().unwrap();
        entries.insert(key.to_owned(), (value, revision));
        revision
    }
}

fn entry(key: &str, (value, mod_revision): &(Vec<u8>, Revision)) -> KvEntry {
    KvEntry {
        key: key.to_owned(),
        value: value.clone(),
        mod_revision: *mod_revision,
    }
}

impl GuestKv for FakeKv {
    fn get<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<Option<KvEntry>, KvError>> {
        async move { Ok(self.entries.lock().unwrap().get(key).map(|e| entry(key, e))) }.boxed()
    }

    fn list<'a>(
        &'a self,
        prefix: &'a str,
        limit: u32,
        _: u64,
    ) -> BoxFuture<'a, Result<Vec<KvEntry>, KvError>> {
        async move {
            let entries = self.entries.lock().unwrap();
            let below = entries.iter().filter(|(key, _)| key.starts_with(prefix));
            Ok(below
                .take(limit as usize)
                .map(|(key, e)| entry(key, e))
                .collect())
        }
        .boxed()
    }

    fn put<'a>(&'a self, key: &'a str, value: Vec<u8>) -> BoxFuture<'a, Result<Revision, KvError>> {
        async move {
            if self.hangs.load(Ordering::SeqCst) {
                let _noticed = Noticed(self.dropped.clone());
                std::future::pending::<()>().await;
            }
            if let Some(on_put) = &self.on_put {
                on_put();
            }
            Ok(self.write(key, value))
        }
        .boxed()
    }

    fn delete<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<bool, KvError>> {
        async move { Ok(self.entries.lock().unwrap().remove(key).is_some()) }.boxed()
    }

    fn compare_and_put<'a>(
        &'a self,
        key: &'a str,
        expected: Revision,
        value: Vec<u8>,
    ) -> BoxFuture<'a, Result<Revision, KvError>> {
        async move {
            let found = self
                .entries
                .lock()
                .unwrap()
                .get(key)
                .map_or(Revision::NONE, |e| e.1);
            if found != expected {
                return Err(KvError::Conflict);
            }
            Ok(self.write(key, value))
        }
        .boxed()
    }

    fn compare_and_delete<'a>(
        &'a self,
        key: &'a str,
        expected: Revision,
    ) -> BoxFuture<'a, Result<(), KvError>> {
        async move {
            let mut entries = self.entries.lock().unwrap();
            if entries.get(key).map_or(Revision::NONE, |e| e.1) != expected {
                return Err(KvError::Conflict);
            }
            entries.remove(key);
            Ok(())
        }
        .boxed()
    }

    fn check(&self) -> BoxFuture<'_, Result<(), KvError>> {
        async move {
            if let Some(on_check) = &self.on_check {
                on_check();
            }
            Ok(())
        }
        .boxed()
    }
}
