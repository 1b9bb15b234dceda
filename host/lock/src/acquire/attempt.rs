//! One acquisition under way.

use std::sync::Arc;
use std::time::Duration;

use leasehold_ids::{Revision, Token};
use tokio::time::Instant;

use crate::acquire::arrival::{WaitEnd, await_all};
use crate::acquire::plan::EnqueuePlan;
use crate::acquire::request::{Acquire, LockPlace, LockWait};
use crate::backoff::Backoff;
use crate::end_reason::EndReason;
use crate::enqueue::{Enqueued, FOLLOW_ALL, NewEntries, OwnEntries, QueueTail};
use crate::error::{AcquireError, RefusalKind, StoreError};
use crate::grant::Grant;
use crate::local_queue::{Contention, QueueClaim};
use crate::lock_entry::LockEntry;
use crate::locks::LockClient;
use crate::long_queue;
use crate::observer::LossReport;
use crate::own_entry::OwnEntry;
use crate::queue_role::QueueRole;
use crate::session::LeaseSession;
use crate::tenure::Tenure;

/// Sessions to try before an acquisition fails: one that ended unnoticed is common, three in a row are not.
const SESSIONS: u32 = 3;

/// One acquisition under way.
pub(super) struct AcquireAttempt {
    shared: Arc<LockClient>,
    pub(super) request: Acquire,
    pub(super) session: Arc<LeaseSession>,
    /// One for each entry, in the same order.
    claims: Vec<QueueClaim>,
    pub(super) entry: OwnEntry,
    pub(super) began: Instant,
}

impl AcquireAttempt {
    pub(super) async fn new(
        shared: Arc<LockClient>,
        request: Acquire,
    ) -> Result<Self, AcquireError> {
        let began = Instant::now();
        let names: Vec<&str> = request.names().collect();
        let slot =
            shared
                .slot(request.ttl, &names)
                .await
                .map_err(|source| AcquireError::Store {
                    name: request.label(),
                    source,
                })?;
        let session = slot.session().clone();
        let entries: Vec<LockEntry> = request
            .locks
            .iter()
            .map(|(name, mode)| LockEntry::new(name, *mode, session.lease))
            .collect();
        let claims = entries
            .iter()
            .map(|entry| shared.claim(entry, request.ttl))
            .collect();
        let entry = OwnEntry::new(shared.clone(), slot, entries);
        Ok(Self {
            shared,
            request,
            session,
            claims,
            entry,
            began,
        })
    }

    pub(super) async fn run(
        mut self,
        mut report: impl FnMut(LockPlace) + Send,
    ) -> Result<Grant, AcquireError> {
        let seen = self.shared.requests.identity().highest();
        let mut sessions = 1;
        let mut backoff = Backoff::reconnect();
        let found = loop {
            let found = match self.enqueue().await {
                // We had no place yet that could be lost, so another session serves as well.
                Err(AcquireError::SessionLost { .. }) if sessions < SESSIONS => {
                    sessions += 1;
                    tokio::time::sleep(backoff.next()).await;
                    self = self.under_another_session().await?;
                    continue;
                }
                found => found?,
            };
            if found.own != OwnEntries::Absent || self.request.wait == LockWait::Never {
                break found;
            }
            if self.time_left().is_some_and(|left| left.is_zero()) {
                return Err(self.contended(&found));
            }
            // A pause for a store that shows foreign keys under one lease after the other.
            tokio::time::sleep(backoff.next()).await;
            self = self.under_another_lease().await?;
        };
        if let OwnEntries::Partial { missing, .. } = found.own {
            return Err(self.removed(missing, found.as_of));
        }
        if let Some(create_revision) = found.own.create_revision()
            && create_revision <= seen
        {
            return Err(AcquireError::StoreWentBack {
                seen,
                now: found.as_of,
            });
        }
        self.check_capacities(&found)?;
        let Some(create_revision) = found.own.create_revision() else {
            return Err(self.contended(&found));
        };
        let holds = |queue: &QueueTail| queue.role_at(create_revision) == Some(QueueRole::Holder);
        if found.queues.iter().all(holds) {
            for (claim, queue) in self.claims.iter().zip(&found.queues) {
                // Keys of deeper locks prevent the quick path as well.
                claim.set_contention(match queue.total {
                    1 => Contention::Free,
                    _ => Contention::Short,
                });
            }
            return self.granted(create_revision, found.as_of);
        }
        if self.request.wait == LockWait::Never {
            return Err(self.contended(&found));
        }
        self.wait(create_revision, &found, &mut report).await
    }

