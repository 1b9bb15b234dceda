//! One line about one session: a lease, whose it is, and what it carries.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::lease::Ttl;
use super::{Entry, Host, Model, Shown};

/// A lease and what it carries.
#[derive(Clone, Debug)]
pub(crate) struct SessionRow {
    pub(crate) lease: i64,
    /// The host whose record it carries, if it does.
    pub(crate) host: Option<Arc<Host>>,
    /// Whose its entries are, when it carries no host's record.
    pub(crate) whose: String,
    /// What the locks it holds are called.
    pub(crate) holds: Vec<(Arc<str>, Arc<Entry>)>,
    /// What the locks it waits for are called, and at which place.
    pub(crate) waits: Vec<(Arc<str>, Arc<Entry>, usize)>,
    pub(crate) ttl: Option<Ttl>,
}

impl Model {
    /// Every lease that carries something, at the moment that is shown: hosts first, then others, by name.
    pub(crate) fn sessions(&self, shown: Shown<'_>) -> Vec<SessionRow> {
        self.sessions_of(shown, |_| true)
    }

    /// As [`Model::sessions`], of leases that are `wanted` alone: a screen shows few of many.
    pub(crate) fn sessions_of(
        &self,
        shown: Shown<'_>,
        wanted: impl Fn(i64) -> bool,
    ) -> Vec<SessionRow> {
        let mut rows: BTreeMap<i64, SessionRow> = BTreeMap::new();
        let new = |lease| SessionRow {
            lease,
            host: None,
            whose: String::new(),
            holds: Vec::new(),
            waits: Vec::new(),
            ttl: self.leases.ttl(lease, shown.now),
        };
        for host in shown.world.hosts.values().filter(|host| wanted(host.lease)) {
            let row = rows.entry(host.lease).or_insert_with(|| new(host.lease));
            row.whose.clone_from(&host.record.host);
            row.host = Some(host.clone());
        }
        for lock in shown.world.locks.values() {
            for (place, entry) in lock.queue.iter().enumerate() {
                if entry.lease == 0 || !wanted(entry.lease) {
                    continue;
                }
                let row = rows.entry(entry.lease).or_insert_with(|| new(entry.lease));
                if row.whose.is_empty() {
                    row.whose = match entry.who.host() {
                        Some(host) => host.to_owned(),
                        None => entry.who.label(),
                    };
                }
                if place == 0 {
                    row.holds.push((lock.label.clone(), entry.clone()));
                } else {
                    row.waits.push((lock.label.clone(), entry.clone(), place));
                }
            }
        }
        let mut rows: Vec<SessionRow> = rows.into_values().collect();
        rows.sort_by_cached_key(|row| (row.host.is_none(), row.whose.clone(), row.lease));
        rows
    }
}
