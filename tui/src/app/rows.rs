//! Which rows each view has: filtered, sorted, and made anew only when something has changed.

use std::cmp::Reverse;
use std::collections::HashSet;

use super::app_state::App;
use super::list::RowKey;
use super::queue_tree::build_queue_tree;
use super::rows_fingerprint::{RowsFingerprint, RowsQuery};
use super::state_counts::StateCounts;
use super::view::View;
use crate::model::{LockRow, Model, ObservedLock, SessionBrief};

/// What is sorted by time is sorted anew this often, in milliseconds.
const RESORT: u64 = 1_000;
/// With more locks than this, rows are made anew no more often than each [`PAUSE`]: it takes longer than a frame.
const SMALL: usize = 1_000;
/// In milliseconds.
const PAUSE: u64 = 500;

impl App {
    /// Brings the rows of the view up to date.
    pub(crate) fn refresh(&mut self, now: u64) {
        if self.view == View::Queue && self.lock.is_none() {
            // Nobody has chosen one, or there was none to choose.
            let locks = &self.shown(now).state.locks;
            let first = locks.values().find(|lock| !lock.queue.is_empty());
            self.lock = first.map(|lock| lock.name.clone());
        }
        let shown = self.shown(now);
        let fingerprint = RowsFingerprint {
            query: RowsQuery {
                view: Some(self.view),
                filter: self.filter.text().to_owned(),
                sort: Some(self.sort()),
                lock: self.lock.clone(),
                moment: (!shown.is_live).then_some(shown.next),
            },
            version: shown.state.version,
            events: self.model.events.total(),
            second: now / RESORT,
        };
        let is_large = shown.state.locks.len() > SMALL;
        let is_soon = now.saturating_sub(self.refreshed_at) < PAUSE;
        let may_wait = is_large && is_soon && fingerprint.query == self.fingerprint.query;
        if fingerprint == self.fingerprint || may_wait {
            return;
        }
        self.fingerprint = fingerprint;
        self.refreshed_at = now;
        let (locks, counts) = self.lock_rows(now);
        self.counts = counts;
        let rows = match self.view {
            View::Locks | View::Heatmap => locks,
            View::Queue => self.queue_rows(now),
            View::Sessions => self.session_rows(now),
            View::Jobs => self.job_rows(now),
            View::Events => self.event_rows(now),
        };
        let hold = now < self.hold_until;
        self.list_mut().set(rows, hold);
    }

    /// The rows of the Locks view, if that is looked at, and how many locks are in which state.
    fn lock_rows(&self, now: u64) -> (Vec<RowKey>, StateCounts) {
        let shown = self.shown(now);
        let is_shown = matches!(self.view, View::Locks | View::Heatmap);
        let (sort, column) = (self.sort(), self.sort().name(self.view));
        let mut counts = StateCounts::default();
        let mut rows: Vec<(u64, &ObservedLock)> = Vec::new();
        for lock in shown.state.locks.values() {
            let is_free = lock.queue.is_empty();
            // A lock that has always been free, as far as this moment knows, is none yet.
            if is_free && lock.tenancy.since_unix_ms.is_none() {
                continue;
            }
            let row = self.model.row(shown, lock);
            if !is_free {
                counts.add(&row);
            }
            if is_shown && (self.filter.is_empty() || self.passes(&row)) {
                rows.push((rank(column, &row), lock));
            }
        }
        // By what they are called, which is almost the order in which they come; rows of the same rank stay so.
        rows.sort_by(|(_, a), (_, b)| a.label.cmp(&b.label));
        match (column, sort.reverse) {
            ("LOCK", false) => {}
            ("LOCK", true) => rows.reverse(),
            (_, false) => rows.sort_by_key(|(rank, _)| *rank),
            (_, true) => rows.sort_by_key(|(rank, _)| Reverse(*rank)),
        }
        let keys = rows.into_iter();
        let keys = keys.map(|(_, lock)| RowKey::Lock(lock.name.clone()));
        (keys.collect(), counts)
    }

    fn passes(&self, row: &LockRow<'_>) -> bool {
        let holder = row.holder.as_ref().map(|holder| holder.who.label());
        let holder = holder.as_deref().unwrap_or("");
        self.filter.matches(&[row.label, holder, row.state.word()])
    }

