//! Renewer: the task that renews the lease of one session. Runs on the lease thread.
//!
//! It sends renewals on one stream and counts those without a reply. A linearizable read behind each reply brings the
//! proof that [`PendingRenewals`] requires. Late replies do not end the stream: renewals are then sent more often,
//! each with a read beside it, and another endpoint is sought meanwhile.
//!
//! # Proxies
//!
//! `etcd grpc-proxy` renews at its own pace and answers with the reply to its last renewal, which may be older than
//! ours. A reply that arrives well after a read that was sent later shows this. From then on the lease is dated by
//! the remaining time that the store reports, counted from the sending of that request.

use std::sync::Arc;
use std::time::Duration;

use etcd_client::{LeaseKeepAliveResponse, LeaseKeepAliveStream, LeaseKeeper};
use futures_util::future::BoxFuture;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use crate::backoff::Backoff;
use crate::clock::BootTime;
use crate::end_reason::EndReason;
use crate::error::{RefusalKind, StoreError};
use crate::observer::{LockObserver, StreamKind};
use crate::renewal::{PendingRenewals, ReplyStatus};
use crate::requests::{StoreRequests, origin};
use crate::session::LeaseSession;

mod checks;
mod pace;
mod stream_end;

pub use pace::{RENEWALS_PER_TTL, renewal_interval};

use checks::{RenewalCheck, RenewalChecks};
use pace::RenewalPace;
use stream_end::{StreamEnd, finish};

/// A reply that takes this much longer than a read that was sent later comes from a proxy: members of a cluster
/// forward renewals, which takes less.
const OVERTAKEN: Duration = Duration::from_millis(300);
/// The longest pause before a new session's first renewal.
const FIRST: Duration = Duration::from_secs(1);

/// The moment that a lease's end is counted from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum LeaseDating {
    /// The sending of the renewal.
    Renewal,
    /// The sending of the request for the remaining time: renewals go through a proxy.
    Remaining,
}

/// Renews one session.
pub(crate) struct LeaseRenewer {
    session: Arc<LeaseSession>,
    requests: StoreRequests,
    renewals: PendingRenewals,
    /// The latency of the last reply.
    latency: Duration,
    /// When the last reply arrived.
    replied: BootTime,
    /// The return of the last read, and its latency.
    read_back: BootTime,
    read_latency: Duration,
    dating: LeaseDating,
    checks: RenewalChecks,
    pace: RenewalPace,
}

impl LeaseRenewer {
    pub(crate) fn new(session: Arc<LeaseSession>, requests: StoreRequests) -> Self {
        let checks = RenewalChecks::new(session.clone(), requests.clone());
        let pace = RenewalPace::new(session.terms.ttl);
        Self {
            session,
            requests,
            renewals: PendingRenewals::default(),
            latency: Duration::ZERO,
            replied: BootTime::BOOT,
            read_back: BootTime::BOOT,
            read_latency: Duration::ZERO,
            dating: LeaseDating::Renewal,
            checks,
            pace,
        }
    }

    /// Renews until the session has ended or `cancel` is called.
    pub(crate) async fn run(mut self, cancel: CancellationToken) {
        let session = self.session.clone();
        let whole = session.tenure(Duration::ZERO);
        tokio::select! {
            () = cancel.cancelled() => return,
            // Whatever the stream waits for, the session is lost at its deadline.
            _ = whole.ended() => session.end(EndReason::DeadlinePassed),
            () = self.renew() => {}
        }
        let reason = session.end_reason();
        if reason != EndReason::Released {
            self.notify(|observer| observer.session_lost(session.lease, &reason));
        }
    }

    fn notify(&self, call: impl FnOnce(&dyn LockObserver)) {
        self.requests.observer().notify(call);
    }

    async fn renew(&mut self) {
        let mut backoff = Backoff::reconnect();
        sleep(self.pace.interval().min(FIRST)).await;
        loop {
            let at = self.requests.link().at();
            let Err(end) = self.serve(at, &mut backoff).await;
            match end {
                StreamEnd::SessionOver => return,
                StreamEnd::Broken(error) => {
                    tracing::debug!(lease = self.session.lease.get(), %error, "renewal stream down");
                    let cause = error.to_string();
                    self.notify(|observer| observer.stream_broken(StreamKind::Renewals, &cause));
                    self.requests.link().move_to_other(at).await;
                    sleep(backoff.next()).await;
                }
            }
        }
    }

    /// The time that the oldest renewal without a reply has waited.
    fn waited(&self) -> Duration {
        let oldest = self.renewals.oldest();
        oldest.map_or(Duration::ZERO, |sent| self.now().since(sent.at))
    }

    fn now(&self) -> BootTime {
        self.session.clock().now()
    }

