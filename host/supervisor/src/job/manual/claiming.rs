//! The claim of a requested run, under the fence of the job's lock.

use leasehold_lock::{Fence, FencedError, Kv, LeaseId, RefusalKind, Revision, StoreError};
use leasehold_records::TriggerRecord;

/// Attempts at a claim whose answer was lost.
const TRIES: u32 = 5;

/// The record of a request, as the holder of the lock uses it.
pub(super) trait TriggerStore {
    /// Returns the record as it is; `None` if it was deleted.
    fn read(&self) -> impl Future<Output = Result<Option<Vec<u8>>, StoreError>> + Send;
    /// Writes the record if the lock is ours and the record's last change was at `expected`.
    fn write_fenced(
        &self,
        expected: Revision,
        json: Vec<u8>,
    ) -> impl Future<Output = Result<(), FencedError>> + Send;
}

/// The record in the store.
pub(super) struct HeldTrigger {
    pub(super) kv: Kv,
    pub(super) fence: Fence,
    pub(super) key: String,
    /// The lease that carries it.
    pub(super) lease: LeaseId,
}

impl TriggerStore for HeldTrigger {
    async fn read(&self) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.kv.get(&self.key).await?.map(|found| found.value))
    }

    async fn write_fenced(&self, expected: Revision, json: Vec<u8>) -> Result<(), FencedError> {
        let Self {
            kv,
            fence,
            key,
            lease,
        } = self;
        let put = kv.compare_and_put_fenced_leased(fence, key, expected, &json, *lease);
        put.await.map(drop)
    }
}

/// Answer to a claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ClaimAnswer {
    /// This host has it.
    Ours,
    /// Another host has it, or it was withdrawn.
    Gone,
    /// The lock was lost, or the store did not answer: the request may still be open.
    Unclaimed,
}

/// Claims a request that was last changed at `revision`, by writing the record `claimed`.
pub(super) async fn claim(
    store: &impl TriggerStore,
    revision: Revision,
    claimed: &TriggerRecord,
) -> ClaimAnswer {
    for _ in 0..TRIES {
        match store.write_fenced(revision, claimed.to_json()).await {
            Ok(()) => return ClaimAnswer::Ours,
            Err(FencedError::Stale) => return ClaimAnswer::Unclaimed,
            // An earlier attempt may have been carried out without an answer.
            Err(FencedError::Conflict) => match store.read().await {
                Ok(found) if is_own(found.as_deref(), claimed) => return ClaimAnswer::Ours,
                Ok(_) => return ClaimAnswer::Gone,
                Err(_) => {}
            },
            Err(FencedError::Store(StoreError::Refused {
                kind: RefusalKind::LeaseNotFound,
                ..
            })) => return ClaimAnswer::Gone,
            Err(FencedError::Store(error)) if error.is_unknown() => {}
            Err(FencedError::Store(error)) => {
                tracing::warn!(%error, job = claimed.job, "a requested run could not be claimed");
                return ClaimAnswer::Unclaimed;
            }
        }
    }
    ClaimAnswer::Unclaimed
}

fn is_own(found: Option<&[u8]>, claimed: &TriggerRecord) -> bool {
    let found = found.and_then(|json| TriggerRecord::from_json(json).ok());
    found.is_some_and(|found| found.state == claimed.state)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Mutex;

    use futures_util::FutureExt as _;
    use leasehold_lock::Token;
    use leasehold_records::{TriggerState, UnixMs};

    use super::*;

    /// One record, the entry of one lock, and the number of answers that are lost.
    struct ModelStore {
        record: Mutex<Option<(Revision, Vec<u8>)>>,
        holds: bool,
        lost: Mutex<u32>,
    }

    impl ModelStore {
        fn new(revision: Revision, holds: bool, lost: u32) -> Self {
            Self {
                record: Mutex::new(Some((revision, b"{}".to_vec()))),
                holds,
                lost: Mutex::new(lost),
            }
        }
    }

    impl TriggerStore for ModelStore {
        async fn read(&self) -> Result<Option<Vec<u8>>, StoreError> {
            let record = self.record.lock().unwrap();
            Ok(record.as_ref().map(|(_, json)| json.clone()))
        }

        async fn write_fenced(&self, expected: Revision, json: Vec<u8>) -> Result<(), FencedError> {
            if !self.holds {
                return Err(FencedError::Stale);
            }
            let mut record = self.record.lock().unwrap();
            let revision = record
                .as_ref()
                .map_or(Revision::NONE, |(revision, _)| *revision);
            if revision != expected {
                return Err(FencedError::Conflict);
            }
            *record = Some((revision.next(), json));
            let mut lost = self.lost.lock().unwrap();
            if *lost > 0 {
                *lost -= 1;
                return Err(FencedError::Store(StoreError::Unknown("no answer".into())));
            }
            Ok(())
        }
    }

    fn claimed(host: &str) -> TriggerRecord {
        TriggerRecord {
            id: "1".into(),
            job: "ledger".into(),
            by: "ann@vm".into(),
            why: String::new(),
            at_unix_ms: UnixMs::new(1),
            config: BTreeMap::new(),
            host: None,
            state: TriggerState::Claimed {
                runs_on: host.into(),
                lock_key: "/l/1".into(),
                token: Token::new(7),
                run_id: format!("{host}-7-0"),
            },
        }
    }

    fn answer(store: &ModelStore, host: &str) -> ClaimAnswer {
        claim(store, Revision::new(5), &claimed(host))
            .now_or_never()
            .unwrap()
    }

    #[test]
    fn request_is_claimed_once() {
        let store = ModelStore::new(Revision::new(5), true, 0);
        assert_eq!(answer(&store, "a"), ClaimAnswer::Ours);
        assert_eq!(answer(&store, "b"), ClaimAnswer::Gone);
    }

    #[test]
    fn claim_with_a_lost_answer_is_recognized() {
        let store = ModelStore::new(Revision::new(5), true, 1);
        assert_eq!(answer(&store, "a"), ClaimAnswer::Ours);
        assert_eq!(answer(&store, "b"), ClaimAnswer::Gone);
    }

    #[test]
    fn lost_lock_claims_nothing() {
        let store = ModelStore::new(Revision::new(5), false, 0);
        assert_eq!(answer(&store, "a"), ClaimAnswer::Unclaimed);
        assert_eq!(
            store.record.lock().unwrap().as_ref().unwrap().0,
            Revision::new(5)
        );
    }
}
