//! Checks of one host, by name.

use std::collections::BTreeMap;
use std::time::Duration;

use leasehold_lock::{BootTime, LeaseId};

/// Result of one check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct HostCheck {
    /// Name of the check.
    pub(crate) name: &'static str,
    /// Description of the fault; nothing when the check holds.
    pub(crate) fault: Option<String>,
}

/// Reachability of the store.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum StoreSight {
    /// The host has not connected yet.
    #[default]
    Connecting,
    Reachable,
    /// Nothing was answered since this moment.
    Lost(BootTime),
}

/// The id of the host, in the store.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
enum IdSight {
    #[default]
    Held,
    /// It is held by another process, described for people.
    Taken(String),
}

/// Health of one host, as its events show it.
#[derive(Debug, Default)]
pub(crate) struct HostHealth {
    are_plugins_loaded: bool,
    store: StoreSight,
    id: IdSight,
    /// Leases with a renewal that has no reply, and the moment since when.
    late: BTreeMap<LeaseId, BootTime>,
    /// Reason of the stop, once it was requested.
    stopping: Option<String>,
}

impl HostHealth {
    /// The plugins are loaded.
    pub(crate) const fn set_plugins_loaded(&mut self) {
        self.are_plugins_loaded = true;
    }

    /// A host of this name starts, perhaps after an earlier one. Its plugins are loaded before.
    pub(crate) fn start(&mut self) {
        *self = Self {
            are_plugins_loaded: self.are_plugins_loaded,
            ..Self::default()
        };
    }

    pub(crate) const fn store_reached(&mut self) {
        self.store = StoreSight::Reachable;
    }

    pub(crate) const fn store_lost(&mut self, since: BootTime) {
        self.store = StoreSight::Lost(since);
    }

    pub(crate) fn id_lost(&mut self, holder: &str) {
        self.id = IdSight::Taken(holder.to_owned());
    }

    pub(crate) fn id_held(&mut self) {
        self.id = IdSight::Held;
    }

    /// A renewal of the lease has had no reply since this moment.
    pub(crate) fn lease_late(&mut self, lease: LeaseId, since: BootTime) {
        self.late.insert(lease, since);
    }

    /// The lease was renewed, or it has ended.
    pub(crate) fn lease_settled(&mut self, lease: LeaseId) {
        self.late.remove(&lease);
    }

    pub(crate) fn stop(&mut self, reason: &str) {
        self.stopping = Some(reason.to_owned());
    }

    /// Returns all checks, in a fixed order.
    pub(crate) fn checks(&self, now: BootTime) -> Vec<HostCheck> {
        let check = |name, fault| HostCheck { name, fault };
        let plugins = (!self.are_plugins_loaded).then(|| "loading and compiling".to_owned());
        let store = match self.store {
            StoreSight::Connecting => Some("not connected yet".to_owned()),
            StoreSight::Reachable => None,
            StoreSight::Lost(since) => Some(format!("no answer for {}", ago(now.since(since)))),
        };
        let id = match &self.id {
            IdSight::Held => None,
            IdSight::Taken(holder) => Some(format!("taken by {holder}")),
        };
        let oldest = self.late.iter().min_by_key(|(_, since)| **since);
        let leases = oldest.map(|(lease, since)| {
            let (more, waited) = (self.late.len() - 1, ago(now.since(*since)));
            let others = match more {
                0 => String::new(),
                _ => format!(", and of {more} more"),
            };
            format!("no reply to a renewal of lease {lease} for {waited}{others}")
        });
        vec![
            check("plugins", plugins),
            check("store", store),
            check("id", id),
            check("leases", leases),
            check("running", self.stopping.clone()),
        ]
    }
}

fn ago(time: Duration) -> String {
    format!("{}.{} s", time.as_secs(), time.subsec_millis() / 100)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> BootTime {
        BootTime::from_nanos(millis * 1_000_000)
    }

    fn faults(health: &HostHealth) -> Vec<String> {
        let failing = health.checks(at(10_000)).into_iter();
        failing
            .filter_map(|check| Some(format!("{}: {}", check.name, check.fault?)))
            .collect()
    }

    #[test]
    fn host_becomes_ready_when_all_is_reached() {
        let mut health = HostHealth::default();
        assert_eq!(
            faults(&health),
            ["plugins: loading and compiling", "store: not connected yet"]
        );
        health.set_plugins_loaded();
        health.start();
        health.store_reached();
        assert_eq!(faults(&health), [""; 0]);
    }

    #[test]
    fn faults_are_described_and_end() {
        let mut health = HostHealth::default();
        health.set_plugins_loaded();
        health.store_lost(at(2_500));
        health.id_lost("web2, pid 7");
        health.lease_late(LeaseId::new(0xab), at(9_000));
        health.lease_late(LeaseId::new(0xcd), at(8_900));
        health.stop("SIGTERM");
        assert_eq!(
            faults(&health),
            [
                "store: no answer for 7.5 s",
                "id: taken by web2, pid 7",
                "leases: no reply to a renewal of lease cd for 1.1 s, and of 1 more",
                "running: SIGTERM"
            ]
        );
        health.store_reached();
        health.id_held();
        health.lease_settled(LeaseId::new(0xab));
        health.lease_settled(LeaseId::new(0xcd));
        assert_eq!(faults(&health), ["running: SIGTERM"]);
        // Another host of the name starts, as `leasehold dev --chaos` does.
        health.start();
        health.store_reached();
        assert_eq!(faults(&health), [""; 0]);
    }
}
