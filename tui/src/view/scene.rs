//! Input of every panel: the program, the shown moment, and the styles.
//!
//! It is read-only; no code that draws may change what it draws.

use std::sync::Arc;

use leasehold_lock::Token;
use leasehold_records::{JobRecord, RunKey, RunRecord, UnixMs};

use crate::app::App;
use crate::model::{EntryOwner, ObservedLock, ShownMoment, StoreState};
use crate::theme::Theme;

/// Input of a panel.
#[derive(Clone, Copy)]
pub(super) struct ViewScene<'a> {
    pub(super) app: &'a App,
    /// The moment that is shown.
    pub(super) shown: ShownMoment<'a>,
    pub(super) theme: &'a Theme,
    /// The present.
    pub(super) now: UnixMs,
}

impl<'a> ViewScene<'a> {
    pub(super) fn new(app: &'a App, now: UnixMs) -> Self {
        Self {
            app,
            shown: app.shown(now),
            theme: &app.setup.theme,
            now,
        }
    }

    /// Time from `since` to the shown moment.
    pub(super) fn ago(&self, since: UnixMs) -> u64 {
        self.shown.now.millis_since(since)
    }

    /// The lock of the selected row, or of the Queue view.
    pub(super) fn lock(&self) -> Option<&'a ObservedLock> {
        let name = self.app.selected_lock(self.now)?;
        self.shown.state.locks.get(&name)
    }

    /// Label of a lock on the screen.
    pub(super) fn label(&self, name: &str) -> Arc<str> {
        match self.shown.state.locks.get(name) {
            Some(lock) => lock.label.clone(),
            None => self.app.model.scope.label(name).into(),
        }
    }

    /// The run of the lock's holder: the records of its job and of its run.
    pub(super) fn run_of(
        &self,
        lock: &'a ObservedLock,
    ) -> (Option<&'a JobRecord>, Option<&'a RunRecord>) {
        let Some((job, host, token)) = lock.holder().and_then(|holder| match &holder.who {
            EntryOwner::Job { job, host } => Some((job, host, holder.token())),
            _ => None,
        }) else {
            return (None, None);
        };
        let run = newest_run(self.shown.state, job, |run| run.token == token);
        (job_of(self.shown.state, job, host), run)
    }
}

/// Record of a job on a host. Its names may differ from those in its key: they are printable.
pub(super) fn job_of<'a>(state: &'a StoreState, job: &str, host: &str) -> Option<&'a JobRecord> {
    let key = (job.to_owned(), host.to_owned());
    let record = state.jobs.get(&key).or_else(|| {
        let mut all = state.jobs.values();
        all.find(|record| record.job == job && record.host == host)
    });
    record.map(|record| &**record)
}

/// The newest run of a job for which `fits` returns true.
pub(super) fn newest_run<'a>(
    state: &'a StoreState,
    job: &'a str,
    fits: impl Fn(&RunRecord) -> bool,
) -> Option<&'a RunRecord> {
    let mut runs = runs_of(state, job);
    runs.find(|run| fits(run))
}

/// Runs of a job, newest first. As with [`job_of`], its name in the keys may differ.
pub(super) fn runs_of<'a>(
    state: &'a StoreState,
    job: &'a str,
) -> impl Iterator<Item = &'a RunRecord> {
    let from = RunKey {
        job: job.to_owned(),
        token: Token::new(0),
        sequence: 0,
    };
    let to = RunKey {
        token: Token::new(u64::MAX),
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
