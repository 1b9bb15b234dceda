//! Context of a job: all that the pieces of work of one job share.
//!
//! A context is made for each version of a job; a piece of work keeps the one it began with.

use std::sync::Arc;
use std::time::Duration;

use leasehold_lock::{Clock, Locks, Token};
use leasehold_records::Root;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::machine::TimeNow;
use crate::budget::{Budgets, SharedBudget};
use crate::control::ControlHandle;
use crate::event::EventContext;
use crate::event_log::EventLog;
use crate::file_digest::settings_digest;
use crate::output::OutputRegistry;
use crate::quarantine::Quarantine;
use crate::record_writer::RecordWriter;
use leasehold_config::Job;
use leasehold_config::wall::WallClock;
use leasehold_runtime::{Plugin, Reservation, Runtime, StopSignal};

/// State and handles that every piece of work of one job shares.
pub(crate) struct JobContext {
    pub(crate) host: Arc<str>,
    pub(crate) name: Arc<str>,
    pub(crate) lock: Arc<str>,
    pub(crate) job: Job,
    pub(crate) plugin: Plugin,
    /// Digest of the job's settings, for its record.
    pub(crate) settings: String,
    pub(crate) runtime: Arc<Runtime>,
    pub(crate) locks: Locks,
    pub(crate) root: Root,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) wall: Arc<dyn WallClock>,
    pub(crate) event_log: EventLog,
    pub(crate) record_writer: RecordWriter,
    pub(crate) outputs: OutputRegistry,
    pub(crate) budget: SharedBudget,
    pub(crate) quarantine: Arc<Quarantine>,
    /// The slot that a configured job does not leave to dropped-in ones.
    _reservation: Option<Reservation>,
    pub(crate) progress: mpsc::Sender<(Arc<str>, leasehold_records::Progress)>,
    /// Orders of operators.
    pub(crate) control: ControlHandle,
    /// Cancelled when a run of this version is to end for a newer one.
    pub(crate) update: CancellationToken,
    /// Cancelled when a new version of the job has taken this one's place.
    pub(crate) superseded: CancellationToken,
    /// Ends waits, sleeps and pauses when the host stops.
    pub(crate) cancel: CancellationToken,
    pub(crate) stop: StopSignal,
}

/// State and handles that all jobs of a host have in common.
#[derive(Clone)]
pub(crate) struct JobContextMaker {
    pub(crate) host: Arc<str>,
    pub(crate) runtime: Arc<Runtime>,
    pub(crate) locks: Locks,
    pub(crate) root: Root,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) wall: Arc<dyn WallClock>,
    pub(crate) event_log: EventLog,
    pub(crate) record_writer: RecordWriter,
    pub(crate) outputs: OutputRegistry,
    pub(crate) budgets: Arc<Budgets>,
    pub(crate) quarantine: Arc<Quarantine>,
    pub(crate) progress: mpsc::Sender<(Arc<str>, leasehold_records::Progress)>,
    pub(crate) control: ControlHandle,
    pub(crate) grace: Duration,
}

impl JobContextMaker {
    /// Returns a context for this job, without any request to stop.
    pub(crate) fn make(&self, job: Job, plugin: Plugin) -> JobContext {
        let (name, is_dropped) = (job.name().into(), job.is_dropped());
        self.record_writer.set_history(job.name(), job.history());
        let budget = self.budgets.of(&name, job.limits().kv_total_bytes);
        JobContext {
            host: self.host.clone(),
            name,
            lock: job.locks().label().into(),
            settings: settings_digest(&job),
            job,
            plugin,
            runtime: self.runtime.clone(),
            locks: self.locks.clone(),
            root: self.root.clone(),
            clock: self.clock.clone(),
            wall: self.wall.clone(),
            event_log: self.event_log.clone(),
            record_writer: self.record_writer.clone(),
            outputs: self.outputs.clone(),
            budget,
            _reservation: (!is_dropped).then(|| self.runtime.slots().reserve()),
            quarantine: self.quarantine.clone(),
            progress: self.progress.clone(),
            control: self.control.clone(),
            update: CancellationToken::new(),
            superseded: CancellationToken::new(),
            cancel: CancellationToken::new(),
            stop: StopSignal::new(self.grace),
        }
    }
}

impl JobContext {
    /// Returns this moment, on both clocks.
    pub(crate) fn now(&self) -> TimeNow {
        TimeNow {
            boot: self.clock.now(),
            wall: self.wall.now(),
        }
    }

    /// Returns the id of a run: made from the host, the token, and the run's number under that token.
    pub(crate) fn run_id(&self, token: Token, sequence: u32) -> String {
        leasehold_records::run_id(&self.host, token, sequence)
    }

    pub(crate) fn event_context(&self) -> EventContext {
        EventContext {
            job: Some(self.name.clone()),
            lock: Some(self.lock.clone()),
            token: None,
            run: None,
        }
    }

    pub(crate) fn event_context_for(&self, token: Token) -> EventContext {
        EventContext {
            token: Some(token),
            ..self.event_context()
        }
    }
}