    /// Starts over under another session, after ours ended before we had a place in the queue.
    async fn under_another_session(self) -> Result<Self, AcquireError> {
        let again = Self::new(self.shared, self.request).await?;
        Ok(Self {
            began: self.began,
            ..again
        })
    }

    /// Starts over where a foreign client has put an entry under our key by hand. Our place in the queue must be
    /// another key then, behind the foreign entry.
    async fn under_another_lease(self) -> Result<Self, AcquireError> {
        self.entry.leave_to_foreign();
        let again = Self::new(self.shared, self.request).await?;
        Ok(Self {
            began: self.began,
            ..again
        })
    }

    /// Puts our entries, and repeats the put until a reply shows that they exist.
    async fn enqueue(&mut self) -> Result<Enqueued, AcquireError> {
        let expected = self.claims.iter().map(QueueClaim::expected_contention);
        let expected: Vec<Contention> = expected.collect();
        let mut plan = EnqueuePlan::first(self.entry.entries(), &expected, self.request.wait);
        let mut backoff = Backoff::reconnect();
        loop {
            self.entry.sending();
            let new = NewEntries {
                entries: self.entry.entries(),
                value: &self.request.value,
                lease: self.session.lease,
                condition: plan.condition,
                tails: plan.tails.as_deref(),
            };
            match self.shared.requests.enqueue(&new).await {
                Ok(found) => {
                    match found.own {
                        OwnEntries::Made(create_revision) => {
                            self.entry.answered();
                            self.entry.set_created(create_revision);
                        }
                        OwnEntries::Found(create_revision)
                        | OwnEntries::Partial {
                            create_revision, ..
                        } => self.entry.found_existing(create_revision),
                        OwnEntries::Absent => {
                            self.entry.answered();
                            if plan.tails.is_none() {
                                let claims = self.claims.iter();
                                claims.for_each(|claim| claim.set_contention(Contention::Short));
                            }
                            if plan.revise(self.entry.entries(), &found) {
                                continue;
                            }
                        }
                    }
                    return Ok(found);
                }
                Err(source @ StoreError::Refused { kind, .. }) => {
                    self.entry.answered();
                    if kind == RefusalKind::LeaseNotFound {
                        self.session.end(EndReason::LeaseEnded);
                        return Err(self.session_lost());
                    }
                    return Err(self.store(source));
                }
                Err(source) => {
                    if !self.session.is_alive() {
                        return Err(self.session_lost());
                    }
                    if self.time_left().is_some_and(|left| left.is_zero()) {
                        return Err(self.store(source));
                    }
                    self.log_retry(&source);
                    tokio::time::sleep(backoff.next()).await;
                }
            }
        }
    }

    fn log_retry(&self, cause: &StoreError) {
        tracing::debug!(lock = %self.request.label(), error = %cause, "sending again");
        let observer = self.shared.requests.observer();
        observer.notify(|observer| observer.request_retried(cause));
    }

