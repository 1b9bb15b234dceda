//! Plain access to keys.
//!
//! Fenced access, for work under a lock, is in `fenced_kv`.

use crate::error::StoreError;
use crate::key_range::key_ranges;
use crate::pages::{PageContent, PageFacts, PageResult, PageRetry, PagedReading};
use crate::requests::{StoreReply, StoreRequests};
use etcd_client::{Compare, CompareOp, DeleteOptions, GetResponse, PutOptions, Txn, TxnOp};
use leasehold_ids::{LeaseId, Revision};

/// A key and its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyValue {
    /// The key.
    pub key: String,
    /// The value.
    pub value: Vec<u8>,
    /// The revision at which the key was created.
    pub create_revision: Revision,
    /// The revision of its last change.
    pub mod_revision: Revision,
    /// The lease that carries it, or [`LeaseId::NONE`].
    pub lease: LeaseId,
}

/// The result of reading many keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyScan<T> {
    /// The keys, or the result that `take` made of them.
    pub found: T,
    /// The revision of the reading. Where compactions kept overtaking it, the revision at which it began: some keys
    /// are then newer.
    pub revision: Revision,
    /// Keys whose values are too large to be read. They are returned with an empty value.
    pub unreadable: Vec<String>,
}

/// Access to keys. Cheap to clone.
#[derive(Clone)]
pub struct Kv {
    requests: StoreRequests,
}

impl Kv {
    pub(crate) const fn new(requests: StoreRequests) -> Self {
        Self { requests }
    }

    pub(crate) const fn requests(&self) -> &StoreRequests {
        &self.requests
    }

    /// Reads one key, linearizably.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the store does not answer or refuses.
    pub async fn get(&self, key: &str) -> Result<Option<KeyValue>, StoreError> {
        Ok(entries(&self.requests.read(key, None).await?, 0).pop())
    }

    /// Reads up to `limit` keys that begin with `prefix`, in key order; 0 is no limit.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the store does not answer or refuses, or a value is too large to be read.
    pub async fn list(&self, prefix: &str, limit: u32) -> Result<Vec<KeyValue>, StoreError> {
        self.list_within(prefix, limit, usize::MAX).await
    }

    /// As [`Kv::list`], up to `most_bytes` of names and values.
    ///
    /// # Errors
    ///
    /// As [`Kv::list`], and [`StoreError::TooLarge`] when there is more.
    pub async fn list_within(
        &self,
        prefix: &str,
        limit: u32,
        most_bytes: usize,
    ) -> Result<Vec<KeyValue>, StoreError> {
        let most = if limit == 0 {
            u64::MAX
        } else {
            u64::from(limit)
        };
        let pages = PagedReading::new(
            key_ranges(&[prefix.to_owned()], &[]),
            PageContent::Values,
            most,
        );
        let pages = pages.within(most_bytes);
        let scan = self.scan_pages(pages, Vec::new, Vec::push).await?;
        match scan.unreadable.first() {
            None => Ok(scan.found),
            Some(key) => Err(StoreError::TooLarge(format!("the value of {key}"))),
        }
    }

    /// Reads every key that begins with `prefix`, in key order and at one revision, without keeping more than
    /// `take` does. `fresh` makes the empty result; it is called again when the reading starts over.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the store does not answer or refuses.
    pub async fn scan<T>(
        &self,
        prefix: &str,
        fresh: impl Fn() -> T + Send,
        take: impl FnMut(&mut T, KeyValue) + Send,
    ) -> Result<KeyScan<T>, StoreError>
    where
        T: Send,
    {
        self.scan_within(prefix, u64::MAX, usize::MAX, fresh, take)
            .await
    }

    /// Reads every key from `from` up to but not including `end`, as [`Kv::scan`].
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the store does not answer or refuses.
    pub async fn scan_range(
        &self,
        from: &str,
        end: &str,
    ) -> Result<KeyScan<Vec<KeyValue>>, StoreError> {
        let range = (from.as_bytes().to_vec(), end.as_bytes().to_vec());
        let pages = PagedReading::new(vec![range], PageContent::Values, u64::MAX);
        self.scan_pages(pages, Vec::new, Vec::push).await
    }

