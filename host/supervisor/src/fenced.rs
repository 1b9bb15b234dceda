//! Guest storage on the store: every write is a transaction that compares the lock entry.
//!
//! The keys that a guest may use are decided before this file is reached, and never widened here.

use std::sync::{MutexGuard, PoisonError};

use futures_util::future::BoxFuture;
use leasehold_lock::{EndReason, Fence, FencedError, Grant, Kv, Revision, StoreError, Tenure};

use crate::budget::{Admission, Budget, Charge, KEY_COST, Settled, SharedBudget, Tally};
use leasehold_runtime::{GuestKv, KvEntry, KvError};

/// Fenced access for one run.
pub(crate) struct FencedKv {
    kv: Kv,
    fence: Fence,
    tenure: Tenure,
    /// `<root>kv/`; the guest's keys begin after it.
    prefix: String,
    allotted: KvAllotment,
}

/// Storage limits of one job.
pub(crate) struct KvAllotment {
    pub(crate) budget: SharedBudget,
    /// The prefixes that were granted, as the guest names them.
    pub(crate) granted: Vec<String>,
    pub(crate) most: u64,
    /// The line of the configuration to change, for the error text.
    pub(crate) remedy: String,
}

impl KvAllotment {
    fn budget(&self) -> MutexGuard<'_, Budget> {
        self.budget.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the granted prefixes without those that begin with another one.
    fn outermost(&self) -> impl Iterator<Item = &String> {
        let granted = &self.granted;
        granted.iter().enumerate().filter_map(|(at, prefix)| {
            let mut others = granted.iter().enumerate();
            let is_inner = others.any(|(other, outer)| {
                other != at && prefix.starts_with(outer) && (prefix != outer || other < at)
            });
            (!is_inner).then_some(prefix)
        })
    }
}

impl FencedKv {
    pub(crate) fn new(kv: Kv, grant: &Grant, prefix: String, allotted: KvAllotment) -> Self {
        allotted.budget().enter(grant.token(), allotted.most);
        Self {
            kv,
            fence: grant.fence(),
            tenure: grant.tenure().clone(),
            prefix,
            allotted,
        }
    }

    /// Reserves room for a value of this length, after a count of the keys where one is due.
    async fn charge(&self, key: &str, value: usize) -> Result<Charge, KvError> {
        let ask = || {
            let now = self.tenure.clock().now();
            self.allotted.budget().ask(key, value, now)
        };
        let mut answer = ask();
        if answer == Admission::Count {
            let tally = self.count().await.map_err(|error| unavailable(&error))?;
            let now = self.tenure.clock().now();
            self.allotted.budget().take(tally, now);
            answer = ask();
        }
        match answer {
            Admission::Granted(charge) => Ok(charge),
            Admission::Full { used } => Err(self.describe_full(used)),
            Admission::Count => Err(self.describe_full(self.allotted.most)),
        }
    }

    /// Reads the sizes of all keys below the granted prefixes; stops beyond the limit.
    async fn count(&self) -> Result<Tally, StoreError> {
        let mut tally = self.allotted.budget().tally();
        for prefix in self.allotted.outermost() {
            let room = self.allotted.most.saturating_sub(tally.used());
            let most_keys = room / KEY_COST + 1;
            let most_bytes = usize::try_from(room).unwrap_or(usize::MAX);
            let prefix = self.full_key(prefix);
            let scan = self.kv.scan_within(
                &prefix,
                most_keys,
                most_bytes,
                Vec::new,
                |sizes: &mut Vec<(String, usize)>, kv| sizes.push((kv.key, kv.value.len())),
            );
            match scan.await {
                Ok(scan) => {
                    if scan.found.len() as u64 == most_keys {
                        tally.exceed();
                    }
                    for (key, value) in scan.found {
                        tally.add(&key, value);
                    }
                }
                Err(StoreError::TooLarge(_)) => tally.exceed(),
                Err(error) => return Err(error),
            }
        }
        Ok(tally)
    }

    fn describe_full(&self, used: u64) -> KvError {
        let KvAllotment {
            granted,
            most,
            remedy,
            ..
        } = &self.allotted;
        KvError::Full(format!(
            "the keys below {granted:?} take {used} of the {most} bytes that they may, and this write needs more: \
             delete some, or {remedy}"
        ))
    }

