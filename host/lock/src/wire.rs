//! The requests we make, each with a time limit and a typed answer.
//!
//! Every request that decides ownership is a transaction or a linearizable read. The server-side
//! Lock RPC is never used: etcd 3.4 grants it to waiters whose lease has expired.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use etcd_client::{
    Client, Compare, CompareOp, GetOptions, GetResponse, PutOptions, ResponseHeader, SortOrder,
    SortTarget, Txn, TxnOp, TxnOpResponse,
};

use crate::error::StoreError;
use crate::link::Link;

/// Which store this is and how far it has come, as far as this client has seen.
#[derive(Debug, Default)]
pub(crate) struct Identity {
    cluster: AtomicU64,
    seen: AtomicI64,
}

impl Identity {
    /// The highest revision that any reply has shown: transactions, renewals and watches alike. A reply
    /// may lag behind the store, never run ahead of it.
    pub(crate) fn seen(&self) -> i64 {
        self.seen.load(Ordering::Acquire)
    }

    fn saw(&self, revision: i64) {
        self.seen.fetch_max(revision, Ordering::AcqRel);
    }

    /// Remembers the first cluster it meets, and the revision of every reply that comes from it. False
    /// for a reply of another cluster.
    pub(crate) fn is_same_cluster(&self, header: Option<&ResponseHeader>) -> bool {
        let Some(header) = header.filter(|header| header.cluster_id() != 0) else {
            return true;
        };
        let id = header.cluster_id();
        let known = self
            .cluster
            .compare_exchange(0, id, Ordering::AcqRel, Ordering::Acquire);
        let is_ours = known.is_ok() || known == Err(id);
        if is_ours {
            self.saw(header.revision());
        }
        is_ours
    }

    pub(crate) fn cluster(&self) -> u64 {
        self.cluster.load(Ordering::Acquire)
    }
}

/// One entry of a queue as a read shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Line {
    pub(crate) key: String,
    pub(crate) create: i64,
}

/// When an entry may be put into a queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Always, behind whoever is there.
    Queue,
    /// Only if nobody is there; otherwise nothing changes.
    OnlyIfFree,
}

/// An entry about to be put into a queue.
pub(crate) struct NewEntry<'a> {
    pub(crate) prefix: &'a str,
    pub(crate) key: &'a str,
    pub(crate) value: &'a [u8],
    pub(crate) lease: i64,
    pub(crate) mode: Mode,
    pub(crate) look: Look,
}

/// What is read of a queue in the round trip that puts an entry there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Look {
    /// Nothing. With [`Mode::OnlyIfFree`] an entry that was put is the only one. Reading it along, or merely
    /// counting, would cost etcd 5 to 10 % of the whole request.
    Nothing,
    /// So many of the youngest entries.
    Youngest(usize),
}

/// What enqueueing found.
#[derive(Debug)]
pub(crate) struct Enqueued {
    /// Our entry's create revision, if our entry now exists.
    pub(crate) create: Option<i64>,
    /// The revision at which all this was true.
    pub(crate) as_of: i64,
    /// Entries of the lock known from this reply, oldest first, ours included.
    pub(crate) lines: Vec<Line>,
    /// Whether the lock has more entries than `lines` shows (older ones are the ones left out).
    pub(crate) truncated: bool,
    /// All keys under the lock, nested ones included.
    pub(crate) total: usize,
}

/// A connection with our manners: time limits, identity, typed answers. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Wire {
    link: Arc<Link>,
    identity: Arc<Identity>,
    timeout: Duration,
}

/// More entries than this and a newcomer does not follow every change, only those next to it.
///
/// Each hand-off costs one message per follower: up to here that is cheaper than re-reading, and
/// beyond it the store's time goes into telling people about places they are not near.
pub(crate) const FOLLOW_ALL: usize = 32;

impl Wire {
    pub(crate) fn new(link: Link, identity: Arc<Identity>, timeout: Duration) -> Self {
        Self {
            link: Arc::new(link),
            identity,
            timeout,
        }
    }

    pub(crate) fn client(&self) -> &Client {
        self.link.client()
    }

    pub(crate) fn link(&self) -> &Link {
        &self.link
    }

    pub(crate) const fn identity(&self) -> &Arc<Identity> {
        &self.identity
    }

    /// Waits for one reply, for as long as a reply may take. Asks a second time, after logging in again,
    /// when the store no longer knows our login.
    pub(crate) async fn ask<T, F>(&self, request: impl Fn() -> F) -> Result<T, StoreError>
    where
        F: Future<Output = Result<T, etcd_client::Error>>,
    {
        match self.ask_once(request()).await {
            Err(error) if error.is_stale_login() => {}
            reply => return reply,
        }
        // The client logs in again when a token has expired, but not when users have changed since it was
        // given. The store looks at that before it does anything, so nothing was done.
        let login = self.client().refresh_token();
        let _ = tokio::time::timeout(self.timeout, login).await;
        match self.ask_once(request()).await {
            Err(error) if error.is_stale_login() => {
                Err(StoreError::Unknown(format!("{error} (logged in again)")))
            }
            reply => reply,
        }
    }

