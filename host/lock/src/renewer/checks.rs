//! Reads that prove renewals, and requests for the time that a lease has left.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::stream::{FuturesUnordered, StreamExt as _};

use crate::error::StoreError;
use crate::renewal::{PendingRenewals, ReplyOrigin, SentRequest};
use crate::requests::{StoreReply, StoreRequests};
use crate::session::LeaseSession;

/// Checks under way at once.
const MOST_CHECKS: usize = 16;

/// The result of a check.
pub(super) enum RenewalCheck {
    /// A linearizable read of `key`.
    Read {
        sent: SentRequest,
        key: String,
        result: Result<StoreReply, StoreError>,
    },
    /// The time that the store gives the lease.
    Remaining {
        sent: SentRequest,
        result: Result<(Duration, ReplyOrigin), StoreError>,
    },
}

/// The checks of one session that are under way.
pub(super) struct RenewalChecks {
    session: Arc<LeaseSession>,
    requests: StoreRequests,
    /// True if the store denies reading the key that may always be read. One of our entries serves then.
    is_probe_denied: bool,
    under_way: FuturesUnordered<BoxFuture<'static, RenewalCheck>>,
}

impl RenewalChecks {
    pub(super) fn new(session: Arc<LeaseSession>, requests: StoreRequests) -> Self {
        Self {
            session,
            requests,
            is_probe_denied: false,
            under_way: FuturesUnordered::new(),
        }
    }

    /// Abandons the checks under way.
    pub(super) fn clear(&mut self) {
        self.under_way.clear();
    }

    pub(super) fn is_empty(&self) -> bool {
        self.under_way.is_empty()
    }

    /// The next check that ends; `None` when none is under way.
    pub(super) async fn next(&mut self) -> Option<RenewalCheck> {
        self.under_way.next().await
    }

    /// Sends a linearizable read of a key that we may read.
    pub(super) fn send_read(&mut self, renewals: &mut PendingRenewals) {
        if !self.session.needs_proof() || self.under_way.len() >= MOST_CHECKS {
            return;
        }
        let own = self.session.some_key().filter(|_| self.is_probe_denied);
        let key = own.unwrap_or_else(|| self.requests.probe_key().to_owned());
        let sent = renewals.reading(self.session.clock().now());
        let (requests, patience) = (self.requests.clone(), self.session.left());
        self.under_way.push(Box::pin(async move {
            let result = requests.read_patiently(key.clone(), patience).await;
            RenewalCheck::Read { sent, key, result }
        }));
    }

    /// Requests the time that the store gives the lease.
    pub(super) fn send_remaining(&mut self, renewals: &mut PendingRenewals) {
        if self.under_way.len() >= MOST_CHECKS {
            return;
        }
        let sent = renewals.sending(self.session.clock().now());
        let (requests, patience) = (self.requests.clone(), self.session.left());
        let lease = self.session.lease;
        self.under_way.push(Box::pin(async move {
            let result = requests.remaining(lease, patience).await;
            RenewalCheck::Remaining { sent, result }
        }));
    }

    /// Takes in that the store denies reading `key`. True if another key is read from now on.
    pub(super) fn deny_read(&mut self, key: &str) -> bool {
        let is_probe = key == self.requests.probe_key();
        self.is_probe_denied |= is_probe;
        is_probe
    }
}
