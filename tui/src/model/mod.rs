//! The model: what is known of the store, fed by facts and by nothing else.
//!
//! Pure: no clock, no network, no screen. [`Model::take`] takes a fact; everything else reads. What is
//! shown may be the present or a moment of the past ([`Model::shown`]); facts are taken in either way.

mod blame;
mod carried;
mod entry;
mod event;
mod history;
mod item;
mod journal;
mod lease;
mod lock;
mod row;
mod scope;
mod session;
mod take;
mod tell;
mod who;
mod world;

#[cfg(test)]
pub(crate) mod fixture;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::Arc;

use leasehold_lock::StoreHealth;

pub(crate) use entry::Entry;
pub(crate) use event::{Event, Events, What};
pub(crate) use history::History;
pub(crate) use item::Host;
pub(crate) use journal::{Journal, Past};
pub(crate) use lease::{Leases, Ttl};
pub(crate) use lock::{Lock, Parting};
pub(crate) use row::{LockRow, State};
pub(crate) use scope::{Place, Scope};
pub(crate) use session::{Brief, SessionRow};
pub(crate) use who::Who;
pub(crate) use world::World;

/// Steps that are kept to go back through.
const STEPS: usize = 50_000;
/// Events that are kept.
const EVENTS: usize = 100_000;

/// Whether the store is heard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Link {
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
    pub(crate) scope: Scope,
    world: World,
    past: Option<Past>,
    pub(crate) journal: Journal,
    pub(crate) events: Events,
    history: HashMap<Arc<str>, History>,
    pub(crate) leases: Leases,
    pub(crate) link: Link,
    /// Prefixes that the store does not let us read.
    pub(crate) denied: Vec<String>,
    revision: i64,
    /// When the last fact came, in Unix milliseconds.
    pub(crate) heard: u64,
    /// How the store is, or why that is not known.
    pub(crate) health: Option<Result<StoreHealth, String>>,
}

/// A moment as it is shown.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shown<'a> {
    pub(crate) world: &'a World,
    /// The moment, in Unix milliseconds.
    pub(crate) now: u64,
    pub(crate) revision: i64,
    /// The number of the step that would come next.
    pub(crate) next: u64,
    /// Whether it is the present.
    pub(crate) is_live: bool,
}

impl Model {
    pub(crate) fn new(scope: Scope) -> Self {
        Self::bounded(scope, STEPS, EVENTS)
    }

    /// A model that remembers so many steps and events.
    pub(crate) fn bounded(scope: Scope, steps: usize, events: usize) -> Self {
        Self {
            scope,
            world: World::default(),
            past: None,
            journal: Journal::new(steps),
            events: Events::new(events),
            history: HashMap::new(),
            leases: Leases::default(),
            link: Link::Loading,
            denied: Vec::new(),
            revision: 0,
            heard: 0,
            health: None,
        }
    }

    /// What is shown, if it is `now`.
    pub(crate) fn shown(&self, now: u64) -> Shown<'_> {
        match &self.past {
            Some(past) => Shown {
                world: &past.world,
                now: past.at,
                revision: past.revision,
                next: past.next,
                is_live: false,
            },
            None => Shown {
                world: &self.world,
                now,
                revision: self.revision,
                next: self.journal.next(),
                is_live: true,
            },
        }
    }

    /// What a lock has been through.
    pub(crate) fn history(&self, lock: &str) -> Option<&History> {
        self.history.get(lock)
    }

    /// Stops what is shown at the moment `now`.
    pub(crate) fn freeze(&mut self, now: u64) {
        if self.past.is_none() {
            self.past = Some(Past {
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
        self.travel(now, Journal::back)
    }

    /// Shows the moment one revision later. False when there is none.
    pub(crate) fn step_forward(&mut self, now: u64) -> bool {
        self.travel(now, Journal::forward)
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

    fn travel(&mut self, now: u64, how: impl FnOnce(&Journal, &Scope, &mut Past) -> bool) -> bool {
        self.freeze(now);
        match &mut self.past {
            Some(past) => how(&self.journal, &self.scope, past),
            None => false,
        }
    }
}
