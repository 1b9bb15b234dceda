//! Fenced storage in memory, for a run without a store. Its data is lost with the run.
//!
//! It refuses the same writes as a store: all of them once the lock is lost. Used under a simulated
//! lock only.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use futures_util::future::{BoxFuture, ready};
use leasehold_lock::{Revision, Tenure};

use leasehold_runtime::{GuestKv, KvEntry, KvError};

/// Keys with their values and revisions, under a simulated lock.
pub(crate) struct FakeKv {
    tenure: Tenure,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    revision: Revision,
    entries: BTreeMap<String, (Vec<u8>, Revision)>,
}

impl FakeKv {
    /// Empty storage that refuses writes once `tenure` has ended.
    pub(crate) fn new(tenure: Tenure) -> Self {
        Self {
            tenure,
            state: Mutex::default(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn held(&self) -> Result<(), KvError> {
        if self.tenure.admits() {
            Ok(())
        } else {
            Err(KvError::Lost)
        }
    }

    /// Changes the state under the lock, if `expected` is the revision of the key's value.
    fn change(
        &self,
        key: &str,
        expected: Option<Revision>,
        value: Option<Vec<u8>>,
    ) -> Result<(Revision, bool), KvError> {
        self.held()?;
        let mut state = self.state();
        let found = state
            .entries
            .get(key)
            .map_or(Revision::NONE, |(_, revision)| *revision);
        if expected.is_some_and(|expected| expected != found) {
            return Err(KvError::Conflict);
        }
        let exists = !found.is_none();
        if value.is_some() || exists {
            state.revision = state.revision.next();
        }
        let revision = state.revision;
        match value {
            Some(value) => state.entries.insert(key.to_owned(), (value, revision)),
            None => state.entries.remove(key),
        };
        Ok((revision, exists))
    }
}

fn entry((key, (value, mod_revision)): (&String, &(Vec<u8>, Revision))) -> KvEntry {
    KvEntry {
        key: key.clone(),
        value: value.clone(),
        mod_revision: *mod_revision,
    }
}

impl GuestKv for FakeKv {
    fn get<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<Option<KvEntry>, KvError>> {
        let found = self.state().entries.get_key_value(key).map(entry);
        Box::pin(ready(Ok(found)))
    }

    fn list<'a>(
        &'a self,
        prefix: &'a str,
        limit: u32,
        _: u64,
    ) -> BoxFuture<'a, Result<Vec<KvEntry>, KvError>> {
        let state = self.state();
        let from = state.entries.range(prefix.to_owned()..);
        let within = from.take_while(|(key, _)| key.starts_with(prefix));
        let most = usize::try_from(limit).unwrap_or(usize::MAX);
        let found = within.take(most).map(entry).collect();
        Box::pin(ready(Ok(found)))
    }

    fn put<'a>(&'a self, key: &'a str, value: Vec<u8>) -> BoxFuture<'a, Result<Revision, KvError>> {
        let put = self.change(key, None, Some(value));
        Box::pin(ready(put.map(|(revision, _)| revision)))
    }

    fn delete<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<bool, KvError>> {
        let deleted = self.change(key, None, None);
        Box::pin(ready(deleted.map(|(_, was_there)| was_there)))
    }

    fn compare_and_put<'a>(
        &'a self,
        key: &'a str,
        expected: Revision,
        value: Vec<u8>,
    ) -> BoxFuture<'a, Result<Revision, KvError>> {
        let put = self.change(key, Some(expected), Some(value));
        Box::pin(ready(put.map(|(revision, _)| revision)))
    }

    fn compare_and_delete<'a>(
        &'a self,
        key: &'a str,
        expected: Revision,
    ) -> BoxFuture<'a, Result<(), KvError>> {
        let deleted = self.change(key, Some(expected), None);
        Box::pin(ready(deleted.map(|_| ())))
    }

    fn check(&self) -> BoxFuture<'_, Result<(), KvError>> {
        Box::pin(ready(self.held()))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use leasehold_lock::{BootTime, Clock, ManualClock};

    use super::*;

    #[tokio::test]
    async fn writes_are_compared_and_counted_and_refused_after_the_loss() {
        let clock = Arc::new(ManualClock::at(BootTime::from_nanos(1)));
        let end = clock.now().after(Duration::from_secs(1));
        let kv = FakeKv::new(Tenure::detached(clock.clone(), end));
        let at = Revision::new;
        assert_eq!(kv.put("a/1", b"x".to_vec()).await, Ok(at(1)));
        assert_eq!(
            kv.compare_and_put("a/1", at(2), Vec::new()).await,
            Err(KvError::Conflict)
        );
        assert_eq!(
            kv.compare_and_put("a/1", at(1), b"y".to_vec()).await,
            Ok(at(2))
        );
        assert_eq!(
            kv.compare_and_put("a/2", at(0), Vec::new()).await,
            Ok(at(3))
        );
        let keys = |found: Vec<KvEntry>| found.into_iter().map(|e| e.key).collect::<Vec<_>>();
        assert_eq!(keys(kv.list("a/", 9, 99).await.unwrap()), ["a/1", "a/2"]);
        assert_eq!(keys(kv.list("a/", 1, 99).await.unwrap()), ["a/1"]);
        assert_eq!(kv.delete("b").await, Ok(false));
        assert_eq!(kv.delete("a/2").await, Ok(true));
        assert_eq!(kv.check().await, Ok(()));
        clock.advance(Duration::from_secs(1));
        assert_eq!(kv.put("a/1", Vec::new()).await, Err(KvError::Lost));
        assert_eq!(kv.check().await, Err(KvError::Lost));
        assert_eq!(
            kv.get("a/1").await.unwrap().map(|e| e.value),
            Some(b"y".to_vec())
        );
    }
}
