//! One acquisition under way.

use std::sync::Arc;
use std::time::Duration;

use leasehold_ids::{Revision, Token};
use tokio::time::Instant;

use crate::acquire::request::{Acquire, LockPlace, LockWait};
use crate::backoff::Backoff;
use crate::claims::ClaimStatus;
use crate::end_reason::EndReason;
use crate::error::{AcquireError, RefusalKind, StoreError};
use crate::grant::Grant;
use crate::local_queue::{Contention, QueueClaim};
use crate::locks::LockClient;
use crate::long_queue;
use crate::observer::LossReport;
use crate::own_entry::OwnEntry;
use crate::queue_keys::QueueKey;
use crate::queue_requests::{EnqueueMode, Enqueued, FOLLOW_ALL, NewEntry, TailRead};
use crate::queue_role::QueueRole;
use crate::session::LeaseSession;
use crate::tenure::Tenure;

/// Sessions to try before an acquisition fails: one that ended unnoticed is common, three in a row are not.
const SESSIONS: u32 = 3;

/// One acquisition under way.
pub(super) struct AcquireAttempt {
    shared: Arc<LockClient>,
    request: Acquire,
    prefix: String,
    session: Arc<LeaseSession>,
    claim: QueueClaim,
    entry: OwnEntry,
    began: Instant,
}

