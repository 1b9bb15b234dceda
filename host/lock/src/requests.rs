//! The requests we make, each with a time limit and a typed answer.
//!
//! Every request that decides ownership is a transaction or a linearizable read. The server-side
//! Lock RPC is never used: etcd 3.4 grants it to waiters whose lease has expired.

use std::convert::Infallible;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use etcd_client::{
    Client, Compare, CompareOp, GetOptions, GetResponse, PutOptions, ResponseHeader, SortOrder,
    SortTarget, Txn, TxnOp, TxnOpResponse,
};

use tokio::time::Instant;

use crate::connectivity::ConnectivityMonitor;
use crate::error::StoreError;
use crate::identity::{SeenRevision, StoreIdentity};
use crate::link::StoreLink;
use crate::renewal::ReplyOrigin;

/// One entry of a queue as a read shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct QueueKey {
    pub(crate) key: String,
    pub(crate) create_revision: i64,
}

/// When an entry may be put into a queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EnqueueMode {
    /// Always, behind whoever is there.
    Always,
    /// Only if nobody is there; otherwise nothing changes.
    OnlyIfFree,
}

/// An entry about to be put into a queue.
pub(crate) struct NewEntry<'a> {
    pub(crate) prefix: &'a str,
    pub(crate) key: &'a str,
    pub(crate) value: &'a [u8],
    pub(crate) lease: i64,
    pub(crate) mode: EnqueueMode,
    pub(crate) tail: TailRead,
}

/// What is read of a queue in the round trip that puts an entry there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TailRead {
    /// Nothing. With [`EnqueueMode::OnlyIfFree`] an entry that was put is the only one. Reading it along, or merely
    /// counting, would cost etcd 5 to 10 % of the whole request.
    Nothing,
    /// So many of the youngest entries.
    Youngest(usize),
}

/// What enqueueing found.
#[derive(Debug)]
pub(crate) struct Enqueued {
    /// Our entry's create revision, if our entry now exists.
    pub(crate) create_revision: Option<i64>,
    /// True if this very request made it, not an earlier one whose answer was lost.
    pub(crate) created_now: bool,
    /// The revision at which all this was true.
    pub(crate) as_of: i64,
    /// Entries of the lock known from this reply, oldest first, ours included.
    pub(crate) entries: Vec<QueueKey>,
    /// Whether the lock has more entries than `entries` shows (older ones are the ones left out).
    pub(crate) truncated: bool,
    /// All keys under the lock, nested ones included.
    pub(crate) total: usize,
}

/// A connection with our manners: time limits, identity, typed answers. Cheap to clone.
#[derive(Clone)]
pub(crate) struct StoreRequests {
    link: Arc<StoreLink>,
    identity: Arc<StoreIdentity>,
    connectivity: Arc<ConnectivityMonitor>,
    timeout: Duration,
    /// A key that may be read, to find out whether the store answers.
    probe_key: Arc<str>,
}

/// A reply is late after this fraction of the time it may take.
const LATE: u32 = 4;

/// More entries than this and a newcomer does not follow every change, only those next to it.
///
/// Each hand-off costs one message per follower: up to here that is cheaper than re-reading, and
/// beyond it the store's time goes into telling people about places they are not near.
pub(crate) const FOLLOW_ALL: usize = 32;

impl StoreRequests {
    pub(crate) fn new(
        link: StoreLink,
        identity: Arc<StoreIdentity>,
        connectivity: Arc<ConnectivityMonitor>,
        timeout: Duration,
        probe_key: &str,
    ) -> Self {
        Self {
            link: Arc::new(link),
            identity,
            connectivity,
            timeout,
            probe_key: probe_key.into(),
        }
    }

    pub(crate) fn probe_key(&self) -> &str {
        &self.probe_key
    }

    pub(crate) fn client(&self) -> Arc<Client> {
        self.link.client()
    }

    pub(crate) fn link(&self) -> &StoreLink {
        &self.link
    }

    pub(crate) const fn identity(&self) -> &Arc<StoreIdentity> {
        &self.identity
    }

    /// The observer that every outcome is reported to.
    pub(crate) const fn connectivity(&self) -> &Arc<ConnectivityMonitor> {
        &self.connectivity
    }