    /// Renews over one stream to the endpoint `at`, until it ends.
    async fn serve(
        &mut self,
        at: usize,
        backoff: &mut Backoff,
    ) -> Result<std::convert::Infallible, StreamEnd> {
        let (mut keeper, mut replies) = self.open(at, backoff).await?;
        self.renewals.reopened();
        self.dating = LeaseDating::Renewal;
        let requests = self.requests.clone();
        let mut next = Instant::now();
        let mut elsewhere: Option<BoxFuture<'_, bool>> = None;
        let mut look_at = None;
        loop {
            let waited = self.waited();
            if waited >= self.pace.late()
                && elsewhere.is_none()
                && look_at.is_none_or(|at| at <= Instant::now())
            {
                self.notify(|observer| observer.renewal_late(self.session.lease, waited));
                elsewhere = Some(Box::pin(requests.link().seek_other(at)));
                look_at = Some(Instant::now() + self.pace.late());
            }
            if self.is_renewal_dropped() {
                return Err(StoreError::timed_out(waited).into());
            }
            let timer = self.send_time(next, waited);
            tokio::select! {
                biased;
                reply = replies.message() => {
                    let reply = reply.map_err(StoreError::from)?;
                    let Some(reply) = reply else {
                        return Err(StoreError::Unknown("the stream was closed".into()).into());
                    };
                    if self.reply(&reply)? == ReplyStatus::NewTerm {
                        next = next.min(Instant::now() + self.pace.least());
                    }
                }
                Some(check) = self.checks.next(), if !self.checks.is_empty() => {
                    if self.checked(check, backoff)? {
                        next = next.min(Instant::now() + self.pace.least());
                    }
                }
                has_moved = finish(&mut elsewhere) => {
                    elsewhere = None;
                    if has_moved {
                        return Err(StreamEnd::moved());
                    }
                }
                () = sleep_until(timer) => {
                    if !self.renewals.is_full() {
                        self.send(&mut keeper, waited).await?;
                    }
                    next = Instant::now() + self.pace.pause(self.latency.max(self.waited()));
                }
            }
        }
    }

    /// True if the store answers, the oldest renewal has no reply, and the lease has little time left: the store has
    /// dropped the renewal.
    fn is_renewal_dropped(&self) -> bool {
        let Some(oldest) = self.renewals.oldest() else {
            return false;
        };
        let unanswered = self.now().since(self.replied.max(oldest.at));
        unanswered >= self.pace.interval() + self.pace.late()
            && self.renewals.was_read_after(oldest)
            && self.now().since(self.read_back) < self.pace.late()
            && !self.session.has_time()
    }

    /// When the next renewal is due: at `next`, or earlier, once the oldest one has no reply for too long.
    fn send_time(&self, next: Instant, waited: Duration) -> Instant {
        let late = self.pace.late();
        if self.renewals.is_full() {
            Instant::now() + late
        } else if self.renewals.oldest().is_some() && waited < late {
            // A reply that is late by then is a reason to send another.
            next.min(Instant::now() + late.saturating_sub(waited))
        } else {
            next
        }
    }

    /// Opens a stream. The client library sends a renewal with it and keeps the reply to itself, so opening extends
    /// nothing; it shows whether the lease exists. A read beside it shows the member's term.
    async fn open(
        &mut self,
        at: usize,
        backoff: &mut Backoff,
    ) -> Result<(LeaseKeeper, LeaseKeepAliveStream), StreamEnd> {
        self.checks.clear();
        self.checks.send_read(&mut self.renewals);
        let began = self.now();
        let requests = self.requests.clone();
        let mut client = requests.client().lease_client();
        let (late, patience) = (self.pace.late(), self.pace.interval() + self.pace.late());
        let elsewhere = async {
            loop {
                sleep(late).await;
                if requests.link().seek_other(at).await {
                    return;
                }
            }
        };
        let opening = timeout(patience, client.keep_alive(self.session.lease.get()));
        tokio::pin!(elsewhere, opening);
        let opened = loop {
            tokio::select! {
                opened = &mut opening => break opened,
                Some(check) = self.checks.next(), if !self.checks.is_empty() => {
                    self.checked(check, backoff)?;
                }
                () = &mut elsewhere => return Err(StreamEnd::moved()),
            }
        };
        self.latency = self.now().since(began);
        match opened {
            Err(_) => Err(StoreError::timed_out(patience).into()),
            Ok(Err(etcd_client::Error::LeaseKeepAliveError(text)))
                if text.contains("not found") =>
            {
                self.session.end(EndReason::LeaseEnded);
                Err(StreamEnd::SessionOver)
            }
            Ok(Err(error)) => Err(StoreError::from(error).into()),
            Ok(Ok(open)) => Ok(open),
        }
    }

