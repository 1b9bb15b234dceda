//! What every panel is given: the program, the moment that is shown, and the styles.
//!
//! It only reads; nothing that draws may change what is drawn.

use std::sync::Arc;

use leasehold_records::{JobRecord, RunKey, RunRecord};

use crate::app::App;
use crate::model::{EntryOwner, ObservedLock, ShownMoment, StoreState};
use crate::theme::Theme;

/// What is drawn from.
#[derive(Clone, Copy)]
pub(super) struct ViewScene<'a> {
    pub(super) app: &'a App,
    /// The moment that is shown.
    pub(super) shown: ShownMoment<'a>,
    pub(super) theme: &'a Theme,
    /// The moment of whoever looks, in Unix milliseconds.
    pub(super) now: u64,
}

impl<'a> ViewScene<'a> {
    pub(super) fn new(app: &'a App, now: u64) -> Self {
        Self {
            app,
            shown: app.shown(now),
            theme: &app.setup.theme,
            now,
        }
    }

    /// How long ago `since` was at the moment that is shown.
    pub(super) fn ago(&self, since: u64) -> u64 {
        self.shown.now.saturating_sub(since)
    }

    /// The lock that the selected row is about, or the one that the Queue view is about.
    pub(super) fn lock(&self) -> Option<&'a ObservedLock> {
        let name = self.app.selected_lock(self.now)?;
        self.shown.state.locks.get(&name)
    }

    /// What a lock is called on the screen.
    pub(super) fn label(&self, name: &str) -> Arc<str> {
        match self.shown.state.locks.get(name) {
            Some(lock) => lock.label.clone(),
            None => self.app.model.scope.label(name).into(),
        }
    }

    /// The run under the lock's present holder: the record of its job, and of its run.
    pub(super) fn run_of(
        &self,
        lock: &'a ObservedLock,
    ) -> (Option<&'a JobRecord>, Option<&'a RunRecord>) {
        let Some((job, host, token)) = lock.holder().and_then(|holder| match &holder.who {
            EntryOwner::Job { job, host } => {
                Some((job, host, u64::try_from(holder.create_revision).ok()))
            }
            _ => None,
        }) else {
            return (None, None);
        };
        let run = newest_run(self.shown.state, job, |run| Some(run.token) == token);
        (job_of(self.shown.state, job, host), run)
    }
}

/// What one host tells of one job. Its names may differ from those in its key: they are printable.
pub(super) fn job_of<'a>(state: &'a StoreState, job: &str, host: &str) -> Option<&'a JobRecord> {
    let key = (job.to_owned(), host.to_owned());
    let record = state.jobs.get(&key).or_else(|| {
        let mut all = state.jobs.values();
        all.find(|record| record.job == job && record.host == host)
    });
    record.map(|record| &**record)
}

/// The newest run of a job of which `fits` is true.
pub(super) fn newest_run<'a>(
    state: &'a StoreState,
    job: &'a str,
    fits: impl Fn(&RunRecord) -> bool,
) -> Option<&'a RunRecord> {
    let mut runs = runs_of(state, job);
    runs.find(|run| fits(run))
}

/// The runs of a job, newest first. As with [`job_of`], its name in the keys may be another.
pub(super) fn runs_of<'a>(
    state: &'a StoreState,
    job: &'a str,
) -> impl Iterator<Item = &'a RunRecord> {
    let from = RunKey {
        job: job.to_owned(),
        token: 0,
        sequence: 0,
    };
    let to = RunKey {
        token: u64::MAX,
        sequence: u32::MAX,
        ..from.clone()
    };
    let mut runs = state.runs.range(from..=to);
    let is_exact = runs.clone().next().is_some();
    if !is_exact {
        runs = state.runs.range::<RunKey, _>(..);
    }
    runs.rev()
        .map(|(_, run)| &**run)
        .filter(move |run| is_exact || run.job == job)
}