    /// Waits until all our entries hold, from any place in their queues.
    async fn wait(
        mut self,
        create_revision: Revision,
        found: &Enqueued,
        report: &mut (impl FnMut(LockPlace) + Send),
    ) -> Result<Grant, AcquireError> {
        let tenure = self.session.tenure(self.request.stop_margin);
        let deadline = self.time_left().map(|left| Instant::now() + left);
        let give_up = async move {
            match deadline {
                Some(at) => tokio::time::sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        let mut last: Option<LockPlace> = None;
        let mut report = |place: LockPlace| {
            if last.as_ref() != Some(&place) {
                last = Some(place.clone());
                report(place);
            }
        };
        for (at, queue) in found.queues.iter().enumerate() {
            self.settle(at, create_revision, queue, found.as_of, &mut report);
        }
        let arrived = tokio::select! {
            biased;
            end = await_all(&mut self.claims, self.entry.entries(), &mut report) => Some(end),
            _ = tenure.ended() => return Err(self.session_lost()),
            () = give_up => None,
        };
        match arrived {
            Some(WaitEnd::Held) => {
                let observer = self.shared.requests.observer().clone();
                let news = self.claims.iter().map(QueueClaim::news_age).min();
                let (token, took) = (Token::from(create_revision), news.unwrap_or_default());
                let grant = self.granted(create_revision, create_revision)?;
                for entry in grant.entries() {
                    observer
                        .notify(|observer| observer.lock_handed_over(entry.name(), token, took));
                }
                Ok(grant)
            }
            Some(WaitEnd::Deleted { at, revision }) => {
                if self.claims.len() == 1 {
                    self.entry.set_deleted();
                }
                if !self.session.is_alive() {
                    return Err(self.session_lost());
                }
                Err(self.removed(at, revision))
            }
            Some(WaitEnd::OtherCapacity { at, entry, of }) => {
                Err(self.capacity_differs(at, entry, of))
            }
            None => Err(AcquireError::Contended {
                name: last
                    .as_ref()
                    .map_or_else(|| self.request.label(), |place| place.name.clone()),
                holder: last
                    .as_ref()
                    .and_then(|place| place.holder.clone())
                    .unwrap_or_else(|| "an entry far ahead".into()),
                ahead: last.map_or(0, |place| place.ahead),
                waited: self.began.elapsed(),
            }),
        }
    }

    /// Passes our place in one queue to the local queue, and starts a follower where the queue is long.
    fn settle(
        &self,
        at: usize,
        create_revision: Revision,
        found: &QueueTail,
        as_of: Revision,
        report: &mut impl FnMut(LockPlace),
    ) {
        let (Some(claim), Some(own)) = (self.claims.get(at), self.entry.entries().get(at)) else {
            return;
        };
        let predecessor = found
            .entries
            .iter()
            .rfind(|entry| entry.create_revision < create_revision);
        match predecessor {
            // Only the weights of all entries ahead decide about one that is not exclusive; see `long_queue`.
            Some(entry) if found.total > FOLLOW_ALL && own.mode().is_exclusive() => {
                report(LockPlace {
                    name: own.name().to_owned(),
                    ahead: found.total.saturating_sub(1),
                    holder: None,
                });
                claim.settle_far(create_revision, entry, as_of);
                let follower = long_queue::QueueFollower {
                    queue: claim.queue().clone(),
                    claim: claim.id(),
                    mux: self.shared.mux.clone(),
                    requests: self.shared.background_requests.clone(),
                    key: own.key().to_owned(),
                    create_revision,
                };
                let cancel = self.shared.lease_thread.cancel_token().clone();
                let follow = follower.run(entry.clone());
                self.shared.lease_thread.spawn(async move {
                    tokio::select! {
                        () = cancel.cancelled() => {}
                        () = follow => {}
                    }
                });
            }
            // Only part of a short queue was read. Revision 0 makes the queue task read the rest before anything is
            // decided.
            _ if found.truncated => {
                let unread = [long_queue::unread()];
                claim.settle(create_revision, &unread, Revision::NONE);
            }
            _ => claim.settle(create_revision, &found.entries, as_of),
        }
    }

    fn granted(self, create_revision: Revision, as_of: Revision) -> Result<Grant, AcquireError> {
        let tenure: Tenure = self.session.tenure(self.request.stop_margin);
        if !tenure.admits() {
            return Err(self.session_lost());
        }
        for claim in &self.claims {
            claim.hold(create_revision, as_of, tenure.clone());
        }
        // The watch may have reported the deletion of an entry between the proof and here.
        if !tenure.admits() {
            return Err(self.session_lost());
        }
        let (token, waited) = (Token::from(create_revision), self.began.elapsed());
        let observer = self.shared.requests.observer();
        for name in self.request.names() {
            observer.notify(|observer| observer.lock_acquired(name, token, waited));
        }
        let names = self.request.names().map(str::to_owned).collect();
        let loss = LossReport::new(observer.clone(), names, token);
        tenure.report_loss_with(loss);
        Ok(Grant::new(
            create_revision,
            tenure,
            self.claims,
            self.entry,
            waited,
        ))
    }

    fn time_left(&self) -> Option<Duration> {
        match self.request.wait {
            LockWait::Forever => None,
            LockWait::Never => Some(Duration::ZERO),
            LockWait::AtMost(most) => Some(most.saturating_sub(self.began.elapsed())),
        }
    }
}