    /// As [`Kv::scan`], up to `most_keys` keys and `most_bytes` of names and values.
    ///
    /// # Errors
    ///
    /// As [`Kv::scan`], and [`StoreError::TooLarge`] when there are more bytes.
    pub async fn scan_within<T>(
        &self,
        prefix: &str,
        most_keys: u64,
        most_bytes: usize,
        fresh: impl Fn() -> T + Send,
        take: impl FnMut(&mut T, KeyValue) + Send,
    ) -> Result<KeyScan<T>, StoreError>
    where
        T: Send,
    {
        let ranges = key_ranges(&[prefix.to_owned()], &[]);
        let pages = PagedReading::new(ranges, PageContent::Values, most_keys).within(most_bytes);
        self.scan_pages(pages, fresh, take).await
    }

    /// Reads the names of all keys that begin with `prefix`, in key order.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the store does not answer or refuses.
    pub async fn keys(&self, prefix: &str) -> Result<Vec<String>, StoreError> {
        let pages = PagedReading::new(
            key_ranges(&[prefix.to_owned()], &[]),
            PageContent::Names,
            u64::MAX,
        );
        let take = |keys: &mut Vec<String>, entry: KeyValue| keys.push(entry.key);
        Ok(self.scan_pages(pages, Vec::new, take).await?.found)
    }

    /// Reads the name of the first key that begins with `prefix`. A denial shows that the user may not read the
    /// prefix.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the store does not answer or refuses.
    pub async fn first_key(&self, prefix: &str) -> Result<Option<String>, StoreError> {
        let pages = PagedReading::new(key_ranges(&[prefix.to_owned()], &[]), PageContent::Names, 1);
        let take = |keys: &mut Vec<String>, entry: KeyValue| keys.push(entry.key);
        Ok(self.scan_pages(pages, Vec::new, take).await?.found.pop())
    }

    /// Reads the name of the first key from `from` up to but not including `end`.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the store does not answer or refuses.
    pub async fn first_key_in(&self, from: &str, end: &str) -> Result<Option<String>, StoreError> {
        let range = (from.as_bytes().to_vec(), end.as_bytes().to_vec());
        let pages = PagedReading::new(vec![range], PageContent::Names, 1);
        let take = |keys: &mut Vec<String>, entry: KeyValue| keys.push(entry.key);
        Ok(self.scan_pages(pages, Vec::new, take).await?.found.pop())
    }

    /// Writes one key if its last change was at `expected`. Returns true if it was.
    ///
    /// # Errors
    ///
    /// [`StoreError`]; an unknown one may have been carried out.
    pub async fn compare_and_put(
        &self,
        key: &str,
        expected: Revision,
        value: &[u8],
    ) -> Result<bool, StoreError> {
        let unchanged = unchanged_since(key, expected);
        let txn = Txn::new()
            .when([unchanged])
            .and_then([put(key, value, LeaseId::NONE)]);
        Ok(self.requests.txn(txn).await?.succeeded)
    }

    /// As [`Kv::compare_and_put`], under `lease`. `expected` is [`Revision::NONE`] for a key that does not exist.
    ///
    /// # Errors
    ///
    /// [`StoreError`]; an unknown one may have been carried out.
    pub async fn compare_and_put_leased(
        &self,
        key: &str,
        expected: Revision,
        value: &[u8],
        lease: LeaseId,
    ) -> Result<bool, StoreError> {
        let unchanged = unchanged_since(key, expected);
        let write = put(key, value, lease);
        let txn = Txn::new().when([unchanged]).and_then([write]);
        Ok(self.requests.txn(txn).await?.succeeded)
    }

    /// Reads every key that begins with one of `prefixes` and with none of `except`, all at one revision.
    pub(crate) async fn read_all(
        &self,
        prefixes: &[String],
        except: &[String],
    ) -> Result<KeyScan<Vec<KeyValue>>, StoreError> {
        let pages = PagedReading::new(key_ranges(prefixes, except), PageContent::Values, u64::MAX);
        self.scan_pages(pages, Vec::new, Vec::push).await
    }

