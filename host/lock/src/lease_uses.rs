//! The entries on one lease, and the end of its use. Pure.
//!
//! Two entries under one lease would be one key, and so one holder twice: a name is taken at most once.

use std::collections::HashMap;
use std::time::Duration;

use crate::clock::BootTime;

/// The names in use under one lease.
#[derive(Debug)]
pub(crate) struct LeaseUses {
    names: HashMap<String, NameUse>,
    /// No further entry is put under this lease.
    retired: bool,
    idle_since: BootTime,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum NameUse {
    /// An entry, or an acquisition that may have one.
    Entry,
    /// A put without an answer may still make an entry; the name stays taken until the lease has ended.
    Unanswered,
    /// A foreign key exists under the entry's key.
    SetAside,
}

impl LeaseUses {
    pub(crate) fn new(now: BootTime) -> Self {
        Self {
            names: HashMap::new(),
            retired: false,
            idle_since: now,
        }
    }

    /// Takes each of `names` for one entry; false, with none taken, when one is taken already or the lease takes no more
    /// entries.
    pub(crate) fn take(&mut self, names: &[&str]) -> bool {
        if self.retired || names.iter().any(|name| self.names.contains_key(*name)) {
            return false;
        }
        let used = names
            .iter()
            .map(|name| ((*name).to_owned(), NameUse::Entry));
        self.names.extend(used);
        true
    }

    /// Frees `name`: its entry is certainly not in the store, and no put of it is on its way.
    pub(crate) fn free(&mut self, name: &str, now: BootTime) {
        self.names.remove(name);
        self.idle_since = now;
    }

    /// Notes that a put of `name` may still arrive. Only the end of the lease rules that out, so the lease is
    /// retired.
    pub(crate) fn unanswered(&mut self, name: &str, now: BootTime) {
        self.names.insert(name.to_owned(), NameUse::Unanswered);
        self.retired = true;
        self.idle_since = now;
    }

    /// Notes that a foreign key exists where the entry of `name` would be. A lease without any entry is retired then:
    /// it may have been opened for this one.
    pub(crate) fn set_aside(&mut self, name: &str, now: BootTime) {
        self.names.insert(name.to_owned(), NameUse::SetAside);
        self.retired |= !self.has_entries();
        self.idle_since = now;
    }

    fn has_entries(&self) -> bool {
        self.names.values().any(|used| *used == NameUse::Entry)
    }

    /// True if the lease takes no more entries and has none.
    pub(crate) fn is_spent(&self) -> bool {
        self.retired && !self.has_entries()
    }

    /// Retires a lease that has had no entry for `long`.
    pub(crate) fn retire_if_idle(&mut self, now: BootTime, long: Duration) {
        if !self.has_entries() && now.since(self.idle_since) >= long {
            self.retired = true;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_mins(1);

    fn at(seconds: u64) -> BootTime {
        BootTime::from_nanos(seconds * 1_000_000_000)
    }

    #[test]
    fn name_is_taken_once_until_freed() {
        let mut uses = LeaseUses::new(at(0));
        assert!(uses.take(&["a"]) && uses.take(&["b"]));
        assert!(!uses.take(&["a"]));
        uses.free("a", at(1));
        assert!(uses.take(&["a"]));
    }

    #[test]
    fn set_takes_all_of_its_names_or_none() {
        let mut uses = LeaseUses::new(at(0));
        assert!(uses.take(&["b"]));
        assert!(!uses.take(&["a", "b"]));
        assert!(uses.take(&["a", "c"]));
        assert!(!uses.take(&["c"]));
    }

    /// Fails when an unanswered put frees its name: a new entry would share the key with the late one.
    #[test]
    fn unanswered_put_retires_the_lease_and_keeps_its_name() {
        let mut uses = LeaseUses::new(at(0));
        assert!(uses.take(&["a"]) && uses.take(&["b"]));
        uses.unanswered("a", at(1));
        assert!(!uses.take(&["a"]), "the late put would make this entry");
        assert!(
            !uses.take(&["c"]),
            "another entry would keep the lease alive"
        );
        assert!(!uses.is_spent(), "b lives on the lease");
        uses.free("b", at(2));
        assert!(uses.is_spent());
    }

    #[test]
    fn lease_with_only_a_foreign_key_is_spent() {
        let mut uses = LeaseUses::new(at(0));
        uses.take(&["a"]);
        uses.set_aside("a", at(1));
        assert!(uses.is_spent());

        let mut uses = LeaseUses::new(at(0));
        assert!(uses.take(&["a"]) && uses.take(&["b"]));
        uses.set_aside("a", at(1));
        assert!(!uses.is_spent() && !uses.take(&["a"]) && uses.take(&["c"]));
    }

    #[test]
    fn idle_lease_retires_and_a_used_one_stays() {
        let mut uses = LeaseUses::new(at(0));
        uses.take(&["a"]);
        uses.retire_if_idle(at(600), LONG);
        assert!(!uses.is_spent(), "it has an entry");
        uses.free("a", at(600));
        uses.retire_if_idle(at(659), LONG);
        assert!(!uses.is_spent() && uses.take(&["b"]));
        uses.free("b", at(700));
        uses.retire_if_idle(at(760), LONG);
        assert!(uses.is_spent() && !uses.take(&["b"]));
    }
}
