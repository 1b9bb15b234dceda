//! History: every change since the start, bounded, for stepping back and forth.
//!
//! A step contains the value of a key before and after. Going back restores the value before.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use leasehold_lock::Revision;
use leasehold_records::UnixMs;

use super::lock::LockTenancy;
use super::scope::KeyScope;
use super::store_item::StoreItem;
use super::store_state::StoreState;

/// Change of a lock's tenancy in a step.
#[derive(Clone, Debug)]
pub(crate) struct TenancyChange {
    pub(crate) lock: Arc<str>,
    pub(crate) before: LockTenancy,
    pub(crate) after: LockTenancy,
}

/// One change of one key.
#[derive(Clone, Debug)]
pub(crate) struct HistoryStep {
    /// Moment at which it was seen.
    pub(crate) at_unix_ms: UnixMs,
    /// Revision of the change.
    pub(crate) revision: Revision,
    pub(crate) key: Arc<str>,
    pub(crate) before: Option<StoreItem>,
    pub(crate) after: Option<StoreItem>,
    pub(crate) turn: Option<TenancyChange>,
}

impl HistoryStep {
    pub(super) fn forward(&self, scope: &KeyScope, state: &mut StoreState) {
        state.put(scope, &self.key, self.after.clone());
        if let Some(turn) = &self.turn {
            state.put_tenancy(&turn.lock, turn.after.clone());
        }
    }

    fn back(&self, scope: &KeyScope, state: &mut StoreState) {
        state.put(scope, &self.key, self.before.clone());
        if let Some(turn) = &self.turn {
            state.put_tenancy(&turn.lock, turn.before.clone());
        }
    }
}

/// The steps, numbered from the first one ever.
#[derive(Debug)]
pub(crate) struct ChangeHistory {
    steps: VecDeque<HistoryStep>,
    /// Number of the first step that is kept.
    first: u64,
    most: usize,
}

/// The state after some step.
#[derive(Clone, Debug)]
pub(crate) struct PastMoment {
    pub(crate) state: StoreState,
    /// Number of the step that would come next.
    pub(crate) next: u64,
    /// The moment that is shown.
    pub(crate) at_unix_ms: UnixMs,
    /// The revision that is shown.
    pub(crate) revision: Revision,
}

impl ChangeHistory {
    pub(super) fn new(most: usize) -> Self {
        Self {
            steps: VecDeque::new(),
            first: 0,
            most,
        }
    }

    /// Number of the next step.
    pub(crate) fn next(&self) -> u64 {
        self.first + self.steps.len() as u64
    }

    /// Number of the oldest step that is kept.
    pub(crate) const fn first(&self) -> u64 {
        self.first
    }

    pub(crate) fn get(&self, number: u64) -> Option<&HistoryStep> {
        let at = usize::try_from(number.checked_sub(self.first)?).ok()?;
        self.steps.get(at)
    }

    /// Adds a step. Beyond the limit the oldest step is dropped, and first applied to a past that precedes it.
    pub(super) fn push(
        &mut self,
        scope: &KeyScope,
        step: HistoryStep,
        past: Option<&mut PastMoment>,
    ) {
        self.steps.push_back(step);
        if self.steps.len() > self.most
            && let Some(oldest) = self.steps.pop_front()
        {
            if let Some(past) = past
                && past.next <= self.first
            {
                oldest.forward(scope, &mut past.state);
                past.next = self.first + 1;
                past.at_unix_ms = past.at_unix_ms.max(oldest.at_unix_ms);
                past.revision = oldest.revision;
            }
            self.first += 1;
        }
    }

    /// Goes back by the changes of one revision. Returns false if no older one exists.
    pub(super) fn back(&self, scope: &KeyScope, past: &mut PastMoment) -> bool {
        let Some(last) = past.next.checked_sub(1).and_then(|number| self.get(number)) else {
            return false;
        };
        let revision = last.revision;
        while let Some(step) = past.next.checked_sub(1).and_then(|number| self.get(number))
            && step.revision == revision
        {
            step.back(scope, &mut past.state);
            past.next -= 1;
        }
        // The moment just before, to the millisecond.
        past.at_unix_ms = match past.next.checked_sub(1).and_then(|number| self.get(number)) {
            Some(step) => {
                past.revision = step.revision;
                step.at_unix_ms
            }
            None => last.at_unix_ms.before(Duration::from_millis(1)),
        };
        true
    }

    /// Goes forward by the changes of one revision. Returns false if no newer one exists.
    pub(super) fn forward(&self, scope: &KeyScope, past: &mut PastMoment) -> bool {
        let Some(revision) = self.get(past.next).map(|step| step.revision) else {
            return false;
        };
        while let Some(step) = self.get(past.next)
            && step.revision == revision
        {
            step.forward(scope, &mut past.state);
            past.next += 1;
            past.at_unix_ms = step.at_unix_ms;
            past.revision = step.revision;
        }
        true
    }

    /// Goes to the moment `at`, or as near as the history reaches.
    pub(super) fn seek(&self, scope: &KeyScope, past: &mut PastMoment, at: UnixMs) {
        while past
            .next
            .checked_sub(1)
            .and_then(|number| self.get(number))
            .is_some_and(|step| step.at_unix_ms > at)
        {
            self.back(scope, past);
        }
        while self
            .get(past.next)
            .is_some_and(|step| step.at_unix_ms <= at)
        {
            self.forward(scope, past);
        }
        let oldest = self.steps.front().map_or(at, |step| step.at_unix_ms);
        past.at_unix_ms = at.max(oldest.before(Duration::from_millis(1)));
    }
}
