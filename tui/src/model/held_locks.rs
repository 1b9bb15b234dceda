//! Locks by holder.
//!
//! The state keeps it as holders change: made anew from many locks it would take longer than a frame.

use std::collections::HashMap;
use std::sync::Arc;

use super::entry_owner::EntryOwner;

/// Who holds what.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct HeldLocks {
    /// Each list in order.
    holds: HashMap<EntryOwner, Vec<Arc<str>>>,
}

impl HeldLocks {
    /// The lock has passed from one holder to another; or there was none, or there is none.
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

    /// The full names of the locks that `who` holds.
    pub(crate) fn holds(&self, who: &EntryOwner) -> &[Arc<str>] {
        self.holds.get(who).map_or(&[], Vec::as_slice)
    }
}