    /// Applies the end of a write to the budget, and returns it.
    fn settle<T>(&self, charge: Charge, end: Result<T, FencedError>) -> Result<T, KvError> {
        self.allotted.budget().settle(charge, classify_end(&end));
        end.map_err(|error| self.refuse(error))
    }

    fn full_key(&self, key: &str) -> String {
        format!("{}{key}", self.prefix)
    }

    fn to_entry(&self, kv: leasehold_lock::KeyValue) -> KvEntry {
        KvEntry {
            key: kv
                .key
                .strip_prefix(&self.prefix)
                .map_or_else(|| kv.key.clone(), str::to_owned),
            value: kv.value,
            mod_revision: kv.mod_revision,
        }
    }

    fn refuse(&self, error: FencedError) -> KvError {
        match error {
            FencedError::Stale => {
                // The store's refusal came before the watch's event.
                self.tenure.end(EndReason::TokenStale);
                KvError::Lost
            }
            FencedError::Conflict => KvError::Conflict,
            FencedError::Store(error) => unavailable(&error),
        }
    }
}

/// Returns the end of a write for the budget.
const fn classify_end<T>(end: &Result<T, FencedError>) -> Settled {
    match end {
        Ok(_) => Settled::Written,
        Err(FencedError::Store(error)) if error.is_unknown() => Settled::Unknown,
        Err(_) => Settled::Refused,
    }
}

fn unavailable(error: &StoreError) -> KvError {
    KvError::Unavailable(error.to_string())
}

impl GuestKv for FencedKv {
    fn get<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<Option<KvEntry>, KvError>> {
        Box::pin(async move {
            let found = self.kv.get(&self.full_key(key)).await;
            Ok(found
                .map_err(|error| unavailable(&error))?
                .map(|kv| self.to_entry(kv)))
        })
    }

    fn list<'a>(
        &'a self,
        prefix: &'a str,
        limit: u32,
        most_bytes: u64,
    ) -> BoxFuture<'a, Result<Vec<KvEntry>, KvError>> {
        Box::pin(async move {
            if limit == 0 {
                return Ok(Vec::new());
            }
            let (prefix, most) = (self.full_key(prefix), usize::try_from(most_bytes));
            let most = most.unwrap_or(usize::MAX);
            match self.kv.list_within(&prefix, limit, most).await {
                Ok(found) => Ok(found.into_iter().map(|kv| self.to_entry(kv)).collect()),
                Err(StoreError::TooLarge(_)) => Err(KvError::TooLarge),
                Err(error) => Err(unavailable(&error)),
            }
        })
    }

    fn put<'a>(&'a self, key: &'a str, value: Vec<u8>) -> BoxFuture<'a, Result<Revision, KvError>> {
        Box::pin(async move {
            let key = self.full_key(key);
            let charge = self.charge(&key, value.len()).await?;
            let put = self.kv.put_fenced(&self.fence, &key, &value);
            self.settle(charge, put.await)
        })
    }

    fn delete<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<bool, KvError>> {
        Box::pin(async move {
            let key = self.full_key(key);
            let end = self.kv.delete_fenced(&self.fence, &key).await;
            self.allotted.budget().deleted(&key, classify_end(&end));
            end.map_err(|error| self.refuse(error))
        })
    }

    fn compare_and_put<'a>(
        &'a self,
        key: &'a str,
        expected: Revision,
        value: Vec<u8>,
    ) -> BoxFuture<'a, Result<Revision, KvError>> {
        Box::pin(async move {
            let key = self.full_key(key);
            let charge = self.charge(&key, value.len()).await?;
            let put = self
                .kv
                .compare_and_put_fenced(&self.fence, &key, expected, &value);
            self.settle(charge, put.await)
        })
    }

    fn compare_and_delete<'a>(
        &'a self,
        key: &'a str,
        expected: Revision,
    ) -> BoxFuture<'a, Result<(), KvError>> {
        Box::pin(async move {
            let key = self.full_key(key);
            let delete = self
                .kv
                .compare_and_delete_fenced(&self.fence, &key, expected);
            let end = delete.await;
            self.allotted.budget().deleted(&key, classify_end(&end));
            end.map_err(|error| self.refuse(error))
        })
    }

    fn check(&self) -> BoxFuture<'_, Result<(), KvError>> {
        Box::pin(async move {
            match self.kv.entry_exists(&self.fence).await {
                Ok(true) => Ok(()),
                Ok(false) => Err(self.refuse(FencedError::Stale)),
                Err(error) => Err(unavailable(&error)),
            }
        })
    }
}
