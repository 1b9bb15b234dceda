//! State of the program, and what is selected in it.

use std::sync::Arc;

use leasehold_records::{UnixMs, lock_names};

use super::effect::StatusNote;
use super::hit_areas::HitAreas;
use super::list::{RowKey, RowList};
use super::live_output::LiveOutput;
use super::overlay::OpenOverlay;
use super::rows_fingerprint::RowsFingerprint;
use super::setup::{AppSetup, FactSource};
use super::sort::SortOrder;
use super::state_counts::StateCounts;
use super::view::View;
use crate::fact::{Fact, FactKind, OutputFact};
use crate::filter::Filter;
use crate::model::{EntryOwner, Model, ShownMoment};

/// The program.
#[derive(Debug)]
pub(crate) struct App {
    pub(crate) model: Model,
    pub(crate) setup: AppSetup,
    pub(crate) view: View,
    /// The views that led to this one, for the way back.
    pub(super) trail: Vec<View>,
    pub(super) lists: [RowList; View::ALL.len()],
    pub(super) sorts: [SortOrder; View::ALL.len()],
    pub(crate) filter: Filter,
    /// The overlay that covers the view.
    pub(crate) overlay: Option<OpenOverlay>,
    /// Output of the job whose pane is or was open.
    pub(super) live: Option<LiveOutput>,
    /// Full name of the lock in the Queue view.
    pub(crate) lock: Option<Arc<str>>,
    /// Keeps the selected lock in sight when its row moves.
    pub(crate) follow: bool,
    pub(crate) note: Option<StatusNote>,
    /// Rows keep their places until this moment, after the cursor has moved.
    pub(super) hold_until: UnixMs,
    /// Fingerprint of the data that the rows were made from.
    pub(super) fingerprint: RowsFingerprint,
    /// Moment at which the rows were made.
    pub(super) refreshed_at: UnixMs,
    pub(super) counts: StateCounts,
    /// Areas of the last frame, for the mouse; set by the code that draws.
    pub(crate) hit_areas: HitAreas,
    /// For a recording that plays: the moment when playing began, and the moment shown then.
    pub(crate) playing: Option<(UnixMs, UnixMs)>,
}

impl App {
    pub(crate) fn new(model: Model, setup: AppSetup) -> Self {
        Self {
            model,
            setup,
            view: View::Locks,
            trail: Vec::new(),
            lists: Default::default(),
            sorts: SortOrder::defaults(),
            filter: Filter::default(),
            overlay: None,
            live: None,
            lock: None,
            follow: false,
            note: None,
            hold_until: UnixMs::default(),
            fingerprint: RowsFingerprint::default(),
            refreshed_at: UnixMs::default(),
            counts: StateCounts::default(),
            hit_areas: HitAreas::default(),
            playing: None,
        }
    }

    /// The present; for a recording, its last moment.
    pub(crate) fn present(&self, now: UnixMs) -> UnixMs {
        match &self.setup.source {
            FactSource::Store(_) => now,
            FactSource::Recording { ended, .. } => *ended,
        }
    }

    /// The moment that is shown.
    pub(crate) fn shown(&self, now: UnixMs) -> ShownMoment<'_> {
        self.model.shown(self.present(now))
    }

    /// The list of the present view.
    pub(crate) fn list(&self) -> &RowList {
        &self.lists[self.view.index()]
    }

    pub(crate) fn list_mut(&mut self) -> &mut RowList {
        &mut self.lists[self.view.index()]
    }

    pub(crate) fn sort(&self) -> SortOrder {
        self.sorts[self.view.index()]
    }

    /// Full name of the lock of the selected row.
    pub(crate) fn selected_lock(&self, now: UnixMs) -> Option<Arc<str>> {
        match self.list().selected()? {
            RowKey::Lock(lock) | RowKey::Entry(lock, _) => Some(lock.clone()),
            RowKey::Job(job, host) => {
                let mut jobs = self.shown(now).state.jobs.values();
                let job = jobs.find(|record| record.job == *job && record.host == *host)?;
                // Of several locks the first stands for all.
                let lock = lock_names(&job.lock).next()?;
                Some(self.model.scope.root().lock(lock).into())
            }
            RowKey::Session(_) | RowKey::Event(_) => None,
        }
    }

    /// The job and host of the selected row: of the row itself, or of the selected entry of a queue.
    pub(crate) fn job(&self, now: UnixMs) -> Option<(String, String)> {
        if let Some(RowKey::Job(job, host)) = self.list().selected() {
            return Some((job.clone(), host.clone()));
        }
        let lock = self.selected_lock(now)?;
        let lock = self.shown(now).state.locks.get(&lock)?;
        let entry = match self.list().selected() {
            Some(RowKey::Entry(_, key)) => lock.queue.find(key)?.1,
            _ => lock.holder()?,
        };
        match &entry.who {
            EntryOwner::Job { job, host } => Some((job.to_string(), host.to_string())),
            _ => None,
        }
    }

    /// Applies a fact.
    pub(crate) fn apply(&mut self, fact: Fact) {
        if let FactKind::Answer(answer) = &fact.kind {
            let (text, is_bad) = match answer {
                Ok(text) => (text.clone(), false),
                Err(text) => (text.clone(), true),
            };
            self.note = Some(StatusNote {
                text: leasehold_records::printable::line(&text),
                is_bad,
                is_event: true,
                at_unix_ms: fact.at_unix_ms,
            });
        }
        if let FactKind::Output(job, output) = &fact.kind {
            match &**output {
                OutputFact::Began => self.begin_output(job, None),
                OutputFact::Refused(reason) => self.begin_output(job, Some(reason)),
                OutputFact::Item(item) => self.take_output(job, item),
            }
        }
        self.model.apply(fact);
    }

    pub(super) fn notify(&mut self, now: UnixMs, text: impl Into<String>) {
        self.note = Some(StatusNote {
            text: text.into(),
            is_bad: false,
            is_event: false,
            at_unix_ms: now,
        });
    }

    /// Shows a warning.
    pub(crate) fn warn(&mut self, now: UnixMs, text: impl Into<String>) {
        self.note = Some(StatusNote {
            text: text.into(),
            is_bad: true,
            is_event: false,
            at_unix_ms: now,
        });
    }

    /// Counts of locks by state as of the last refresh, whatever the filter is.
    pub(crate) const fn counts(&self) -> StateCounts {
        self.counts
    }
}