    /// Waits for one reply, for as long as a reply may take. Asks a second time, after logging in again,
    /// when the store no longer knows our login.
    pub(crate) async fn send<T, F>(&self, request: impl Fn() -> F) -> Result<T, StoreError>
    where
        F: Future<Output = Result<T, etcd_client::Error>>,
    {
        let at = self.link.at();
        match self.send_once(at, request()).await {
            Err(error) if error.is_stale_login() || error.is_wrong_password() => {}
            reply => return reply,
        }
        // The client logs in again when a token has expired, with the password that it had then, but not when
        // users have changed since. The store looks at that before it does anything, so nothing was done.
        let login = self.link.log_in();
        let _ = tokio::time::timeout(self.timeout, login).await;
        let at = self.link.at();
        match self.send_once(at, request()).await {
            Err(error) if error.is_stale_login() => {
                Err(StoreError::Unknown(format!("{error} (logged in again)")))
            }
            reply => reply,
        }
    }

    /// Waits for one reply to a request that goes to the endpoint in use at `at`. While it is late, the other
    /// endpoints are asked whether they work, so that the next request goes to one that does.
    async fn send_once<T>(
        &self,
        at: usize,
        request: impl Future<Output = Result<T, etcd_client::Error>>,
    ) -> Result<T, StoreError> {
        let sent = Instant::now();
        self.connectivity.request_sent();
        let seek_other = async {
            if self.link.has_others() {
                tokio::time::sleep(self.timeout / LATE).await;
                self.link.seek_other(at).await;
            }
            std::future::pending::<Infallible>().await
        };
        let reply = tokio::select! {
            biased;
            reply = tokio::time::timeout(self.timeout, request) => reply,
            never = seek_other => match never {},
        };
        let reply = match reply {
            Ok(reply) => reply.map_err(StoreError::from),
            Err(_) => Err(StoreError::timed_out(self.timeout)),
        };
        if reply.as_ref().is_err_and(StoreError::blames_endpoint) {
            self.connectivity.request_failed();
            self.link.leave_endpoint(at, sent).await;
        } else {
            self.connectivity.request_answered();
        }
        reply
    }