    fn queue_rows(&self, now: u64) -> Vec<RowKey> {
        let shown = self.shown(now);
        let Some(lock) = &self.lock else {
            return Vec::new();
        };
        build_queue_tree(shown.state, lock)
            .into_iter()
            .filter(|branch| {
                let label = branch.entry.who.label();
                let lock = self.model.scope.label(&branch.lock);
                self.filter.matches(&[&label, &lock])
            })
            .map(|branch| RowKey::Entry(branch.lock, branch.entry.key.clone()))
            .collect()
    }

    fn session_rows(&self, now: u64) -> Vec<RowKey> {
        let shown = self.shown(now);
        let mut rows = Model::session_briefs(shown);
        if !self.filter.is_empty() {
            let passing: HashSet<i64> = self.passing_sessions(now).collect();
            rows.retain(|row| passing.contains(&row.lease));
        }
        let (sort, name) = (self.sort(), self.sort().name(self.view));
        let rank = |row: &SessionBrief| match name {
            "TTL" => {
                let ttl = self.model.leases.ttl(row.lease, shown.now);
                ttl.map_or(0, |ttl| ttl.left_ms.saturating_add(1))
            }
            "HOLDS" => row.holds as u64,
            "WAITS" => row.waits as u64,
            _ => 0,
        };
        if name == "SESSION" {
            if sort.reverse {
                rows.reverse();
            }
        } else if sort.reverse {
            rows.sort_by_cached_key(|row| Reverse(rank(row)));
        } else {
            rows.sort_by_cached_key(rank);
        }
        rows.into_iter()
            .map(|row| RowKey::Session(row.lease))
            .collect()
    }

    /// The sessions that the filter lets pass.
    fn passing_sessions(&self, now: u64) -> impl Iterator<Item = i64> {
        let rows = self.model.sessions(self.shown(now)).into_iter();
        rows.filter(|row| {
            let lease = format!("{:x}", row.lease);
            let mut fields = vec![row.whose.as_str(), lease.as_str()];
            fields.extend(row.holds.iter().map(|(lock, _)| &**lock));
            fields.extend(row.waits.iter().map(|(lock, ..)| &**lock));
            self.filter.matches(&fields)
        })
        .map(|row| row.lease)
    }

    fn job_rows(&self, now: u64) -> Vec<RowKey> {
        let shown = self.shown(now);
        let mut jobs: Vec<_> = shown
            .state
            .jobs
            .values()
            .filter(|job| {
                let state = job.state.as_str();
                self.filter
                    .matches(&[&job.job, &job.host, &job.lock, state])
            })
            .collect();
        let (sort, name) = (self.sort(), self.sort().name(self.view));
        jobs.sort_by(|a, b| {
            let order = match name {
                "HOST" => a.host.cmp(&b.host),
                "STATE" => a.state.as_str().cmp(b.state.as_str()),
                "SINCE" => a.since_unix_ms.cmp(&b.since_unix_ms),
                _ => a.job.cmp(&b.job),
            };
            let order = if sort.reverse { order.reverse() } else { order };
            order.then_with(|| (&a.job, &a.host).cmp(&(&b.job, &b.host)))
        });
        // By the names in the records, which are printable; those in the keys need not be.
        jobs.into_iter()
            .map(|job| RowKey::Job(job.job.clone(), job.host.clone()))
            .collect()
    }

    fn event_rows(&self, now: u64) -> Vec<RowKey> {
        let shown = self.shown(now);
        self.model
            .events
            .before(shown.next)
            .filter(|(_, event)| {
                if self.filter.is_empty() {
                    return true;
                }
                let lock = event.lock.as_deref().unwrap_or("");
                self.filter
                    .matches(&[lock, event.kind.word(), &event.kind.sentence()])
            })
            .map(|(number, _)| RowKey::Event(number))
            .collect()
    }
}

/// Where a lock comes in the order by this column: the smallest first.
fn rank(column: &str, row: &LockRow<'_>) -> u64 {
    let or_least = |span: Option<u64>| span.map_or(0, |span| span.saturating_add(1));
    match column {
        "STATE" => row.state as u64,
        "HELD" => or_least(row.held()),
        "TTL" => row.ttl.map_or(u64::MAX, |ttl| ttl.left_ms),
        "WAIT" => row.waiters as u64,
        "OLDEST" => or_least(row.oldest()),
        "FENCE" => or_least(row.token().and_then(|token| u64::try_from(token).ok())),
        _ => 0,
    }
}
