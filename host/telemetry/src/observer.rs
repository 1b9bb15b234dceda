//! [`HostObserver`]: counts what the lock client of one host reports.

use std::sync::Arc;
use std::time::Duration;

use leasehold_lock::{
    EndReason, LeaseId, LockObserver, RequestResult, StoreError, StreamKind, Token,
};

use crate::host_state::HostState;
use crate::process_state::ProcessState;

/// Observer of the lock client of one host.
pub(crate) struct HostObserver {
    process: Arc<ProcessState>,
    host: Arc<HostState>,
}

impl HostObserver {
    pub(crate) const fn new(process: Arc<ProcessState>, host: Arc<HostState>) -> Self {
        Self { process, host }
    }
}

impl LockObserver for HostObserver {
    fn renewal_sent(&self, _: LeaseId) {
        self.host.metrics.renewals_sent.inc();
    }

    fn renewal_confirmed(&self, lease: LeaseId, took: Duration) {
        let metrics = &self.host.metrics;
        metrics.renewals.inc();
        metrics.renewal_time.observe(took.as_secs_f64());
        self.host.health().lease_settled(lease);
    }

    fn deadline_moved(&self, _: LeaseId, left: Duration) {
        let margin = &self.host.metrics.renewal_margin;
        margin.observe(left.as_secs_f64());
    }

    fn renewal_late(&self, lease: LeaseId, waited: Duration) {
        self.host.metrics.renewals_late.inc();
        let since = self.process.clock.now().before(waited);
        self.host.health().lease_late(lease, since);
    }

    fn lease_ended(&self, lease: LeaseId) {
        self.host.health().lease_settled(lease);
    }

    fn request_ended(&self, result: RequestResult, took: Duration) {
        let metrics = &self.host.metrics;
        metrics.count_request(result);
        metrics.store_time.observe(took.as_secs_f64());
    }

    fn request_retried(&self, _: &StoreError) {
        self.host.metrics.store_retries.inc();
    }

    fn stream_broken(&self, kind: StreamKind, _: &str) {
        self.host.metrics.count_broken(kind);
    }

    fn endpoint_changed(&self, _: &str, _: &str) {
        self.host.metrics.endpoint_changes.inc();
    }

    fn lock_handed_over(&self, _: &str, _: Token, took: Duration) {
        self.host.metrics.hand_off.observe(took.as_secs_f64());
    }

    fn session_lost(&self, _: LeaseId, _: &EndReason) {
        self.host.metrics.sessions_lost.inc();
    }
}
