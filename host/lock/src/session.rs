//! Sessions: one lease each, renewed from the guard, with a deadline that never trusts the server's
//! clock to be late.
//!
//! # Guarantees
//!
//! - The deadline ends before the lease can: `D = t_send + TTL × (1 − drift)`, where `t_send` is read
//!   *before* the renewal is queued and TTL is the one in the reply. The server starts counting at
//!   the earliest when it receives the renewal, which is after `t_send`. Each tenure takes its stop
//!   margin off D as well.
//! - A reply extends D only if it answers the one renewal in flight on its stream. A stream that is
//!   reset drops what was pending.
//! - A session whose deadline has passed is over, though its lease may live on the server.
//!
//! # Assumptions
//!
//! The local clock's rate is within `drift` of the server's. A live lease is never taken as proof
//! that a lock is held: some etcd versions renew leases that were revoked.
//!
//! The lease discipline follows Gray and Cheriton, "Leases" (SOSP 1989).

use std::sync::Arc;
use std::time::Duration;

use etcd_client::{LeaseKeepAliveStream, LeaseKeeper};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::backoff::Backoff;
use crate::clock::{BootTime, Clock};
use crate::error::StoreError;
use crate::tenure::{Deadline, EndReason, Tenure};
use crate::wire::Wire;

/// How a lease's end is computed from its last renewal.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Terms {
    /// The TTL asked for, in whole seconds.
    pub(crate) ttl: Duration,
    /// The clock rate error to allow for, as a fraction.
    pub(crate) drift: f64,
}

impl Terms {
    /// The deadline that a reply granting `ttl` earns a request sent at `sent`.
    pub(crate) fn deadline(&self, sent: BootTime, ttl: Duration) -> BootTime {
        sent.after(ttl.mul_f64(1.0 - self.drift))
    }
}

/// A lease of ours and its deadline.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) lease: i64,
    pub(crate) terms: Terms,
    deadline: Arc<Deadline>,
    clock: Arc<dyn Clock>,
}

impl std::fmt::Debug for dyn Clock {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Clock")
    }
}

impl Session {
    /// Asks the store for a lease. The caller must run [`renew`] for it.
    pub(crate) async fn open(
        wire: &Wire,
        terms: Terms,
        clock: Arc<dyn Clock>,
    ) -> Result<Arc<Self>, StoreError> {
        let seconds = i64::try_from(terms.ttl.as_secs()).unwrap_or(i64::MAX);
        let ask = || {
            let mut leases = wire.client().lease_client();
            async move { leases.grant(seconds, None).await }
        };
        let sent = clock.now();
        let reply = wire.ask(ask).await?;
        if !wire.identity().is_same_cluster(reply.header()) {
            return Err(StoreError::Unknown(
                "another cluster answered at this address".into(),
            ));
        }
        let granted = Duration::from_secs(u64::try_from(reply.ttl()).unwrap_or(0));
        Ok(Arc::new(Self {
            lease: reply.id(),
            terms,
            deadline: Deadline::new(terms.deadline(sent, granted)),
            clock,
        }))
    }

    /// A tenure on this session that ends `margin` before it.
    pub(crate) fn tenure(&self, margin: Duration) -> Tenure {
        Tenure::new(self.clock.clone(), self.deadline.clone(), margin)
    }

    pub(crate) fn is_alive(&self) -> bool {
        self.deadline.ended().is_none() && self.clock.now() < self.deadline.at()
    }

    pub(crate) fn end_reason(&self) -> EndReason {
        self.deadline
            .ended()
            .cloned()
            .unwrap_or(EndReason::DeadlinePassed)
    }

    /// Ends the session here. What the server does with the lease is another matter.
    pub(crate) fn end(&self, reason: EndReason) {
        self.deadline.end(reason, || self.clock.now());
    }
}