    async fn ask_once<T>(
        &self,
        request: impl Future<Output = Result<T, etcd_client::Error>>,
    ) -> Result<T, StoreError> {
        let at = self.link.at();
        let reply = match tokio::time::timeout(self.timeout, request).await {
            Ok(reply) => reply.map_err(StoreError::from),
            Err(_) => Err(StoreError::timed_out(self.timeout)),
        };
        if reply.as_ref().is_err_and(StoreError::blames_endpoint) {
            self.link.move_on(at).await;
        }
        reply
    }

    pub(crate) async fn txn(&self, txn: Txn) -> Result<Reply, StoreError> {
        let ask = || {
            let (mut kv, txn) = (self.client().kv_client(), txn.clone());
            async move { kv.txn(txn).await }
        };
        let reply = self.ask(ask).await?;
        Ok(Reply {
            succeeded: reply.succeeded(),
            revision: self.revision(reply.header())?,
            parts: reply.op_responses(),
        })
    }

    /// Reads one range, linearizably, and hands it back as part 0.
    ///
    /// Whatever only reads must come this way: etcd 3.5 before 3.5.5 dies of a transaction that only reads
    /// when whoever sent it goes away while it is carried out (its issue 14110).
    pub(crate) async fn read(
        &self,
        key: impl Into<Vec<u8>>,
        options: Option<GetOptions>,
    ) -> Result<Reply, StoreError> {
        let key = key.into();
        let ask = || {
            let (mut kv, key, options) = (self.client().kv_client(), key.clone(), options.clone());
            async move { kv.get(key, options).await }
        };
        let reply = self.ask(ask).await?;
        Ok(Reply {
            succeeded: true,
            revision: self.revision(reply.header())?,
            parts: vec![TxnOpResponse::Get(reply)],
        })
    }

    /// The revision of a reply, unless another cluster sent it.
    fn revision(&self, header: Option<&ResponseHeader>) -> Result<i64, StoreError> {
        if self.identity.is_same_cluster(header) {
            Ok(header.map_or(0, ResponseHeader::revision))
        } else {
            Err(StoreError::Unknown(
                "another cluster answered at this address".into(),
            ))
        }
    }

    /// Puts our entry into the queue of `prefix` and reads the queue's tail, in one round trip.
    ///
    /// Repeating it is safe: an entry that is already ours is found, not made twice.
    pub(crate) async fn enqueue(&self, entry: &NewEntry<'_>) -> Result<Enqueued, StoreError> {
        let unless = match entry.mode {
            Mode::Queue => Compare::create_revision(entry.key, CompareOp::Equal, 0),
            Mode::OnlyIfFree => {
                Compare::create_revision(entry.prefix, CompareOp::Equal, 0).with_prefix()
            }
        };
        let leased = PutOptions::new().with_lease(entry.lease);
        let put = TxnOp::put(entry.key, entry.value, Some(leased));
        let txn = Txn::new().when([unless]);
        let txn = match entry.look {
            Look::Nothing => txn.and_then([put]),
            Look::Youngest(limit) => {
                let youngest = tail(entry.prefix, limit);
                txn.and_then([put, youngest.clone()])
                    .or_else([TxnOp::get(entry.key, None), youngest])
            }
        };
        let reply = self.txn(txn).await?;
        let create = if reply.succeeded {
            Some(reply.revision)
        } else {
            // The entry is ours only if our lease carries it; a stranger's key of that name is not.
            reply
                .range(0)
                .and_then(|range| range.kvs().first())
                .filter(|kv| kv.lease() == entry.lease)
                .map(etcd_client::KeyValue::create_revision)
        };
        Ok(reply.enqueued(entry, create))
    }

    /// Deletes the entry `(key, create)` and nothing else. `Ok` means it is certainly gone.
    pub(crate) async fn delete_entry(&self, key: &str, create: i64) -> Result<(), StoreError> {
        let txn = Txn::new()
            .when([Compare::create_revision(key, CompareOp::Equal, create)])
            .and_then([TxnOp::delete(key, None)]);
        self.txn(txn).await.map(drop)
    }

    /// Reads the queue up to the entry born at `youngest`, oldest first.
    pub(crate) async fn queue(
        &self,
        prefix: &str,
        youngest: i64,
    ) -> Result<(i64, Vec<Line>), StoreError> {
        let options = GetOptions::new()
            .with_prefix()
            .with_keys_only()
            .with_max_create_revision(youngest);
        let reply = self.read(prefix, Some(options)).await?;
        let lines = reply
            .range(0)
            .map_or_else(Vec::new, |range| lines_of(range, prefix));
        Ok((reply.revision, lines))
    }

