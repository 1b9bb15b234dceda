//! Applying facts: from changed keys to steps of the history. `derive_events` derives the events.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use leasehold_lock::{FeedItem, KeyChange, KeyValue, LeaseId, Revision};
use leasehold_records::{AdminAction, AdminActionRecord, ControlKey, UnixMs};

use super::event::EventKind;
use super::history::{HistoryStep, TenancyChange};
use super::lock::{LeaveReason, LockTenancy};
use super::queue_entry::QueueEntry;
use super::scope::KeyKind;
use super::store_item::StoreItem;
use super::store_model::{Model, StoreLink};
use crate::fact::{Fact, FactKind};

/// Time after an admin action within which it explains changes.
const DEED_EXPLAINS: Duration = Duration::from_secs(30);

/// Changes of one revision.
struct RevisionBatch {
    at_unix_ms: UnixMs,
    revision: Revision,
    /// Number of deleted keys, by the lease that carried them.
    gone: HashMap<LeaseId, usize>,
    steps: Vec<HistoryStep>,
}

impl Model {
    /// Applies a fact.
    pub(crate) fn apply(&mut self, fact: Fact) {
        let at = fact.at_unix_ms;
        self.last_fact_at = self.last_fact_at.max(at);
        match fact.kind {
            FactKind::Keys(FeedItem::Reading { revision, keys }) => {
                self.apply_reading(at, revision, keys);
            }
            FactKind::Keys(FeedItem::Changes { revision, changes }) => {
                self.apply_changes(at, changes);
                self.revision = self.revision.max(revision);
            }
            FactKind::Keys(FeedItem::Denied { prefixes }) => self.denied = prefixes,
            FactKind::Keys(FeedItem::Down { reason }) => {
                let reason: Arc<str> = leasehold_records::printable::line(&reason).into();
                self.emit_between_steps(at, Revision::NONE, EventKind::Down(reason.clone()));
                self.link = StoreLink::Down { reason, since: at };
            }
            FactKind::Health(health) => self.health = Some(health),
            FactKind::Ttl(lease, answer) => self.leases.record_answer(lease, at, answer),
            FactKind::Answer(answer) => {
                let shown = |text: String| Arc::from(leasehold_records::printable::line(&text));
                let answer = answer.map(shown).map_err(shown);
                self.emit_between_steps(at, Revision::NONE, EventKind::Answer(answer));
            }
            FactKind::Output(..) => {}
        }
    }

    /// Applies a whole reading. The first is the initial state; a later one shows changes that were missed.
    fn apply_reading(&mut self, at: UnixMs, revision: Revision, keys: Vec<KeyValue>) {
        if self.revision.is_none() {
            for key in &keys {
                let item = StoreItem::read(&self.scope, key, None);
                self.state.put(&self.scope, &key.key, item);
            }
            for lock in self.state.locks.values() {
                let stats = self.lock_stats.entry(lock.name.clone()).or_default();
                stats.depth(at, lock.queue.len());
            }
        } else {
            let changes = self.diff_reading(revision, keys);
            self.apply_changes(at, changes);
        }
        self.emit_between_steps(at, revision, EventKind::Live);
        self.link = StoreLink::Live;
        self.revision = self.revision.max(revision);
    }

    /// Computes the changes between the state and a reading. Their moments are unknown.
    fn diff_reading(&self, revision: Revision, keys: Vec<KeyValue>) -> Vec<KeyChange> {
        let mut gone: BTreeSet<String> = self.keys().collect();
        let mut changes = Vec::new();
        for key in keys {
            gone.remove(&key.key);
            changes.push(KeyChange {
                key: key.key.clone(),
                revision,
                now: Some(key),
            });
        }
        let gone = gone.into_iter().map(|key| KeyChange {
            key,
            revision,
            now: None,
        });
        changes.extend(gone);
        changes
    }