/// Renews the lease of `session` until it is lost or `cancel` is called. Runs on the guard.
pub(crate) async fn renew(session: Arc<Session>, wire: Wire, cancel: CancellationToken) {
    let every = session.terms.ttl / 3;
    let mut backoff = Backoff::reconnect();
    let first = every.min(Duration::from_secs(1));
    let work = async {
        sleep(first).await;
        while session.is_alive() {
            let at = wire.link().at();
            match stream(&session, &wire, every, &mut backoff).await {
                Ok(()) => return,
                Err(error) => {
                    tracing::debug!(lease = session.lease, %error, "renewal stream down");
                    wire.link().move_on(at).await;
                    sleep(backoff.next()).await;
                }
            }
        }
        session.end(EndReason::DeadlinePassed);
    };
    let whole = session.tenure(Duration::ZERO);
    tokio::select! {
        () = cancel.cancelled() => {}
        // Whatever the stream is waiting for, a lost session is lost at its deadline.
        _ = whole.ended() => {
            session.end(EndReason::DeadlinePassed);
        }
        () = work => {}
    }
}

/// Renews over one stream. `Ok` when the session has ended, `Err` when the stream must be reopened.
async fn stream(
    session: &Session,
    wire: &Wire,
    every: Duration,
    backoff: &mut Backoff,
) -> Result<(), StoreError> {
    let mut client = wire.client().lease_client();
    // The client sends the first renewal while opening and swallows its reply's TTL, so opening
    // extends nothing; it does tell whether the lease exists.
    let (mut keeper, mut replies) = match timeout(every, client.keep_alive(session.lease)).await {
        Err(_) => return Err(StoreError::timed_out(every)),
        Ok(Err(etcd_client::Error::LeaseKeepAliveError(text))) if text.contains("not found") => {
            session.end(EndReason::LeaseGone);
            return Ok(());
        }
        Ok(Err(error)) => return Err(error.into()),
        Ok(Ok(open)) => open,
    };
    loop {
        let sent = session.clock.now();
        if !renew_once(session, wire, (&mut keeper, &mut replies), sent, every).await? {
            return Ok(());
        }
        backoff.reset();
        sleep(every.saturating_sub(session.clock.now().since(sent))).await;
    }
}

/// Sends one renewal and takes the one reply to it. False when the session has ended.
async fn renew_once(
    session: &Session,
    wire: &Wire,
    (keeper, replies): (&mut LeaseKeeper, &mut LeaseKeepAliveStream),
    sent: BootTime,
    patience: Duration,
) -> Result<bool, StoreError> {
    let exchange = async {
        keeper.keep_alive().await?;
        replies.message().await
    };
    let reply = match timeout(patience, exchange).await {
        // Giving up on the reply means giving up the stream: a late one could not be matched.
        Err(_) => return Err(StoreError::timed_out(patience)),
        Ok(Err(error)) => return Err(error.into()),
        Ok(Ok(None)) => return Err(StoreError::Unknown("the stream was closed".into())),
        Ok(Ok(Some(reply))) => reply,
    };
    if !wire.identity().is_same_cluster(reply.header()) {
        session.end(EndReason::StoreChanged {
            detail: "another cluster answered a renewal".into(),
        });
        return Ok(false);
    }
    if reply.id() != session.lease {
        return Err(StoreError::Unknown("a reply for another lease".into()));
    }
    let Ok(ttl @ 1..) = u64::try_from(reply.ttl()) else {
        session.end(EndReason::LeaseGone);
        return Ok(false);
    };
    let deadline = session.terms.deadline(sent, Duration::from_secs(ttl));
    Ok(session.deadline.extend(deadline, session.clock.now()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Promise P1. Fails when the deadline counts from the receipt of the reply.
    #[test]
    fn the_deadline_counts_from_the_moment_the_renewal_was_sent() {
        let terms = Terms {
            ttl: Duration::from_secs(10),
            drift: 0.01,
        };
        let sent = BootTime::from_nanos(5_000_000_000);
        let deadline = terms.deadline(sent, Duration::from_secs(10));
        assert_eq!(deadline.since(sent), Duration::from_millis(9_900));
    }

    #[test]
    fn the_granted_ttl_counts_not_the_one_asked_for() {
        let terms = Terms {
            ttl: Duration::from_secs(10),
            drift: 0.0,
        };
        let sent = BootTime::from_nanos(0);
        let granted = Duration::from_secs(3);
        assert_eq!(terms.deadline(sent, granted).since(sent), granted);
    }
}