    /// Reads the create revision of `key` if `lease` carries it.
    pub(crate) async fn own_create(
        &self,
        key: &str,
        lease: i64,
    ) -> Result<Option<i64>, StoreError> {
        let reply = self.read(key, None).await?;
        Ok(reply
            .range(0)
            .and_then(|range| range.kvs().first())
            .filter(|kv| kv.lease() == lease)
            .map(etcd_client::KeyValue::create_revision))
    }

    /// Whether the entry `(key, create)` stands.
    pub(crate) async fn stands(&self, key: &str, create: i64) -> Result<bool, StoreError> {
        let keys_only = GetOptions::new().with_keys_only();
        let reply = self.read(key, Some(keys_only)).await?;
        let found = reply.range(0).and_then(|range| range.kvs().first());
        Ok(found.is_some_and(|kv| kv.create_revision() == create))
    }

    /// Reads, at one revision, whether the entry `(key, create)` stands, and the youngest entries ahead.
    pub(crate) async fn ahead(
        &self,
        prefix: &str,
        key: &str,
        create: i64,
    ) -> Result<(i64, bool, Vec<Line>), StoreError> {
        for limit in [2, 0] {
            // No key is younger among these, so the first of them is the entry, if it stands.
            let options = GetOptions::new()
                .with_prefix()
                .with_keys_only()
                .with_sort(SortTarget::Create, SortOrder::Descend)
                .with_max_create_revision(create)
                .with_limit(limit);
            let reply = self.read(prefix, Some(options)).await?;
            let Some(range) = reply.range(0) else {
                continue;
            };
            let mut lines = lines_of(range, prefix);
            let stands = lines
                .pop_if(|line| line.create == create && line.key == key)
                .is_some();
            // Keys of deeper locks may have taken the few lines that were asked for.
            if !lines.is_empty() || !range.more() {
                return Ok((reply.revision, stands, lines));
            }
        }
        Err(StoreError::Unknown("the reply was incomplete".into()))
    }
}

/// The answer to a transaction or a reading.
pub(crate) struct Reply {
    pub(crate) succeeded: bool,
    pub(crate) revision: i64,
    parts: Vec<TxnOpResponse>,
}

impl Reply {
    pub(crate) fn range(&self, at: usize) -> Option<&GetResponse> {
        match self.parts.get(at) {
            Some(TxnOpResponse::Get(range)) => Some(range),
            _ => None,
        }
    }

    pub(crate) fn deleted(&self, at: usize) -> i64 {
        match self.parts.get(at) {
            Some(TxnOpResponse::Delete(delete)) => delete.deleted(),
            _ => 0,
        }
    }

    fn enqueued(&self, entry: &NewEntry<'_>, create: Option<i64>) -> Enqueued {
        let range = self.range(1);
        let (lines, total) = match (entry.look, create, range) {
            (Look::Nothing, Some(create), _) => {
                let own = Line {
                    key: entry.key.to_owned(),
                    create,
                };
                (vec![own], 1)
            }
            (_, _, Some(range)) => (
                lines_of(range, entry.prefix),
                usize::try_from(range.count()).unwrap_or(0),
            ),
            (_, _, None) => (Vec::new(), 0),
        };
        Enqueued {
            create,
            as_of: self.revision,
            lines,
            truncated: range.is_some_and(GetResponse::more),
            total,
        }
    }
}

/// Reads the youngest entries of a queue.
fn tail(prefix: &str, limit: usize) -> TxnOp {
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let options = GetOptions::new()
        .with_prefix()
        .with_keys_only()
        .with_sort(SortTarget::Create, SortOrder::Descend)
        .with_limit(limit);
    TxnOp::get(prefix, Some(options))
}

/// The direct children of `prefix`, oldest first. Deeper keys belong to other locks, and a key that
/// is not text can be no client's entry.
fn lines_of(range: &GetResponse, prefix: &str) -> Vec<Line> {
    let mut lines: Vec<Line> = range
        .kvs()
        .iter()
        .filter_map(|kv| {
            let key = kv.key_str().ok()?;
            is_entry(key, prefix).then(|| Line {
                key: key.to_owned(),
                create: kv.create_revision(),
            })
        })
        .collect();
    lines.sort_by_key(|line| line.create);
    lines
}

/// Whether `key` is a queue entry of the lock whose keys begin with `prefix` (which ends in `/`).
pub(crate) fn is_entry(key: &str, prefix: &str) -> bool {
    key.strip_prefix(prefix)
        .is_some_and(|rest| !rest.is_empty() && !rest.contains('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_direct_children_are_entries() {
        assert!(is_entry("/l/a/694d", "/l/a/"));
        assert!(!is_entry("/l/a/b/694d", "/l/a/"));
        assert!(!is_entry("/l/a/", "/l/a/"));
        assert!(!is_entry("/l/ab/694d", "/l/a/"));
    }
}
