//! The model: the state of the store, now and at earlier moments.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use leasehold_lock::{Revision, StoreHealth};
use leasehold_records::UnixMs;

use super::event::EventLog;
use super::history::{ChangeHistory, PastMoment};
use super::lease::LeaseTable;
use super::lock_stats::LockStats;
use super::scope::KeyScope;
use super::store_state::StoreState;

/// Steps kept for going back.
const STEPS: usize = 50_000;
/// Events kept.
const EVENTS: usize = 100_000;

/// State of the connection to the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum StoreLink {
    /// Nothing has been read yet.
    Loading,
    /// Every change arrives.
    Live,
    /// Lost: the shown state is that of the moment `since`.
    Down { reason: Arc<str>, since: UnixMs },
}

/// The state of the store, its history and its events.
#[derive(Debug)]
pub(crate) struct Model {
    pub(crate) scope: KeyScope,
    pub(super) state: StoreState,
    pub(super) past: Option<PastMoment>,
    pub(crate) history: ChangeHistory,
    pub(crate) events: EventLog,
    pub(super) lock_stats: HashMap<Arc<str>, LockStats>,
    pub(crate) leases: LeaseTable,
    pub(crate) link: StoreLink,
    /// Prefixes that may not be read.
    pub(crate) denied: Vec<String>,
    pub(super) revision: Revision,
    /// Moment of the last fact.
    pub(crate) last_fact_at: UnixMs,
    /// Health of the store, or the reason why it is unknown.
    pub(crate) health: Option<Result<StoreHealth, String>>,
}

/// The moment that is shown.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ShownMoment<'a> {
    pub(crate) state: &'a StoreState,
    /// The moment.
    pub(crate) now: UnixMs,
    pub(crate) revision: Revision,
    /// Number of the step that would come next.
    pub(crate) next: u64,
    /// The moment is the present.
    pub(crate) is_live: bool,
}

impl Model {
    pub(crate) fn new(scope: KeyScope) -> Self {
        Self::bounded(scope, STEPS, EVENTS)
    }

    /// A model that keeps this many steps and events.
    pub(crate) fn bounded(scope: KeyScope, steps: usize, events: usize) -> Self {
        Self {
            scope,
            state: StoreState::default(),
            past: None,
            history: ChangeHistory::new(steps),
            events: EventLog::new(events),
            lock_stats: HashMap::new(),
            leases: LeaseTable::default(),
            link: StoreLink::Loading,
            denied: Vec::new(),
            revision: Revision::NONE,
            last_fact_at: UnixMs::default(),
            health: None,
        }
    }

    /// The shown moment, with `now` as the present.
    pub(crate) fn shown(&self, now: UnixMs) -> ShownMoment<'_> {
        match &self.past {
            Some(past) => ShownMoment {
                state: &past.state,
                now: past.at_unix_ms,
                revision: past.revision,
                next: past.next,
                is_live: false,
            },
            None => ShownMoment {
                state: &self.state,
                now,
                revision: self.revision,
                next: self.history.next(),
                is_live: true,
            },
        }
    }

    /// Statistics of a lock.
    pub(crate) fn lock_stats(&self, lock: &str) -> Option<&LockStats> {
        self.lock_stats.get(lock)
    }

    /// Freezes the shown state at the moment `now`.
    pub(crate) fn freeze(&mut self, now: UnixMs) {
        if self.past.is_none() {
            self.past = Some(PastMoment {
                state: self.state.clone(),
                next: self.history.next(),
                at_unix_ms: now,
                revision: self.revision,
            });
        }
    }

    /// Shows the present again.
    pub(crate) fn show_present(&mut self) {
        self.past = None;
    }

    /// Number of changes since the moment that is shown.
    pub(crate) fn changes_behind(&self) -> u64 {
        let next = self.past.as_ref().map(|past| past.next);
        next.map_or(0, |next| self.history.next() - next)
    }

    /// Shows the moment one revision earlier. Returns false if none exists.
    pub(crate) fn step_back(&mut self, now: UnixMs) -> bool {
        self.move_past(now, ChangeHistory::back)
    }

    /// Shows the moment one revision later. Returns false if none exists.
    pub(crate) fn step_forward(&mut self, now: UnixMs) -> bool {
        self.move_past(now, ChangeHistory::forward)
    }

    /// Shows the moment `at`, or the nearest that the history reaches.
    pub(crate) fn seek(&mut self, now: UnixMs, at: UnixMs) {
        self.move_past(now, |history, scope, past| {
            history.seek(scope, past, at);
            true
        });
    }

    /// The first and the last moment that can be shown.
    pub(crate) fn time_range(&self, now: UnixMs) -> (UnixMs, UnixMs) {
        let oldest = self.history.get(self.history.first());
        (
            oldest.map_or(now, |step| step.at_unix_ms.before(Duration::from_millis(1))),
            now,
        )
    }

    fn move_past(
        &mut self,
        now: UnixMs,
        how: impl FnOnce(&ChangeHistory, &KeyScope, &mut PastMoment) -> bool,
    ) -> bool {
        self.freeze(now);
        match &mut self.past {
            Some(past) => how(&self.history, &self.scope, past),
            None => false,
        }
    }
}
