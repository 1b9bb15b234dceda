//! One run of a job: from the grant to the guest, with its log events and its record.
//!
//! Between grant and guest nothing is logged: waking the thread that writes the log would make the guest wait.
//! The grant is handed back only after the guest has stopped.

use std::convert::Infallible;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use leasehold_lock::{BootTime, EndReason, Grant};
use leasehold_records::{ManualRun, Outcome, OutputEnd, RunRecord, StopKind};
use tokio::sync::mpsc;

use super::closing;
use super::context::JobContext;
use super::guest_events;
use super::halt::{self, HaltRequest};
use super::held_lock::{HeldLock, log_acquired};
use super::machine::{RunTurn, RunVerdict, StartCause};
use super::provision::RunProvisions;
use super::run_trigger::{describe_trigger, trigger_of};
use super::task::TaskResult;
use crate::event::{EventContext, EventKind};
use crate::event_log::RunStart;
use crate::fenced::{FencedKv, KvAllotment};
use crate::output::ActiveOutput;
use crate::quarantine::{FirstRun, PROBATION};
use crate::record_writer::text;
use leasehold_config::secrets::{self, Secrets};
use leasehold_config::wall::UnixMs;
use leasehold_config::{LimitKey, Remedy, Schedule};
use leasehold_runtime::{
    Authority, OutputTap, PollMark, RunEnd, RunReport, RunSpec, RunTrace, StopSignal, Trigger,
};

/// Number of events of one guest that may wait to be logged.
const GUEST_EVENTS: usize = 512;

/// Runs the guest for this turn.
pub(crate) async fn run(
    context: Arc<JobContext>,
    mut held: HeldLock,
    provisions: RunProvisions,
    (turn, order): (RunTurn, RunOrder),
) -> TaskResult {
    let run = Run {
        id: context.run_id(held.grant.token(), held.sequence),
        started: (context.clock.now(), SystemTime::now()),
        acquired: held.take_acquired(),
        context: &context,
        grant: &held.grant,
        sequence: held.sequence,
        turn,
        writes_refused: Arc::default(),
        order,
        stop: StopSignal {
            requested: context.stop.requested.child_token(),
            ..context.stop.clone()
        },
    };
    let (report, halt, output) = run.run_guest(provisions).await;
    let keeps_running = matches!(context.job.schedule(), Schedule::KeepRunning);
    let halt = closing::find_halt(&report.end, halt, keeps_running);
    let detail = closing::describe_end(&context, &held.grant, &report.end).await;
    let (outcome, verdict, detail) = match halt {
        None => {
            let outcome = closing::outcome(&report.end);
            (outcome, closing::judge_end(&report.end), detail)
        }
        Some(halt) => {
            let reason = halt.to_string();
            let detail = if detail.is_empty() {
                reason.clone()
            } else {
                format!("{reason} ({detail})")
            };
            (
                Outcome::Stopped,
                RunVerdict::Halted(halt.kind, reason),
                detail,
            )
        }
    };
    if let Some(output) = output {
        output.end(OutputEnd {
            at_unix_ms: UnixMs::from_system(SystemTime::now()),
            outcome,
            detail: detail.clone(),
        });
    }
    run.log_end(&report, outcome, &detail);
    held.sequence += 1;
    TaskResult::RunEnded {
        grant: held,
        verdict,
        outcome,
    }
}

/// Origin of a run.
pub(crate) enum RunOrder {
    /// The job's schedule.
    Own(StartCause),
    /// An operator's request, with the job's `config` table as it is for this run.
    Manual {
        request: ManualRun,
        config_json: String,
    },
}

/// A run under way.
struct Run<'a> {
    context: &'a Arc<JobContext>,
    grant: &'a Grant,
    turn: RunTurn,
    order: RunOrder,
    /// Signal of this run alone, which is also given when the host stops.
    stop: StopSignal,
    /// Number of earlier runs under the grant.
    sequence: u32,
    /// Time when the lock was acquired, if that is not logged yet.
    acquired: Option<BootTime>,
    id: String,
    started: (BootTime, SystemTime),
    /// Number of the guest's writes that the store refused.
    writes_refused: Arc<AtomicU64>,
}

