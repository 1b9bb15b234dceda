//! Requests to the store, each with a time limit and a typed answer.
//!
//! Every request that decides ownership is a transaction or a linearizable read. The server-side
//! Lock RPC is never used: etcd 3.4 grants it to waiters whose lease has expired.

use etcd_client::{Client, GetOptions, GetResponse, ResponseHeader, Txn, TxnOpResponse};
use std::convert::Infallible;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use crate::connectivity::ConnectivityMonitor;
use crate::error::StoreError;
use crate::identity::{SeenRevision, StoreIdentity};
use crate::link::StoreLink;
use crate::observer::ObserverHandle;
use crate::renewal::ReplyOrigin;
use leasehold_ids::{LeaseId, Revision};
use tokio::time::Instant;

mod reply;

pub(crate) use reply::{StoreReply, origin};

/// A connection with time limits, an identity check and typed answers. Cheap to clone.
#[derive(Clone)]
pub(crate) struct StoreRequests {
    link: Arc<StoreLink>,
    identity: Arc<StoreIdentity>,
    connectivity: Arc<ConnectivityMonitor>,
    timeout: Duration,
    /// A key that the user may read, for probes of the store.
    probe_key: Arc<str>,
}

/// A reply is late after this fraction of the time it may take.
const LATE: u32 = 4;

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

    /// The observer of the client.
    pub(crate) fn observer(&self) -> &ObserverHandle {
        self.link.observer()
    }

    pub(crate) const fn identity(&self) -> &Arc<StoreIdentity> {
        &self.identity
    }

    /// The monitor that every outcome is reported to.
    pub(crate) const fn connectivity(&self) -> &Arc<ConnectivityMonitor> {
        &self.connectivity
    }

    /// Waits for one reply, up to the time limit. Sends the request a second time, after another login, when the
    /// store has forgotten our login.
    pub(crate) async fn send<T, F>(&self, request: impl Fn() -> F) -> Result<T, StoreError>
    where
        F: Future<Output = Result<T, etcd_client::Error>>,
    {
        let at = self.link.at();
        match self.send_once(at, request()).await {
            Err(error) if error.is_stale_login() || error.is_wrong_password() => {
                self.observer()
                    .notify(|observer| observer.request_retried(&error));
            }
            reply => return reply,
        }
        // The client library logs in again when a token has expired, with the password that it had then, but not when
        // users have changed since. The store checks that before it does anything, so nothing was done.
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
    /// endpoints are tried, so that the next request goes to one that works.
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

    /// Reads one range, linearizably, and returns it as part 0.
    ///
    /// Requests that only read must come this way: etcd 3.5 before 3.5.5 crashes on a transaction that only reads
    /// when its sender disconnects while it is carried out (its issue 14110).
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

    /// Reads one key as [`StoreRequests::read`] does, but waits for the reply as long as `patience`, and leaves the
    /// link where it is: the caller decides about a late reply.
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

    /// The revision of a linearizable reply to a request that was sent when `before` was known. A header without a
    /// cluster is not from a store, and shows nothing.
    fn linearizable(
        &self,
        header: Option<&ResponseHeader>,
        before: SeenRevision,
    ) -> Result<Revision, StoreError> {
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
        lease: LeaseId,
        patience: Duration,
    ) -> Result<(Duration, ReplyOrigin), StoreError> {
        let mut leases = self.client().lease_client();
        let reply =
            match tokio::time::timeout(patience, leases.time_to_live(lease.get(), None)).await {
                Ok(reply) => reply?,
                Err(_) => return Err(StoreError::timed_out(patience)),
            };
        self.revision(reply.header())?;
        let left = Duration::from_secs(u64::try_from(reply.ttl()).unwrap_or(0));
        Ok((left, origin(reply.header())))
    }

    /// The revision of a reply, unless another cluster sent it.
    pub(crate) fn revision(&self, header: Option<&ResponseHeader>) -> Result<Revision, StoreError> {
        if self.identity.is_same_cluster(header) {
            Ok(header_revision(header))
        } else {
            Err(StoreError::Unknown(
                "another cluster answered at this address".into(),
            ))
        }
    }
}

/// The revision in the header of a reply; none without one.
pub(crate) fn header_revision(header: Option<&ResponseHeader>) -> Revision {
    Revision::new(header.map_or(0, ResponseHeader::revision))
}