impl AcquireAttempt {
    pub(super) async fn new(
        shared: Arc<LockClient>,
        request: Acquire,
    ) -> Result<Self, AcquireError> {
        let prefix = format!("{}/", request.name);
        let began = Instant::now();
        let slot = shared
            .slot(request.ttl, &request.name)
            .await
            .map_err(|source| AcquireError::Store {
                name: request.name.clone(),
                source,
            })?;
        let session = slot.session().clone();
        let key = format!("{prefix}{}", session.lease);
        let claim = shared.claim(&prefix, &key, request.ttl);
        let entry = OwnEntry::new(shared.clone(), slot, key);
        Ok(Self {
            shared,
            request,
            prefix,
            session,
            claim,
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
            if found.create_revision.is_some() || self.request.wait == LockWait::Never {
                break found;
            }
            if self.time_left().is_some_and(|left| left.is_zero()) {
                return Err(self.contended(&found.entries, None));
            }
            // A pause for a store that shows foreign keys under one lease after the other.
            tokio::time::sleep(backoff.next()).await;
            self = self.under_another_lease().await?;
        };
        let Some(create_revision) = found.create_revision else {
            return Err(self.contended(&found.entries, None));
        };
        self.entry.set_created(create_revision);
        if create_revision <= seen {
            return Err(AcquireError::StoreWentBack {
                seen,
                now: found.as_of,
            });
        }
        if found.role_at(create_revision) == Some(QueueRole::Holder) {
            // Keys of deeper locks prevent the quick path as well.
            self.claim.set_contention(match found.total {
                1 => Contention::Free,
                _ => Contention::Short,
            });
            return self.granted(create_revision, found.as_of);
        }
        if self.request.wait == LockWait::Never {
            return Err(self.contended(&found.entries, Some(create_revision)));
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

    /// Puts our entry, and repeats the put until a reply shows that the entry exists.
    async fn enqueue(&mut self) -> Result<Enqueued, AcquireError> {
        let if_not_free = match self.request.wait {
            LockWait::Never => EnqueueMode::OnlyIfFree,
            LockWait::Forever | LockWait::AtMost(_) => EnqueueMode::Always,
        };
        let (mut mode, mut tail) = match self.claim.expected_contention() {
            Contention::Free => (EnqueueMode::OnlyIfFree, TailRead::Nothing),
            Contention::Short => (if_not_free, TailRead::Youngest(FOLLOW_ALL + 1)),
            Contention::Long => (if_not_free, TailRead::Youngest(2)),
        };
        let mut backoff = Backoff::reconnect();
        loop {
            self.entry.sending();
            let entry = NewEntry {
                prefix: &self.prefix,
                key: self.entry.key(),
                value: &self.request.value,
                lease: self.session.lease,
                mode,
                tail,
            };
            match self.shared.requests.enqueue(&entry).await {
                Ok(found) if found.create_revision.is_none() => {
                    self.entry.answered();
                    if tail == TailRead::Nothing {
                        // Another entry exists, or ours does, from a request whose reply was lost.
                        self.claim.set_contention(Contention::Short);
                        (mode, tail) = (if_not_free, TailRead::Youngest(FOLLOW_ALL + 1));
                        continue;
                    }
                    if mode == EnqueueMode::OnlyIfFree && found.entries.is_empty() {
                        // Only keys of deeper locks exist there; they are not entries of this one.
                        mode = EnqueueMode::Always;
                        continue;
                    }
                    return Ok(found);
                }
                Ok(found) => {
                    match found.create_revision {
                        Some(create_revision) if !found.created_now => {
                            self.entry.found_existing(create_revision);
                        }
                        _ => self.entry.answered(),
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
        tracing::debug!(lock = %self.request.name, error = %cause, "sending again");
        let observer = self.shared.requests.observer();
        observer.notify(|observer| observer.request_retried(cause));
    }

    /// Waits until our entry is first, from any place in the queue.
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
        self.settle(create_revision, found, &mut report);
        let arrived = tokio::select! {
            biased;
            arrived = first(&mut self.claim, &mut report) => Some(arrived),
            _ = tenure.ended() => return Err(self.session_lost()),
            () = give_up => None,
        };
        match arrived {
            Some(Ok(())) => self.granted(create_revision, create_revision),
            Some(Err(revision)) => {
                self.entry.set_deleted();
                if !self.session.is_alive() {
                    return Err(self.session_lost());
                }
                Err(AcquireError::Removed {
                    name: self.request.name.clone(),
                    revision,
                })
            }
            None => Err(AcquireError::Contended {
                name: self.request.name.clone(),
                holder: last
                    .as_ref()
                    .and_then(|place| place.holder.clone())
                    .unwrap_or_else(|| "an entry far ahead".into()),
                ahead: last.map_or(0, |place| place.ahead),
                waited: self.began.elapsed(),
            }),
        }
    }

    /// Passes our place to the local queue, and starts a follower where the queue is long.
    fn settle(
        &self,
        create_revision: Revision,
        found: &Enqueued,
        report: &mut impl FnMut(LockPlace),
    ) {
        let predecessor = found
            .entries
            .iter()
            .rfind(|entry| entry.create_revision < create_revision);
        match predecessor {
            Some(entry) if found.total > FOLLOW_ALL => {
                report(LockPlace {
                    ahead: found.total.saturating_sub(1),
                    holder: None,
                });
                self.claim.settle_far(create_revision, entry, found.as_of);
                let follower = long_queue::QueueFollower {
                    queue: self.claim.queue().clone(),
                    claim: self.claim.id(),
                    mux: self.shared.mux.clone(),
                    requests: self.shared.background_requests.clone(),
                    key: self.entry.key().to_owned(),
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
                self.claim.settle(create_revision, &unread, Revision::NONE);
            }
            _ => self
                .claim
                .settle(create_revision, &found.entries, found.as_of),
        }
    }

    fn granted(self, create_revision: Revision, as_of: Revision) -> Result<Grant, AcquireError> {
        let tenure: Tenure = self.session.tenure(self.request.stop_margin);
        if !tenure.admits() {
            return Err(self.session_lost());
        }
        self.claim.hold(create_revision, as_of, tenure.clone());
        // The watch may have reported the deletion of the entry between the proof and here.
        if !tenure.admits() {
            return Err(self.session_lost());
        }
        let (token, waited) = (Token::from(create_revision), self.began.elapsed());
        let observer = self.shared.requests.observer();
        observer.notify(|observer| observer.lock_acquired(&self.request.name, token, waited));
        let loss = LossReport::new(observer.clone(), self.request.name.clone(), token);
        tenure.report_loss_with(loss);
        Ok(Grant::new(
            self.request.name,
            create_revision,
            tenure,
            self.claim,
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

    /// The error for a lock that other entries hold. `own` is the create revision of our entry, if it was put.
    fn contended(&self, entries: &[QueueKey], own: Option<Revision>) -> AcquireError {
        let others = entries
            .iter()
            .filter(|entry| Some(entry.create_revision) != own);
        AcquireError::Contended {
            name: self.request.name.clone(),
            holder: others
                .clone()
                .next()
                .map_or_else(|| "another entry".into(), |entry| entry.key.clone()),
            ahead: others.count(),
            waited: self.began.elapsed(),
        }
    }

    fn session_lost(&self) -> AcquireError {
        AcquireError::SessionLost {
            name: self.request.name.clone(),
            reason: self.session.end_reason().to_string(),
        }
    }

    fn store(&self, source: StoreError) -> AcquireError {
        AcquireError::Store {
            name: self.request.name.clone(),
            source,
        }
    }
}

/// Follows the status of the claim. `Ok` when it is first, `Err` with the revision at which our entry was deleted.
async fn first(claim: &mut QueueClaim, report: &mut impl FnMut(LockPlace)) -> Result<(), Revision> {
    loop {
        let status = claim.status().borrow_and_update().clone();
        match status {
            ClaimStatus::First => return Ok(()),
            ClaimStatus::Deleted { revision } => return Err(revision),
            ClaimStatus::Behind { ahead, holder } => report(LockPlace {
                ahead,
                holder: (!holder.is_empty()).then_some(holder),
            }),
            ClaimStatus::Unknown => {}
        }
        if claim.status().changed().await.is_err() {
            // The local queue dropped the claim, which only happens when the client closes.
            std::future::pending::<()>().await;
        }
    }
}