    /// The path of every reading of more than one key: a store may hold more than fits one message.
    async fn scan_pages<T: Send>(
        &self,
        mut pages: PagedReading,
        fresh: impl Fn() -> T + Send,
        mut take: impl FnMut(&mut T, KeyValue) + Send,
    ) -> Result<KeyScan<T>, StoreError> {
        let (mut found, mut unreadable) = (fresh(), Vec::new());
        while let Some(page) = pages.request() {
            match self
                .requests
                .read(page.from.clone(), Some(page.options()))
                .await
            {
                Ok(reply) => {
                    let is_unreadable = pages.took(facts(&reply)) == PageResult::Unreadable;
                    for entry in entries(&reply, 0) {
                        if is_unreadable {
                            tracing::debug!(key = entry.key, "a value is too large to be read");
                            unreadable.push(entry.key.clone());
                        }
                        take(&mut found, entry);
                    }
                    if pages.is_over() {
                        let read = "more than may be read at once";
                        return Err(StoreError::TooLarge(read.to_owned()));
                    }
                }
                Err(error) => match pages.failed(&error) {
                    PageRetry::Again => {}
                    PageRetry::FromTheStart => (found, unreadable) = (fresh(), Vec::new()),
                    PageRetry::Never => return Err(error),
                },
            }
        }
        Ok(KeyScan {
            found,
            revision: pages.revision(),
            unreadable,
        })
    }

    /// Writes one key, under `lease` unless that is [`LeaseId::NONE`]. Returns the revision of the write.
    ///
    /// # Errors
    ///
    /// [`StoreError`]; an unknown one may have been carried out.
    pub async fn put(
        &self,
        key: &str,
        value: &[u8],
        lease: LeaseId,
    ) -> Result<Revision, StoreError> {
        let options = on_lease(lease);
        let put = || {
            let (mut kv, options) = (self.requests.client().kv_client(), options.clone());
            async move { kv.put(key, value, options).await }
        };
        let reply = self.requests.send(put).await?;
        self.requests.revision(reply.header())
    }

    /// Deletes one key. Returns true if it existed.
    ///
    /// # Errors
    ///
    /// [`StoreError`]; an unknown one may have been carried out.
    pub async fn delete(&self, key: &str) -> Result<bool, StoreError> {
        let txn = Txn::new().and_then([TxnOp::delete(key, None)]);
        Ok(self.requests.txn(txn).await?.deleted(0) > 0)
    }

    /// Deletes every key from `from` up to but not including `end`. Returns their number.
    ///
    /// # Errors
    ///
    /// [`StoreError`]; an unknown one may have been carried out.
    pub async fn delete_range(&self, from: &str, end: &str) -> Result<i64, StoreError> {
        let options = DeleteOptions::new().with_range(end);
        let txn = Txn::new().and_then([TxnOp::delete(from, Some(options))]);
        Ok(self.requests.txn(txn).await?.deleted(0))
    }
}

pub(crate) fn put(key: &str, value: &[u8], lease: LeaseId) -> TxnOp {
    TxnOp::put(key, value, on_lease(lease))
}

/// Options of a write under a lease; none without one.
fn on_lease(lease: LeaseId) -> Option<PutOptions> {
    (!lease.is_none()).then(|| PutOptions::new().with_lease(lease.get()))
}

/// The condition that the last change of a key was at `revision`.
pub(crate) fn unchanged_since(key: &str, revision: Revision) -> Compare {
    Compare::mod_revision(key, CompareOp::Equal, revision.get())
}

/// Facts about a page, keys that are not text included.
fn facts(reply: &StoreReply) -> PageFacts {
    let range = reply.range(0);
    let kvs = range.map_or(&[][..], GetResponse::kvs);
    PageFacts {
        revision: reply.revision,
        keys: u64::try_from(kvs.len()).unwrap_or(u64::MAX),
        bytes: kvs.iter().map(|kv| kv.key().len() + kv.value().len()).sum(),
        last: kvs.last().map(|kv| kv.key().to_vec()),
        more: range.is_some_and(GetResponse::more),
    }
}

pub(crate) fn entries(reply: &StoreReply, at: usize) -> Vec<KeyValue> {
    let Some(range) = reply.range(at) else {
        return Vec::new();
    };
    range
        .kvs()
        .iter()
        .filter_map(|kv| {
            Some(KeyValue {
                key: kv.key_str().ok()?.to_owned(),
                value: kv.value().to_vec(),
                create_revision: Revision::new(kv.create_revision()),
                mod_revision: Revision::new(kv.mod_revision()),
                lease: LeaseId::new(kv.lease()),
            })
        })
        .collect()
}
