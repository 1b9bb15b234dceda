//! [`MetricsSink`]: counts the events of all hosts of the process.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use leasehold_config::Schedule;
use leasehold_config::wall::UnixMs;
use leasehold_lock::BootTime;
use leasehold_records::JobState;
use leasehold_supervisor::event::{Event, EventKind};
use leasehold_supervisor::event_log::{EventSink, JobView};

use crate::host_state::HostState;
use crate::metrics::{CRASHED, JobMetrics, SKIPS, TICK_RUN};
use crate::process_state::ProcessState;

/// Sink of the event log.
pub(crate) struct MetricsSink {
    process: Arc<ProcessState>,
}

impl MetricsSink {
    pub(crate) const fn new(process: Arc<ProcessState>) -> Self {
        Self { process }
    }
}

impl EventSink for MetricsSink {
    fn receive(&self, event: &Arc<Event>) {
        // Notes and lines about the store, the log and the messages of the process are of no host.
        if is_of_process(&event.kind) {
            return;
        }
        if let EventKind::IdTaken { id, name, .. } = &event.kind {
            self.process.rename_host(id, name);
            return;
        }
        let host = self.process.host(&event.host);
        match &event.context.job {
            Some(job) if matches!(event.kind, EventKind::RunAbandoned(_)) => {
                host.jobs.count_abandoned(job);
            }
            Some(job) if begins_job(&event.kind) => count_of_job(&host.jobs.job(job), event),
            Some(job) => {
                if let Some(job) = host.jobs.find(job) {
                    count_of_job(&job, event);
                }
            }
            None => count_of_host(&host, event),
        }
        if matches!(event.kind, EventKind::PluginRefused { .. }) {
            host.metrics.plugins_refused.inc();
        }
    }

    fn job_changed(&self, host: &Arc<str>, view: &JobView<'_>) {
        let host = self.process.host(host);
        let job = host.jobs.job(&view.record.job);
        let Some(mut facts) = job.facts() else {
            return;
        };
        if facts.plugin_sha256 != view.plugin.sha256 {
            facts.plugin_sha256.clone_from(&view.plugin.sha256);
            if let Some(took) = view.plugin.compile_time {
                host.metrics.compile_time.observe(took.as_secs_f64());
            }
        }
        if view.record.state == JobState::Sleeping {
            facts.tick_gap = tick_gap(view.schedule, UnixMs::from_system(SystemTime::now()));
        }
        facts.record = Some(view.record.clone());
    }

    fn job_gone(&self, host: &Arc<str>, job: &str) {
        self.process.host(host).jobs.remove(job);
    }
}

/// Returns the time between the newest tick and the next one.
fn tick_gap(schedule: &Schedule, now: UnixMs) -> Option<Duration> {
    let Schedule::Ticks(ticks) = schedule else {
        return None;
    };
    let (newest, next) = (ticks.beat().newest(now)?, ticks.beat().next(now)?);
    Some(next.since(newest))
}

/// True for events that may be the first of a job. The others may come after its removal.
const fn begins_job(kind: &EventKind) -> bool {
    matches!(
        kind,
        EventKind::Acquired { .. }
            | EventKind::RunStarted { .. }
            | EventKind::Skipped { .. }
            | EventKind::Quarantined { .. }
    )
}

/// True for events that are logged under no host's name.
const fn is_of_process(kind: &EventKind) -> bool {
    matches!(
        kind,
        EventKind::StoreOpened { .. }
            | EventKind::StoreClosed
            | EventKind::HttpListening { .. }
            | EventKind::SignalIgnored { .. }
            | EventKind::Note { .. }
            | EventKind::LinesDropped { .. }
            | EventKind::NotifyFailed { .. }
            | EventKind::TracesFailed(_)
            | EventKind::TracesBack(_)
    )
}

/// Takes an event of a host.
fn count_of_host(host: &HostState, event: &Event) {
    let metrics = &host.metrics;
    match &event.kind {
        EventKind::HostStarted { .. } => host.health().start(),
        EventKind::StoreConnected { .. } | EventKind::StoreBack { .. } => {
            host.health().store_reached();
        }
        EventKind::StoreLost { silent_ms } => {
            metrics.store_outages.inc();
            let silent = Duration::from_millis(*silent_ms);
            host.health().store_lost(event.at.before(silent));
        }
        EventKind::IdLost { holder, .. } => host.health().id_lost(holder),
        EventKind::IdRegained { .. } => host.health().id_held(),
        EventKind::ConfigRefused { .. } | EventKind::ConfigGone { .. } => {
            metrics.configs_refused.inc();
        }
        EventKind::ConfigReloaded(_) => {
            metrics.reloads.inc();
        }
        EventKind::RecordsDropped { count, .. } => {
            metrics.records_dropped.inc_by(*count);
        }
        EventKind::HostStopping { reason } => host.health().stop(reason),
        EventKind::HostStopped => {
            host.health().stop("stopped");
            host.clear();
        }
        _ => {}
    }
}

/// Takes an event of a job.
fn count_of_job(job: &JobMetrics, event: &Event) {
    match &event.kind {
        EventKind::Acquired { wait_ms } => {
            job.acquire(event.at);
            job.wait
                .observe(Duration::from_millis(*wait_ms).as_secs_f64());
        }
        EventKind::Released { .. } => job.leave(event.at),
        EventKind::LockLost { cause, .. } => {
            job.count_loss(cause);
            job.leave(event.at);
        }
        EventKind::RunStarted { attempt, tick, .. } => {
            if *attempt == 1 && tick.as_deref().is_some_and(|tick| job.is_new_tick(tick)) {
                job.count_tick(TICK_RUN);
            }
            if let Some(mut facts) = job.facts() {
                facts.is_quarantined = false;
            }
        }
        EventKind::RunEnded { .. } => count_run(job, event),
        EventKind::Skipped { cause, .. } => {
            for (_, at) in SKIPS.iter().filter(|(known, _)| known == cause) {
                job.count_tick(*at);
            }
        }
        EventKind::Quarantined { .. } => {
            job.count_run(CRASHED);
            if let Some(mut facts) = job.facts() {
                facts.is_quarantined = true;
            }
        }
        _ => {}
    }
}

/// Takes the end of a run.
fn count_run(job: &JobMetrics, event: &Event) {
    let EventKind::RunEnded {
        outcome,
        admitted,
        refused,
        started_ns,
        stopped_ns,
        peak_memory_bytes,
        writes_refused,
        lines_dropped,
        ..
    } = &event.kind
    else {
        return;
    };
    let at = BootTime::from_nanos;
    let lasted = at(*stopped_ns).since(at(*started_ns));
    job.count_run(outcome);
    job.run_time.observe(lasted.as_secs_f64());
    job.calls.inc_by(*admitted);
    job.calls_refused.inc_by(*refused);
    job.writes_refused.inc_by(*writes_refused);
    job.lines_dropped.inc_by(*lines_dropped);
    if let Some(mut facts) = job.facts() {
        facts.peak_memory_bytes = *peak_memory_bytes;
        facts.last_end = Some(event.wall);
    }
}