impl Run<'_> {
    /// Runs the guest and forwards its events. Also returns the request to end this run alone, if there was one, and the
    /// output of a guest that was started.
    async fn run_guest(
        &self,
        provisions: RunProvisions,
    ) -> (RunReport, Option<HaltRequest>, Option<ActiveOutput>) {
        let (context, grant) = (self.context, self.grant);
        // The job may have changed since the resources were obtained; a run is of one version.
        let RunProvisions { slot, secrets, .. } = match provisions.renew(context).await {
            Ok(provisions) => provisions,
            Err(lack) => {
                let now = context.clock.now();
                let deadline = grant.tenure().last_deadline();
                let end = RunEnd::Unstarted(lack.into_reason());
                return (RunReport::of_nothing(end, now, deadline), None, None);
            }
        };
        let kv = FencedKv::new(
            context.locks.kv(),
            grant,
            context.root.kv(),
            self.allot_storage(),
            self.writes_refused.clone(),
        );
        let authority = Authority::of_grant(&context.lock, grant, Arc::new(kv));
        let first = context.quarantine.begin(self.record()).await;
        let kept = context.job.limits().output_kept_bytes;
        let output = context.outputs.begin(self.record(), kept);
        let (events, mut received) = mpsc::channel(GUEST_EVENTS);
        // Polled after the guest, so that logging its start does not delay it. A guest that spins yields at its
        // next tick.
        let log = async {
            self.log_start();
            let about = self.event_context();
            let (mut is_loss_logged, mut halt) = (false, None);
            let mut proving = pin!(prove_later(first.as_ref()));
            let mut halting = pin!(halt::wait(context, grant.token()));
            loop {
                tokio::select! {
                    biased;
                    event = received.recv() => match event {
                        Some(event) => guest_events::log(context, &about, event),
                        None => break (is_loss_logged, halt),
                    },
                    reason = grant.tenure().ended(), if !is_loss_logged => {
                        is_loss_logged = true;
                        self.log_loss(&reason);
                    }
                    request = &mut halting, if halt.is_none() => halt = Some(self.halt(request)),
                    never = &mut proving => match never {},
                }
            }
        };
        let mark = first.as_ref().map(FirstRun::mark);
        let spec = self.make_spec(secrets, mark, output.tap());
        let run = context
            .runtime
            .run(&context.plugin, authority, spec, events, slot);
        let (report, (is_loss_logged, halt)) = tokio::join!(run, log);
        if let (Some(first), false) = (&first, matches!(report.end, RunEnd::Unstarted(_))) {
            first.prove().await;
        }
        // A guest that was stopped first has closed its events before the loss was received here.
        if let (RunEnd::Lost(reason), false) = (&report.end, is_loss_logged) {
            self.log_loss(reason);
        }
        (report, halt, Some(output))
    }

    /// Asks the guest to stop, which leaves it its grace time.
    fn halt(&self, request: HaltRequest) -> HaltRequest {
        let asked = EventKind::StopRequested {
            kind: match request.kind {
                StopKind::Stop => "stop",
                StopKind::Restart => "restart",
            },
            by: request.by.clone(),
            why: request.why.clone(),
        };
        self.context.event_log.emit(self.event_context(), asked);
        self.stop.requested.cancel();
        request
    }

    fn trigger(&self) -> Trigger {
        match &self.order {
            RunOrder::Own(cause) => trigger_of(*cause),
            RunOrder::Manual { .. } => Trigger::Manual,
        }
    }

    fn allot_storage(&self) -> KvAllotment {
        let context = self.context;
        KvAllotment {
            budget: context.budget.clone(),
            granted: context.job.allow().kv.clone(),
            most: context.job.limits().kv_total_bytes,
            remedy: Remedy::Raise(LimitKey::KvTotal)
                .for_source(&context.job.source())
                .to_string(),
        }
    }

    fn make_spec(
        &self,
        secrets: Secrets,
        mark: Option<PollMark>,
        tap: Arc<dyn OutputTap>,
    ) -> RunSpec {
        let context = self.context;
        let (env, env_secrets) = secrets::environment(context.job.env());
        RunSpec {
            raw_stdout: None,
            tap: Some(tap),
            job: text(&context.name),
            run_id: self.id.clone(),
            attempt: self.turn.attempt,
            trigger: self.trigger(),
            scheduled_at_unix_ms: self.turn.tick,
            args: context.job.args().to_vec(),
            env,
            env_secrets,
            secrets,
            config_json: match &self.order {
                RunOrder::Own(_) => context.job.config_json().to_owned(),
                RunOrder::Manual { config_json, .. } => config_json.clone(),
            },
            timeout: context.job.timeout(),
            stop: self.stop.clone(),
            mark,
            trace: self.begin_trace(),
        }
    }

    /// Returns the trace of the run, if runs are traced.
    fn begin_trace(&self) -> Option<RunTrace> {
        let context = self.context;
        context.event_log.begin_run(&RunStart {
            job: &context.name,
            lock: &context.lock,
            token: self.grant.token(),
            run: &self.id,
            attempt: self.turn.attempt,
            trigger: self.trigger_word(),
            tick: self.turn.tick,
            waited: self.grant.waited(),
            started: self.started,
        })
    }

    /// Returns the word of the trigger, for events.
    const fn trigger_word(&self) -> &'static str {
        match &self.order {
            RunOrder::Own(cause) => describe_trigger(trigger_of(*cause)),
            RunOrder::Manual { .. } => "manual",
        }
    }

    fn event_context(&self) -> EventContext {
        EventContext {
            run: Some(self.id.as_str().into()),
            ..self.context.event_context_for(self.grant.token())
        }
    }

    /// Logs and records the start.
    fn log_start(&self) {
        let context = self.context;
        if let Some(at) = self.acquired {
            log_acquired(context, self.grant, at);
        }
        let (at, _) = self.started;
        context.event_log.emit_at(
            at,
            self.event_context(),
            EventKind::RunStarted {
                attempt: self.turn.attempt,
                trigger: self.trigger_word(),
                tick: self.turn.tick.map(|tick| tick.to_string()),
                plugin_sha256: context.plugin.facts().sha256.clone(),
            },
        );
        context.record_writer.run_started(self.record());
    }

    /// Logs when and why the lock was lost.
    fn log_loss(&self, reason: &EndReason) {
        let at = self.grant.tenure().ended_at();
        let at = at.unwrap_or_else(|| self.context.clock.now());
        let cause = reason.as_str();
        let reason = closing::describe_loss(self.grant.tenure(), reason);
        let lost = EventKind::LockLost { reason, cause };
        self.context
            .event_log
            .emit_at(at, self.event_context(), lost);
    }

    /// Logs and records the end.
    fn log_end(&self, report: &RunReport, outcome: Outcome, detail: &str) {
        self.context.event_log.emit(
            self.event_context(),
            EventKind::RunEnded {
                outcome: outcome.as_str(),
                detail: detail.to_owned(),
                admitted: report.admitted,
                refused: report.refused,
                started_ns: report.started_at.as_nanos(),
                first_admitted_ns: report.first_admitted.map(BootTime::as_nanos),
                last_admitted_ns: report.last_admitted.map(BootTime::as_nanos),
                stopped_ns: report.stopped_at.as_nanos(),
                deadline_ns: report.deadline.as_nanos(),
                peak_memory_bytes: report.peak_memory_bytes,
                writes_refused: self.writes_refused.load(Ordering::Relaxed),
                lines_dropped: report.lines_dropped,
            },
        );
        let mut record = self.record();
        record.ended_unix_ms = Some(UnixMs::from_system(SystemTime::now()));
        let kept = self.context.job.limits().output_kept_bytes;
        let kept_in = self.context.outputs.kept_in(&self.context.name);
        closing::fill(&mut record, report, kept, kept_in);
        record.outcome = outcome;
        detail.clone_into(&mut record.detail);
        self.context.record_writer.run_ended(record);
    }

    /// Returns the record of the run while it is running.
    fn record(&self) -> RunRecord {
        let (_, started) = self.started;
        RunRecord {
            job: text(&self.context.name),
            host: text(&self.context.host),
            lock: text(&self.context.lock),
            shared: self.context.job.locks().are_shareable(),
            lock_key: self.grant.key().to_owned(),
            token: self.grant.token(),
            sequence: self.sequence,
            run_id: self.id.clone(),
            attempt: self.turn.attempt,
            tick_unix_ms: self.turn.tick,
            plugin_sha256: self.context.plugin.facts().sha256.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            started_unix_ms: UnixMs::from_system(started),
            ended_unix_ms: None,
            outcome: Outcome::Running,
            detail: String::new(),
            calls_admitted: 0,
            calls_refused: 0,
            peak_memory_bytes: 0,
            output: String::new(),
            output_truncated_bytes: 0,
            output_kept_in: String::new(),
            merged: None,
            manual: match &self.order {
                RunOrder::Own(_) => None,
                RunOrder::Manual { request, .. } => Some(request.clone()),
            },
        }
    }
}

/// Marks the plugin as proven once its run has lasted for [`PROBATION`].
async fn prove_later(first: Option<&FirstRun>) -> Infallible {
    if let Some(first) = first {
        tokio::time::sleep(PROBATION).await;
        first.prove().await;
    }
    std::future::pending().await
}