    fn keys(&self) -> impl Iterator<Item = String> + '_ {
        let (state, root) = (&self.state, self.scope.root());
        let entries = state.locks.values().flat_map(|lock| lock.queue.iter());
        entries
            .map(|entry| entry.key.to_string())
            .chain(state.hosts.keys().map(|host| root.host(host)))
            .chain(state.jobs.keys().map(|(job, host)| root.job(job, host)))
            .chain(state.runs.keys().map(|run| root.run(run)))
            .chain(state.deeds.keys().cloned())
            .chain(state.holds.keys().filter_map(|hold| match hold {
                ControlKey::All => Some(root.all_control()),
                ControlKey::Job(job) => Some(root.job_control(job)),
                ControlKey::Host(host) => Some(root.host_control(host)),
                ControlKey::Stop(..) | ControlKey::Trigger(..) => None,
            }))
    }

    fn apply_changes(&mut self, at: UnixMs, changes: Vec<KeyChange>) {
        let mut by_revision: BTreeMap<Revision, Vec<KeyChange>> = BTreeMap::new();
        for change in changes {
            by_revision.entry(change.revision).or_default().push(change);
        }
        for (revision, changes) in by_revision {
            self.apply_revision(at, revision, changes);
        }
    }

    /// Applies all changes of one revision.
    fn apply_revision(&mut self, at: UnixMs, revision: Revision, changes: Vec<KeyChange>) {
        let mut batch = RevisionBatch {
            at_unix_ms: at,
            revision,
            gone: HashMap::new(),
            steps: Vec::new(),
        };
        let holders = self.holders_of(&changes);
        let places = self.places_of(&changes);
        for change in changes {
            self.apply_change(&mut batch, change);
        }
        for (lock, before) in holders {
            self.derive_lock_events(&mut batch, &lock, before, &places);
        }
        for step in std::mem::take(&mut batch.steps) {
            self.derive_step_events(&step);
            self.history.push(&self.scope, step, self.past.as_mut());
        }
    }

    /// Locks of the changed keys, with their holders before the change.
    fn holders_of(&self, changes: &[KeyChange]) -> BTreeMap<Arc<str>, Option<Arc<QueueEntry>>> {
        let mut holders = BTreeMap::new();
        for change in changes {
            if let KeyKind::Entry(lock) = self.scope.classify(&change.key) {
                let known = self.state.locks.get(&lock);
                let holder = known.and_then(|known| known.holder().cloned());
                holders.insert(lock, holder);
            }
        }
        holders
    }

    /// Places of the changed entries before the change.
    fn places_of(&self, changes: &[KeyChange]) -> HashMap<String, usize> {
        let mut places = HashMap::new();
        for change in changes {
            if let KeyKind::Entry(lock) = self.scope.classify(&change.key)
                && let Some(lock) = self.state.locks.get(&lock)
                && let Some((role, _)) = lock.queue.find(&change.key)
            {
                places.insert(change.key.clone(), role.place());
            }
        }
        places
    }

    fn apply_change(&mut self, batch: &mut RevisionBatch, change: KeyChange) {
        let now = change.now.as_ref();
        let mut after =
            now.and_then(|key| StoreItem::read(&self.scope, key, Some(batch.at_unix_ms)));
        if let Some(StoreItem::Entry(lock, entry)) = &mut after
            && let Some(known) = self.entry(lock, &change.key)
            && known.create_revision == entry.create_revision
            && entry.since_unix_ms != known.since_unix_ms
        {
            // The entry existed before; only its value has changed.
            Arc::make_mut(entry).since_unix_ms = known.since_unix_ms;
        }
        let before = self.state.put(&self.scope, &change.key, after.clone());
        if before == after {
            return;
        }
        let gone = match (&before, &after) {
            (Some(StoreItem::Entry(_, entry)), None) => entry.lease,
            (Some(StoreItem::Host(host)), None) => host.lease,
            _ => LeaseId::NONE,
        };
        if !gone.is_none() {
            *batch.gone.entry(gone).or_default() += 1;
        }
        batch.steps.push(HistoryStep {
            at_unix_ms: batch.at_unix_ms,
            revision: batch.revision,
            key: change.key.into(),
            before,
            after,
            turn: None,
        });
    }

    fn entry(&self, lock: &str, key: &str) -> Option<Arc<QueueEntry>> {
        let queue = &self.state.locks.get(lock)?.queue;
        queue.find(key).map(|(_, entry)| entry.clone())
    }

    /// Derives the reason for which an entry was deleted.
    fn parting(&self, batch: &RevisionBatch, entry: &QueueEntry) -> LeaveReason {
        let explains = |deed: &AdminActionRecord| {
            let this = deed.key == *entry.key && deed.token == entry.token();
            let lease =
                deed.action == AdminAction::RevokeLease && deed.lease == entry.lease.to_string();
            this || lease && batch.at_unix_ms.since(deed.at_unix_ms) < DEED_EXPLAINS
        };
        if self.state.deeds.values().rev().any(|deed| explains(deed)) {
            return LeaveReason::Forced;
        }
        let together = batch.gone.get(&entry.lease).copied().unwrap_or(0);
        if together > 1 || self.leases.has_run_out(entry.lease, batch.at_unix_ms) {
            return LeaveReason::Expired;
        }
        LeaveReason::Released
    }

    /// Derives the events of one revision for one lock.
    fn derive_lock_events(
        &mut self,
        batch: &mut RevisionBatch,
        name: &Arc<str>,
        before: Option<Arc<QueueEntry>>,
        places: &HashMap<String, usize>,
    ) {
        let Some(lock) = self.state.locks.get(name) else {
            return;
        };
        let (label, depth, tenancy) = (lock.label.clone(), lock.queue.len(), lock.tenancy.clone());
        let after = lock.holder().cloned();
        self.derive_queue_events(batch, name, &label, before.as_ref(), after.as_ref(), places);
        let stats = self.lock_stats.entry(name.clone()).or_default();
        stats.depth(batch.at_unix_ms, depth);
        let id = |entry: &Arc<QueueEntry>| (entry.key.clone(), entry.create_revision);
        if before.as_ref().map(id) == after.as_ref().map(id) {
            return;
        }
        let held_ms = tenancy
            .since_unix_ms
            .map(|since| batch.at_unix_ms.millis_since(since));
        let parting = before.as_ref().map(|entry| self.parting(batch, entry));
        let event = match (&before, &after) {
            (Some(from), Some(to)) => EventKind::Passes {
                from: from.clone(),
                held_ms,
                parting: parting.unwrap_or(LeaveReason::Released),
                to: to.clone(),
                waited_ms: to
                    .since_unix_ms
                    .map(|since| batch.at_unix_ms.millis_since(since)),
            },
            (Some(who), None) => EventKind::Ends {
                who: who.clone(),
                held_ms,
                parting: parting.unwrap_or(LeaveReason::Released),
            },
            (None, Some(who)) => EventKind::Acquires { who: who.clone() },
            (None, None) => return,
        };
        self.record_stats(batch.at_unix_ms, name, &event);
        let turned = LockTenancy {
            since_unix_ms: Some(batch.at_unix_ms),
            before: before.zip(parting),
        };
        self.state.put_tenancy(name, turned.clone());
        let of_this = |step: &&mut HistoryStep| match self.scope.classify(&step.key) {
            KeyKind::Entry(lock) => lock == *name,
            _ => false,
        };
        if let Some(step) = batch.steps.iter_mut().rev().find(of_this) {
            step.turn = Some(TenancyChange {
                lock: name.clone(),
                before: tenancy,
                after: turned,
            });
        }
        self.emit(batch.at_unix_ms, batch.revision, Some(label), event);
    }

    /// Derives events about waiters that joined and left.
    fn derive_queue_events(
        &mut self,
        batch: &RevisionBatch,
        name: &Arc<str>,
        label: &Arc<str>,
        before: Option<&Arc<QueueEntry>>,
        after: Option<&Arc<QueueEntry>>,
        places: &HashMap<String, usize>,
    ) {
        let mut events = Vec::new();
        for step in &batch.steps {
            match (&step.before, &step.after) {
                (was, Some(StoreItem::Entry(lock, who))) if lock == name => {
                    let stood = matches!(was, Some(StoreItem::Entry(_, was)) if was.create_revision == who.create_revision);
                    if !stood && after.is_none_or(|holder| holder.key != who.key) {
                        let queue = self.state.locks.get(name).map(|lock| &lock.queue);
                        let found = queue.and_then(|queue| queue.find(&who.key));
                        events.push(EventKind::Waits {
                            who: who.clone(),
                            ahead: found.map_or(0, |(role, _)| role.place()),
                        });
                    }
                }
                (Some(StoreItem::Entry(lock, who)), None)
                    if lock == name && before.is_none_or(|holder| holder.key != who.key) =>
                {
                    events.push(EventKind::Leaves {
                        who: who.clone(),
                        place: places.get(&*step.key).copied().unwrap_or(0),
                        parting: self.parting(batch, who),
                    });
                }
                _ => {}
            }
        }
        for kind in events {
            self.emit(batch.at_unix_ms, batch.revision, Some(label.clone()), kind);
        }
    }
}