    pub(crate) async fn txn(&self, txn: Txn) -> Result<StoreReply, StoreError> {
        let ask = || {
            let (mut kv, txn) = (self.client().kv_client(), txn.clone());
            async move { kv.txn(txn).await }
        };
        let before = self.identity.before_sending();
        let reply = self.send(ask).await?;
        let revision = self.linearizable(reply.header(), before)?;
        Ok(StoreReply {
            succeeded: reply.succeeded(),
            revision,
            origin: origin(reply.header()),
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
    ) -> Result<StoreReply, StoreError> {
        let key = key.into();
        let ask = || {
            let (mut kv, key, options) = (self.client().kv_client(), key.clone(), options.clone());
            async move { kv.get(key, options).await }
        };
        let before = self.identity.before_sending();
        let reply = self.send(ask).await?;
        self.read_reply(reply, before)
    }

    /// Reads one key as [`StoreRequests::read`] does, but waits for the reply as long as `patience`, and leaves the link
    /// where it is: the caller decides what a late reply means.
    pub(crate) async fn read_patiently(
        &self,
        key: String,
        patience: Duration,
    ) -> Result<StoreReply, StoreError> {
        let before = self.identity.before_sending();
        let read = async || {
            let keys_only = GetOptions::new().with_keys_only().with_limit(1);
            let mut kv = self.client().kv_client();
            let reply = kv.get(key.as_str(), Some(keys_only)).await;
            reply.map_err(StoreError::from)
        };
        let twice = async {
            match read().await {
                Err(error) if error.is_stale_login() || error.is_wrong_password() => {
                    self.link.log_in().await?;
                    read().await
                }
                reply => reply,
            }
        };
        self.connectivity.request_sent();
        let reply = match tokio::time::timeout(patience, twice).await {
            Ok(reply) => reply,
            Err(_) => Err(StoreError::timed_out(patience)),
        };
        if reply.as_ref().is_err_and(StoreError::is_unknown) {
            self.connectivity.request_failed();
        } else {
            self.connectivity.request_answered();
        }
        self.read_reply(reply?, before)
    }

    fn read_reply(
        &self,
        reply: GetResponse,
        before: SeenRevision,
    ) -> Result<StoreReply, StoreError> {
        let revision = self.linearizable(reply.header(), before)?;
        Ok(StoreReply {
            succeeded: true,
            revision,
            origin: origin(reply.header()),
            parts: vec![TxnOpResponse::Get(reply)],
        })
    }

    /// The revision of a linearizable reply to a request that was sent when `before` was known. A header that
    /// names no cluster is no store's, and shows nothing.
    fn linearizable(
        &self,
        header: Option<&ResponseHeader>,
        before: SeenRevision,
    ) -> Result<i64, StoreError> {
        let revision = self.revision(header)?;
        if header.is_some_and(|header| header.cluster_id() != 0) {
            self.identity.judge(revision, before);
        }
        Ok(revision)
    }

    /// The time that the store still gives `lease`, rounded down to whole seconds, and the member that answered.
    /// Zero when the lease does not exist there.
    pub(crate) async fn remaining(
        &self,
        lease: i64,
        patience: Duration,
    ) -> Result<(Duration, ReplyOrigin), StoreError> {
        let mut leases = self.client().lease_client();
        let reply = match tokio::time::timeout(patience, leases.time_to_live(lease, None)).await {
            Ok(reply) => reply?,
            Err(_) => return Err(StoreError::timed_out(patience)),
        };
        self.revision(reply.header())?;
        let left = Duration::from_secs(u64::try_from(reply.ttl()).unwrap_or(0));
        Ok((left, origin(reply.header())))
    }

    /// The revision of a reply, unless another cluster sent it.
    pub(crate) fn revision(&self, header: Option<&ResponseHeader>) -> Result<i64, StoreError> {
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
            EnqueueMode::Always => Compare::create_revision(entry.key, CompareOp::Equal, 0),
            EnqueueMode::OnlyIfFree => {
                Compare::create_revision(entry.prefix, CompareOp::Equal, 0).with_prefix()
            }
        };
        let leased = PutOptions::new().with_lease(entry.lease);
        let put = TxnOp::put(entry.key, entry.value, Some(leased));
        let txn = Txn::new().when([unless]);
        let txn = match entry.tail {
            TailRead::Nothing => txn.and_then([put]),
            TailRead::Youngest(limit) => {
                let youngest = tail(entry.prefix, limit);
                txn.and_then([put, youngest.clone()])
                    .or_else([TxnOp::get(entry.key, None), youngest])
            }
        };
        let reply = self.txn(txn).await?;
        let create_revision = if reply.succeeded {
            Some(reply.revision)
        } else {
            // The entry is ours only if our lease carries it; a stranger's key of that name is not.
            reply
                .range(0)
                .and_then(|range| range.kvs().first())
                .filter(|kv| kv.lease() == entry.lease)
                .map(etcd_client::KeyValue::create_revision)
        };
        Ok(reply.enqueued(entry, create_revision))
    }

    /// Deletes the entry `(key, create_revision)` and nothing else. `Ok` means it is certainly gone.
    pub(crate) async fn delete_entry(
        &self,
        key: &str,
        create_revision: i64,
    ) -> Result<(), StoreError> {
        let exists = Compare::create_revision(key, CompareOp::Equal, create_revision);
        let txn = Txn::new()
            .when([exists])
            .and_then([TxnOp::delete(key, None)]);
        self.txn(txn).await.map(drop)
    }

    /// Reads the names and create revisions of up to `limit` keys from `from` up to but not including `end`, in
    /// key order: the revision of the reading, the keys, and whether there are more.
    pub(crate) async fn keys_between(
        &self,
        from: &str,
        end: Vec<u8>,
        limit: usize,
    ) -> Result<(i64, Vec<QueueKey>, bool), StoreError> {
        let options = GetOptions::new()
            .with_range(end)
            .with_keys_only()
            .with_limit(i64::try_from(limit).unwrap_or(i64::MAX));
        let reply = self.read(from, Some(options)).await?;
        let Some(range) = reply.range(0) else {
            return Err(StoreError::Unknown("the reply was incomplete".into()));
        };
        let entries = range.kvs().iter().filter_map(|kv| {
            Some(QueueKey {
                key: kv.key_str().ok()?.to_owned(),
                create_revision: kv.create_revision(),
            })
        });
        Ok((reply.revision, entries.collect(), range.more()))
    }

    /// Reads the queue up to the entry born at `youngest`, oldest first.
    pub(crate) async fn queue(
        &self,
        prefix: &str,
        youngest: i64,
    ) -> Result<(i64, Vec<QueueKey>), StoreError> {
        let options = GetOptions::new()
            .with_prefix()
            .with_keys_only()
            .with_max_create_revision(youngest);
        let reply = self.read(prefix, Some(options)).await?;
        let entries = reply
            .range(0)
            .map_or_else(Vec::new, |range| entries_of(range, prefix));
        Ok((reply.revision, entries))
    }

    /// Reads the create revision of `key` if `lease` carries it.
    pub(crate) async fn own_create_revision(
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

    /// Whether the entry `(key, create_revision)` stands.
    pub(crate) async fn entry_exists(
        &self,
        key: &str,
        create_revision: i64,
    ) -> Result<bool, StoreError> {
        let keys_only = GetOptions::new().with_keys_only();
        let reply = self.read(key, Some(keys_only)).await?;
        let found = reply.range(0).and_then(|range| range.kvs().first());
        Ok(found.is_some_and(|kv| kv.create_revision() == create_revision))
    }

    /// Reads, at one revision, whether the entry `(key, create_revision)` stands, and the youngest entries ahead.
    pub(crate) async fn ahead(
        &self,
        prefix: &str,
        key: &str,
        create_revision: i64,
    ) -> Result<(i64, bool, Vec<QueueKey>), StoreError> {
        for limit in [2, 0] {
            // No key is younger among these, so the first of them is the entry, if it stands.
            let options = GetOptions::new()
                .with_prefix()
                .with_keys_only()
                .with_sort(SortTarget::Create, SortOrder::Descend)
                .with_max_create_revision(create_revision)
                .with_limit(limit);
            let reply = self.read(prefix, Some(options)).await?;
            let Some(range) = reply.range(0) else {
                continue;
            };
            let mut entries = entries_of(range, prefix);
            let exists = entries
                .pop_if(|entry| entry.create_revision == create_revision && entry.key == key)
                .is_some();
            // Keys of deeper locks may have taken the few lines that were asked for.
            if !entries.is_empty() || !range.more() {
                return Ok((reply.revision, exists, entries));
            }
        }
        Err(StoreError::Unknown("the reply was incomplete".into()))
    }
}

/// The answer to a transaction or a reading.
pub(crate) struct StoreReply {
    pub(crate) succeeded: bool,
    pub(crate) revision: i64,
    pub(crate) origin: ReplyOrigin,
    parts: Vec<TxnOpResponse>,
}

impl StoreReply {
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

    fn enqueued(&self, entry: &NewEntry<'_>, create_revision: Option<i64>) -> Enqueued {
        let range = self.range(1);
        let (entries, total) = match (entry.tail, create_revision, range) {
            (TailRead::Nothing, Some(create_revision), _) => {
                let own = QueueKey {
                    key: entry.key.to_owned(),
                    create_revision,
                };
                (vec![own], 1)
            }
            (_, _, Some(range)) => (
                entries_of(range, entry.prefix),
                usize::try_from(range.count()).unwrap_or(0),
            ),
            (_, _, None) => (Vec::new(), 0),
        };
        Enqueued {
            create_revision,
            created_now: self.succeeded,
            as_of: self.revision,
            entries,
            truncated: range.is_some_and(GetResponse::more),
            total,
        }
    }
}

/// The member and the term that a header names.
pub(crate) fn origin(header: Option<&ResponseHeader>) -> ReplyOrigin {
    header.map_or(ReplyOrigin { member: 0, term: 0 }, |header| ReplyOrigin {
        member: header.member_id(),
        term: header.raft_term(),
    })
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
fn entries_of(range: &GetResponse, prefix: &str) -> Vec<QueueKey> {
    let mut entries: Vec<QueueKey> = range
        .kvs()
        .iter()
        .filter_map(|kv| {
            let key = kv.key_str().ok()?;
            is_entry(key, prefix).then(|| QueueKey {
                key: key.to_owned(),
                create_revision: kv.create_revision(),
            })
        })
        .collect();
    entries.sort_by_key(|entry| entry.create_revision);
    entries
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
