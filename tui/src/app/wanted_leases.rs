//! Leases whose time should be requested from the store.

use leasehold_lock::LeaseId;
use leasehold_records::UnixMs;

use super::app_state::App;
use super::list::RowKey;

/// Most leases requested at a time.
const WANTED: usize = 128;

/// Leases to request: those on the screen first, then holders whose time runs out.
impl App {
    pub(crate) fn wanted_leases(&self, now: UnixMs) -> Vec<LeaseId> {
        let shown = self.shown(now);
        let mut wanted = Vec::new();
        if !shown.is_live {
            return wanted;
        }
        let mut want = |lease: LeaseId| {
            if !lease.is_none() && wanted.len() < WANTED && !wanted.contains(&lease) {
                wanted.push(lease);
            }
        };
        let list = self.list();
        let end = list.len().min(list.top() + list.height().max(1));
        let selected = self.selected_lock(now).or_else(|| self.lock.clone());
        for row in &list.rows()[list.top().min(end)..end] {
            match row {
                RowKey::Lock(lock) => {
                    let holder = shown.state.locks.get(lock).and_then(|lock| lock.holder());
                    if let Some(holder) = holder {
                        want(holder.lease);
                    }
                }
                RowKey::Entry(lock, key) => {
                    let queue = shown.state.locks.get(lock).map(|lock| &lock.queue);
                    let found = queue.and_then(|queue| queue.find(key));
                    if let Some((_, entry)) = found {
                        want(entry.lease);
                    }
                }
                RowKey::Session(lease) => want(*lease),
                RowKey::Job(..) | RowKey::Event(_) => {}
            }
        }
        if let Some(lock) = selected.and_then(|lock| shown.state.locks.get(&lock)) {
            lock.queue
                .iter()
                .take(16)
                .for_each(|entry| want(entry.lease));
        }
        for lock in shown.state.locks.values() {
            if let Some(holder) = lock.holder()
                && self
                    .model
                    .leases
                    .ttl(holder.lease, now)
                    .is_some_and(|ttl| ttl.is_due())
            {
                want(holder.lease);
            }
        }
        wanted
    }
}