    async fn send(&mut self, keeper: &mut LeaseKeeper, waited: Duration) -> Result<(), StoreError> {
        self.renewals.renewing(self.now());
        keeper.keep_alive().await?;
        self.notify(|observer| observer.renewal_sent(self.session.lease));
        if waited.max(self.latency) >= self.pace.least() {
            // Replies are late: the proof must be under way before the reply arrives.
            self.checks.send_read(&mut self.renewals);
        }
        Ok(())
    }

    /// Takes in the reply to the oldest renewal.
    fn reply(&mut self, reply: &LeaseKeepAliveResponse) -> Result<ReplyStatus, StreamEnd> {
        if !self.requests.identity().is_same_cluster(reply.header()) {
            self.session.end(EndReason::StoreChanged {
                detail: "another cluster answered a renewal".into(),
            });
            return Err(StreamEnd::SessionOver);
        }
        if reply.id() != self.session.lease.get() {
            return Err(StoreError::Unknown("a reply for another lease".into()).into());
        }
        let Some(sent) = self.renewals.replied() else {
            return Err(StoreError::Unknown("a reply without a renewal".into()).into());
        };
        let Ok(ttl @ 1..) = u64::try_from(reply.ttl()) else {
            self.session.end(EndReason::LeaseEnded);
            return Err(StreamEnd::SessionOver);
        };
        let ttl = Duration::from_secs(ttl);
        let now = self.now();
        self.replied = now;
        self.latency = now.since(sent.at);
        if !self.session.needs_proof() {
            self.extend(sent.at, ttl)?;
            return Ok(ReplyStatus::Provable);
        }
        let overtaken = self.latency.saturating_sub(self.read_latency);
        if self.renewals.was_read_after(sent) && overtaken >= self.pace.least().max(OVERTAKEN) {
            if self.dating == LeaseDating::Renewal {
                tracing::debug!(
                    lease = self.session.lease.get(),
                    "renewals go through a proxy"
                );
            }
            self.dating = LeaseDating::Remaining;
        }
        if self.dating == LeaseDating::Remaining {
            self.checks.send_remaining(&mut self.renewals);
            return Ok(ReplyStatus::Provable);
        }
        let standing = self.renewals.answered(sent, ttl, origin(reply.header()));
        self.prove();
        Ok(standing)
    }

    /// Moves the deadline by the renewal sent at `sent`, unless the session has ended.
    fn extend(&self, sent: BootTime, ttl: Duration) -> Result<(), StreamEnd> {
        let left = self.session.left();
        let is_extended = self.session.extend(sent, ttl);
        is_extended.then_some(()).ok_or(StreamEnd::SessionOver)?;
        let (lease, took) = (self.session.lease, self.now().since(sent));
        self.notify(|observer| observer.renewal_confirmed(lease, took));
        self.notify(|observer| observer.deadline_moved(lease, left));
        Ok(())
    }

    /// Takes in a check. True when a renewal should follow soon.
    fn checked(&mut self, check: RenewalCheck, backoff: &mut Backoff) -> Result<bool, StreamEnd> {
        match check {
            RenewalCheck::Read {
                sent,
                result: Ok(reply),
                ..
            } => {
                self.read_back = self.now();
                self.read_latency = self.read_back.since(sent.at);
                let Some(proven) = self.renewals.read(sent, reply.origin) else {
                    return Ok(false);
                };
                backoff.reset();
                self.extend(proven.sent, proven.ttl)?;
                Ok(false)
            }
            RenewalCheck::Read {
                sent,
                key,
                result: Err(error),
            } => {
                self.renewals.read_failed(sent);
                tracing::debug!(lease = self.session.lease.get(), %error, "a renewal is not proven");
                let denied = matches!(
                    error,
                    StoreError::Refused {
                        kind: RefusalKind::Denied,
                        ..
                    }
                );
                if denied && self.checks.deny_read(&key) {
                    self.checks.send_read(&mut self.renewals);
                }
                Ok(true)
            }
            RenewalCheck::Remaining {
                sent,
                result: Ok((left, origin)),
            } => {
                let standing = self.renewals.answered(sent, left, origin);
                self.prove();
                Ok(standing == ReplyStatus::NewTerm)
            }
            RenewalCheck::Remaining {
                result: Err(error), ..
            } => {
                tracing::debug!(lease = self.session.lease.get(), %error, "the time left is not known");
                Ok(true)
            }
        }
    }

    /// Sends the read that proves the answers so far, unless it is under way.
    fn prove(&mut self) {
        if !self.renewals.is_proof_under_way() {
            self.checks.send_read(&mut self.renewals);
        }
    }
}

#[cfg(test)]
mod tests;
