//! Rows of each view: filtered, sorted, and made anew only after a change.

use std::borrow::Cow;
use std::cmp::Reverse;
use std::collections::HashSet;
use std::time::Duration;

use leasehold_lock::LeaseId;
use leasehold_records::UnixMs;

use super::app_state::App;
use super::list::RowKey;
use super::queue_tree::build_queue_tree;
use super::rows_fingerprint::{RowsFingerprint, RowsQuery};
use super::state_counts::StateCounts;
use super::view::View;
use crate::columns::{
    JOB_COLUMNS, JobColumn, LOCK_COLUMNS, LockColumn, SESSION_COLUMNS, SessionColumn,
};
use crate::model::{LockRow, Model, ObservedLock, SessionBrief};

/// Interval of sorting by time, in milliseconds.
const RESORT: u64 = 1_000;
/// With more locks than this, rows are made anew at most once per [`PAUSE`]: it takes longer than a frame.
const SMALL: usize = 1_000;
/// Least time between two such makings.
const PAUSE: Duration = Duration::from_millis(500);

impl App {
    /// Brings the rows of the view up to date.
    pub(crate) fn refresh(&mut self, now: UnixMs) {
        if self.view == View::Queue && self.lock.is_none() {
            // No lock is chosen yet, or none existed.
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
            second: now.as_u64() / RESORT,
        };
        let is_large = shown.state.locks.len() > SMALL;
        let is_soon = now.since(self.refreshed_at) < PAUSE;
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

    /// Rows of the Locks view, if it is shown, and counts of locks by state.
    fn lock_rows(&self, now: UnixMs) -> (Vec<RowKey>, StateCounts) {
        let shown = self.shown(now);
        let is_shown = matches!(self.view, View::Locks | View::Heatmap);
        let sort = self.sort();
        let column = sort.column(&LOCK_COLUMNS).unwrap_or(LockColumn::Lock);
        let mut counts = StateCounts::default();
        let mut rows: Vec<(Option<u64>, &ObservedLock)> = Vec::new();
        for lock in shown.state.locks.values() {
            let is_free = lock.queue.is_empty();
            // A lock that has always been free at this moment has no row yet.
            if is_free && lock.tenancy.since_unix_ms.is_none() {
                continue;
            }
            let row = self.model.row(shown, lock);
            if !is_free {
                counts.add(&row);
            }
            if is_shown && (self.filter.is_empty() || self.passes(&row)) {
                rows.push((column.value(&row).rank(), lock));
            }
        }
        // Sorted by label first: they almost come in this order, and rows of equal rank keep it.
        rows.sort_by(|(_, a), (_, b)| a.label.cmp(&b.label));
        match (column == LockColumn::Lock, sort.reverse) {
            (true, false) => {}
            (true, true) => rows.reverse(),
            (false, false) => rows.sort_by_key(|(rank, _)| *rank),
            (false, true) => rows.sort_by_key(|(rank, _)| Reverse(*rank)),
        }
        let keys = rows.into_iter();
        let keys = keys.map(|(_, lock)| RowKey::Lock(lock.name.clone()));
        (keys.collect(), counts)
    }

    fn passes(&self, row: &LockRow<'_>) -> bool {
        let fields = LockColumn::filtered().map(|column| column.value(row).filter_text());
        let fields: Vec<Cow<'_, str>> = fields.collect();
        self.filter.matches(&borrowed(&fields))
    }

    fn queue_rows(&self, now: UnixMs) -> Vec<RowKey> {
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

    fn session_rows(&self, now: UnixMs) -> Vec<RowKey> {
        let shown = self.shown(now);
        let mut rows = Model::session_briefs(shown);
        if !self.filter.is_empty() {
            let passing: HashSet<LeaseId> = self.passing_sessions(now).collect();
            rows.retain(|row| passing.contains(&row.lease));
        }
        let sort = self.sort();
        let column = sort
            .column(&SESSION_COLUMNS)
            .unwrap_or(SessionColumn::Session);
        let rank =
            |row: &SessionBrief| column.rank(row, || self.model.leases.ttl(row.lease, shown.now));
        match (column == SessionColumn::Session, sort.reverse) {
            (true, false) => {}
            (true, true) => rows.reverse(),
            (false, false) => rows.sort_by_cached_key(rank),
            (false, true) => rows.sort_by_cached_key(|row| Reverse(rank(row))),
        }
        rows.into_iter()
            .map(|row| RowKey::Session(row.lease))
            .collect()
    }

    /// Sessions that pass the filter.
    fn passing_sessions(&self, now: UnixMs) -> impl Iterator<Item = LeaseId> {
        let rows = self.model.sessions(self.shown(now)).into_iter();
        rows.filter(|row| {
            let mut fields = Vec::new();
            for spec in SESSION_COLUMNS.iter().filter(|spec| spec.is_filtered) {
                spec.column.filter_texts(row, &mut fields);
            }
            self.filter.matches(&borrowed(&fields))
        })
        .map(|row| row.lease)
    }

    fn job_rows(&self, now: UnixMs) -> Vec<RowKey> {
        let shown = self.shown(now);
        let mut jobs: Vec<_> = shown
            .state
            .jobs
            .values()
            .filter(|job| {
                let filtered = JOB_COLUMNS.iter().filter(|spec| spec.is_filtered);
                let fields = filtered.map(|spec| spec.column.filter_text(job));
                self.filter.matches(&fields.collect::<Vec<_>>())
            })
            .collect();
        let sort = self.sort();
        let column = sort.column(&JOB_COLUMNS).unwrap_or(JobColumn::Job);
        jobs.sort_by(|a, b| {
            let order = column.compare(a, b);
            let order = if sort.reverse { order.reverse() } else { order };
            order.then_with(|| (&a.job, &a.host).cmp(&(&b.job, &b.host)))
        });
        // Named as in the records, which are printable; names in keys need not be.
        jobs.into_iter()
            .map(|job| RowKey::Job(job.job.clone(), job.host.clone()))
            .collect()
    }

    fn event_rows(&self, now: UnixMs) -> Vec<RowKey> {
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

/// Borrows the texts of a row.
fn borrowed<'a>(fields: &'a [Cow<'_, str>]) -> Vec<&'a str> {
    fields.iter().map(|field| &**field).collect()
}
