//! The model: the state of the store, now and at earlier moments.

use std::collections::HashMap;
use std::sync::Arc;

use leasehold_lock::Health;

use super::event::EventLog;
use super::history::{ChangeHistory, PastMoment};
use super::lease::LeaseTable;
use super::lock_stats::LockStats;
use super::scope::KeyScope;
use super::store_state::StoreState;

/// Steps that are kept to go back through.
const STEPS: usize = 50_000;
/// Events that are kept.
const EVENTS: usize = 100_000;

/// Whether the store is heard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum StoreLink {
    /// Nothing has been read yet.
    Loading,
    /// Every change is told.
    Live,
    /// It is not heard: what is shown was so at the moment `since`.
    Down { reason: Arc<str>, since: u64 },
}

/// What is known of the store.
#[derive(Debug)]
pub(crate) struct Model {
    pub(crate) scope: KeyScope,
    pub(super) world: StoreState,
    pub(super) past: Option<PastMoment>,
    pub(crate) journal: ChangeHistory,
    pub(crate) events: EventLog,
    pub(super) history: HashMap<Arc<str>, LockStats>,
    pub(crate) leases: LeaseTable,
    pub(crate) link: StoreLink,
    /// Prefixes that the store does not let us read.
    pub(crate) denied: Vec<String>,
    pub(super) revision: i64,
    /// When the last fact came, in Unix milliseconds.
    pub(crate) heard: u64,
    /// How the store is, or why that is not known.
    pub(crate) health: Option<Result<Health, String>>,
}

/// A moment as it is shown.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ShownMoment<'a> {
    pub(crate) world: &'a StoreState,
    /// The moment, in Unix milliseconds.
    pub(crate) now: u64,
    pub(crate) revision: i64,
    /// The number of the step that would come next.
    pub(crate) next: u64,
    /// Whether it is the present.
    pub(crate) is_live: bool,
}

impl Model {
    pub(crate) fn new(scope: KeyScope) -> Self {
        Self::bounded(scope, STEPS, EVENTS)
    }

    /// A model that remembers so many steps and events.
    pub(crate) fn bounded(scope: KeyScope, steps: usize, events: usize) -> Self {
        Self {
            scope,
            world: StoreState::default(),
            past: None,
            journal: ChangeHistory::new(steps),
            events: EventLog::new(events),
            history: HashMap::new(),
            leases: LeaseTable::default(),
            link: StoreLink::Loading,
            denied: Vec::new(),
            revision: 0,
            heard: 0,
            health: None,
        }
    }

    /// What is shown, if it is `now`.
    pub(crate) fn shown(&self, now: u64) -> ShownMoment<'_> {
        match &self.past {
            Some(past) => ShownMoment {
                world: &past.world,
                now: past.at,
                revision: past.revision,
                next: past.next,
                is_live: false,
            },
            None => ShownMoment {
                world: &self.world,
                now,
                revision: self.revision,
                next: self.journal.next(),
                is_live: true,
            },
        }
    }

    /// What a lock has been through.
    pub(crate) fn history(&self, lock: &str) -> Option<&LockStats> {
        self.history.get(lock)
    }

    /// Stops what is shown at the moment `now`.
    pub(crate) fn freeze(&mut self, now: u64) {
        if self.past.is_none() {
            self.past = Some(PastMoment {
                world: self.world.clone(),
                next: self.journal.next(),
                at: now,
                revision: self.revision,
            });
        }
    }

    /// Shows the present again.
    pub(crate) fn live(&mut self) {
        self.past = None;
    }

    /// Changes that have come since the moment that is shown.
    pub(crate) fn behind(&self) -> u64 {
        let next = self.past.as_ref().map(|past| past.next);
        next.map_or(0, |next| self.journal.next() - next)
    }

    /// Shows the moment one revision earlier. False when there is none.
    pub(crate) fn step_back(&mut self, now: u64) -> bool {
        self.travel(now, ChangeHistory::back)
    }

    /// Shows the moment one revision later. False when there is none.
    pub(crate) fn step_forward(&mut self, now: u64) -> bool {
        self.travel(now, ChangeHistory::forward)
    }

    /// Shows the moment `at`, or the nearest that the journal reaches.
    pub(crate) fn seek(&mut self, now: u64, at: u64) {
        self.travel(now, |journal, scope, past| {
            journal.seek(scope, past, at);
            true
        });
    }

    /// The moments between which one can travel.
    pub(crate) fn reach(&self, now: u64) -> (u64, u64) {
        let oldest = self.journal.get(self.journal.first());
        (oldest.map_or(now, |step| step.at.saturating_sub(1)), now)
    }

    fn travel(
        &mut self,
        now: u64,
        how: impl FnOnce(&ChangeHistory, &KeyScope, &mut PastMoment) -> bool,
    ) -> bool {
        self.freeze(now);
        match &mut self.past {
            Some(past) => how(&self.journal, &self.scope, past),
            None => false,
        }
    }
}
