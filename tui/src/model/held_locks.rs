//! Locks by holder.
//!
//! Updated with each change of a holder: computing it from many locks would take longer than a frame.

use std::collections::HashMap;
use std::sync::Arc;

use super::entry_owner::EntryOwner;

/// Locks by holder.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct HeldLocks {
    /// Full names, each list sorted.
    holds: HashMap<EntryOwner, Vec<Arc<str>>>,
}

impl HeldLocks {
    /// Records a change of the holder of a lock; `None` for no holder.
    pub(super) fn set_holder(
        &mut self,
        lock: &Arc<str>,
        from: Option<&EntryOwner>,
        to: Option<&EntryOwner>,
    ) {
        if from == to {
            return;
        }
        if let Some(who) = from
            && let Some(held) = self.holds.get_mut(who)
        {
            held.retain(|name| name != lock);
            if held.is_empty() {
                self.holds.remove(who);
            }
        }
        if let Some(who) = to {
            let held = self.holds.entry(who.clone()).or_default();
            if let Err(at) = held.binary_search(lock) {
                held.insert(at, lock.clone());
            }
        }
    }

    /// Full names of the locks that `who` holds.
    pub(crate) fn holds(&self, who: &EntryOwner) -> &[Arc<str>] {
        self.holds.get(who).map_or(&[], Vec::as_slice)
    }
}
