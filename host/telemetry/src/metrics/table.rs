//! The table of all metrics. `METRICS.md` is made from it.

use std::sync::atomic::Ordering;

use leasehold_lock::{EndReason, RequestResult};
use leasehold_records::JobState;

use super::host_metrics::STREAMS;
use super::job_metrics::{JobFacts, JobMetrics, OUTCOMES, TICK_RESULTS, unix_seconds};
use super::process;
use super::row::{MetricKind, MetricRow, MetricUnit, Reading, Scope, Words};

use crate::process_state::ProcessState;
use crate::traces::TraceCounts;
use MetricKind::{Gauge, Histogram, Info};
use MetricUnit::{Bytes, None as NoUnit, Seconds};
use Reading::{Count, Number, Spread};

/// A row of a kind that is given.
const fn row(
    name: &'static str,
    kind: MetricKind,
    unit: MetricUnit,
    scope: Scope,
    help: &'static str,
) -> MetricRow {
    MetricRow {
        name,
        unit,
        kind,
        scope,
        help,
    }
}

/// A row of a counter.
const fn counts(name: &'static str, scope: Scope, help: &'static str) -> MetricRow {
    row(name, MetricKind::Counter, NoUnit, scope, help)
}

const fn words(label: &'static str, words: &'static [&'static str]) -> Words {
    Words { label, words }
}

/// Words of the results of requests.
const REQUESTS: [&str; 3] = [
    RequestResult::ALL[0].as_str(),
    RequestResult::ALL[1].as_str(),
    RequestResult::ALL[2].as_str(),
];
/// Words of the streams.
const STREAM_WORDS: [&str; 2] = [STREAMS[0].0, STREAMS[1].0];

/// Reads a gauge from the state of a job.
fn facts(job: &JobMetrics, read: impl FnOnce(&JobFacts) -> Reading<'static>) -> Reading<'static> {
    job.facts().map_or(Reading::Absent, |facts| read(&facts))
}

/// Reads a fact about the state of a job.
fn is_in(job: &JobMetrics, state: JobState) -> Reading<'static> {
    facts(job, |facts| Reading::fact(facts.is_in(state)))
}

/// Reads a fact that the system may not show.
fn measured(value: Option<u64>) -> Reading<'static> {
    value.map_or(Reading::Absent, bytes)
}

/// Reads a value that may be absent.
fn optional(value: Option<f64>) -> Reading<'static> {
    value.map_or(Reading::Absent, Number)
}

/// Reads a large number. Above 2^53 its last digits are lost.
#[expect(clippy::cast_precision_loss)]
fn bytes(value: u64) -> Reading<'static> {
    Number(value as f64)
}

/// Reads a count of spans.
fn spans(process: &ProcessState, read: fn(&TraceCounts) -> u64) -> Reading<'static> {
    let counts = process.trace_counts();
    Count(counts.map_or(0, read))
}

/// All metrics, in the order of a scrape.
pub(super) static TABLE: [MetricRow; 49] = [
    row(
        "leasehold_build",
        Info,
        NoUnit,
        Scope::Build,
        "The version of the program, and of the contract between host and guests. Always 1.",
    ),
    row(
        "process_start_time",
        Gauge,
        Seconds,
        Scope::Process(|process| Number(unix_seconds(process.started))),
        "Start of the process, in seconds since 1970.",
    ),
    row(
        "process_resident_memory",
        Gauge,
        Bytes,
        Scope::Process(|_| measured(process::resident_bytes())),
        "Memory in use, guests included.",
    ),
    row(
        "process_open_fds",
        Gauge,
        NoUnit,
        Scope::Process(|_| measured(process::open_descriptors())),
        "Open files, sockets and pipes.",
    ),
    counts(
        "leasehold_log_lines_dropped",
        Scope::Process(|process| Count(process.dropped_lines())),
        "Lines of the event log that were dropped, because standard output was not read.",
    ),
    counts(
        "leasehold_http_connections_refused",
        Scope::Process(|process| Count(process.refused_connections.load(Ordering::Relaxed))),
        "Connections to this endpoint that were closed at once, because too many were open.",
    ),
    counts(
        "leasehold_trace_spans_sent",
        Scope::Process(|process| spans(process, TraceCounts::sent)),
        "Spans of traces that the collector of `[otlp]` has taken.",
    ),
    counts(
        "leasehold_trace_spans_dropped",
        Scope::Process(|process| spans(process, TraceCounts::dropped)),
        "Spans of traces that were dropped, because the collector was slow, absent or refused them.",
    ),
    row(
        "leasehold_check_ok",
        Gauge,
        NoUnit,
        Scope::HostChecks,
        "1 while a check of `/readyz` holds, else 0. The checks are `plugins`, `store`, `id`, `leases` and `running`.",
    ),
    counts(
        "leasehold_renewals_sent",
        Scope::Host(|host| Count(host.metrics.renewals_sent.get())),
        "Renewals of leases that were sent.",
    ),
    counts(
        "leasehold_renewals",
        Scope::Host(|host| Count(host.metrics.renewals.get())),
        "Renewals that were confirmed, and have moved a deadline.",
    ),
    counts(
        "leasehold_renewals_late",
        Scope::Host(|host| Count(host.metrics.renewals_late.get())),
        "Times that a renewal had no reply for half of the renewal interval.",
    ),
    row(
        "leasehold_renewal_duration",
        Histogram,
        Seconds,
        Scope::Host(|host| Spread(&host.metrics.renewal_time)),
        "Time from the sending of a renewal to its confirmation.",
    ),
    row(
        "leasehold_renewal_margin",
        Histogram,
        Seconds,
        Scope::Host(|host| Spread(&host.metrics.renewal_margin)),
        "Time that was left of the lease when a renewal was confirmed. Guests are stopped when it falls to their `stop_margin`. About two thirds of the `ttl` is usual.",
    ),
    counts(
        "leasehold_sessions_lost",
        Scope::Host(|host| Count(host.metrics.sessions_lost.get())),
        "Leases that ended without being given back, with all locks on them.",
    ),
    row(
        "leasehold_lock_handoff_duration",
        Histogram,
        Seconds,
        Scope::Host(|host| Spread(&host.metrics.hand_off)),
        "Time from the news that a lock passes on to this host to its grant.",
    ),
    row(
        "leasehold_store_request_duration",
        Histogram,
        Seconds,
        Scope::Host(|host| Spread(&host.metrics.store_time)),
        "Time that a request to the store took, whatever its result. Streams are not counted.",
    ),
    counts(
        "leasehold_store_requests",
        Scope::HostBy(words("result", &REQUESTS), |host, at| {
            Count(host.metrics.requests(at))
        }),
        "Requests to the store. A refused one changed nothing; one without an answer may have been carried out.",
    ),
    counts(
        "leasehold_store_retries",
        Scope::Host(|host| Count(host.metrics.store_retries.get())),
        "Requests that failed and were sent again.",
    ),
    counts(
        "leasehold_store_streams_broken",
        Scope::HostBy(words("stream", &STREAM_WORDS), |host, at| {
            Count(host.metrics.broken(at))
        }),
        "Long-lived streams to the store that broke and were opened again.",
    ),
    counts(
        "leasehold_store_endpoint_changes",
        Scope::Host(|host| Count(host.metrics.endpoint_changes.get())),
        "Moves to another endpoint of the store, because the previous one did not answer.",
    ),
    counts(
        "leasehold_store_outages",
        Scope::Host(|host| Count(host.metrics.store_outages.get())),
        "Outages of the store: it answered nothing for `request_timeout`.",
    ),
    row(
        "leasehold_compile_duration",
        Histogram,
        Seconds,
        Scope::Host(|host| Spread(&host.metrics.compile_time)),
        "Time taken to compile a plugin of a job. Plugins from the compile cache are not counted.",
    ),
    counts(
        "leasehold_plugins_refused",
        Scope::Host(|host| Count(host.metrics.plugins_refused.get())),
        "New versions of plugins, or their sidecars, that could not be used while the host ran.",
    ),
    counts(
        "leasehold_configs_refused",
        Scope::Host(|host| Count(host.metrics.configs_refused.get())),
        "Times that the changed configuration could not be used or was missing. The host went on as before.",
    ),
    counts(
        "leasehold_config_reloads",
        Scope::Host(|host| Count(host.metrics.reloads.get())),
        "Times that the configuration was read again and applied.",
    ),
    counts(
        "leasehold_records_dropped",
        Scope::Host(|host| Count(host.metrics.records_dropped.get())),
        "Records of runs that were not written. The event log has these runs.",
    ),
    counts(
        "leasehold_job_updates_cut",
        Scope::Host(|host| Count(host.jobs.cut.get())),
        "Events of jobs beyond the first 2,000, which share the name `_other`.",
    ),
    row(
        "leasehold_lock_held",
        Gauge,
        NoUnit,
        Scope::JobLock(|job| facts(job, |facts| Reading::fact(facts.is_held()))),
        "1 while this host holds the lock for the job, else 0.",
    ),
    row(
        "leasehold_lock_awaited",
        Gauge,
        NoUnit,
        Scope::JobLock(|job| is_in(job, JobState::Waiting)),
        "1 while the job waits in the queue of its lock, else 0.",
    ),
    row(
        "leasehold_lock_awaited_since_timestamp",
        Gauge,
        Seconds,
        Scope::JobLock(|job| facts(job, |facts| Number(facts.awaited_since()))),
        "Start of the wait in the queue, in seconds since 1970; 0 while the job does not wait.",
    ),
    row(
        "leasehold_lock_wait_duration",
        Histogram,
        Seconds,
        Scope::Job(|job| Spread(&job.wait)),
        "Time from the request for the lock to its grant.",
    ),
    row(
        "leasehold_lock_hold_duration",
        Histogram,
        Seconds,
        Scope::Job(|job| Spread(&job.hold)),
        "Time from the grant to the end of the hold, by release or loss.",
    ),
    counts(
        "leasehold_lock_losses",
        Scope::JobBy(words("reason", &EndReason::LOSSES), |job, at| {
            Count(job.losses(at))
        }),
        "Locks that were lost while they were held.",
    ),
    counts(
        "leasehold_runs",
        Scope::JobBy(words("outcome", &OUTCOMES), |job, at| Count(job.runs(at))),
        "Runs that ended. `retry`, `fatal`, `exit`, `trap`, `limit`, `timeout`, `crashed` and `abandoned` are failures.",
    ),
    row(
        "leasehold_run_duration",
        Histogram,
        Seconds,
        Scope::Job(|job| Spread(&job.run_time)),
        "Time from the start of a run to the end of its guest.",
    ),
    counts(
        "leasehold_guest_calls",
        Scope::Job(|job| Count(job.calls.get())),
        "Calls of guests into the host that were admitted.",
    ),
    counts(
        "leasehold_guest_calls_refused",
        Scope::Job(|job| Count(job.calls_refused.get())),
        "Calls of guests that came too late, after the end of the tenure, and were refused.",
    ),
    counts(
        "leasehold_guest_writes_refused",
        Scope::Job(|job| Count(job.writes_refused.get())),
        "Fenced writes and checks of guests that the store refused: the lock was no longer held, or the key had changed.",
    ),
    counts(
        "leasehold_guest_lines_dropped",
        Scope::Job(|job| Count(job.lines_dropped.get())),
        "Lines of guests that were left out: too many a second, or the host was busy.",
    ),
    row(
        "leasehold_guest_memory_peak",
        Gauge,
        Bytes,
        Scope::Job(|job| facts(job, |facts| bytes(facts.peak_memory_bytes))),
        "Largest amount of linear memory that the last run used at once.",
    ),
    counts(
        "leasehold_ticks",
        Scope::JobBy(words("result", &TICK_RESULTS), |job, at| {
            Count(job.ticks(at))
        }),
        "Ticks of the schedule: run here, missed (the time passed without a run), not run because the lock was contended for longer than `wait`, not run because the job was paused or its host drained, or already run (usually by another host).",
    ),
    row(
        "leasehold_job_tick_interval",
        Gauge,
        Seconds,
        Scope::Job(|job| {
            facts(job, |facts| {
                optional(facts.tick_gap.map(|gap| gap.as_secs_f64()))
            })
        }),
        "Time between the newest tick and the next one. Jobs without ticks have none.",
    ),
    row(
        "leasehold_job_last_success_timestamp",
        Gauge,
        Seconds,
        Scope::Job(|job| facts(job, |facts| Number(unix_seconds(facts.last_success)))),
        "End of the last run on this host that succeeded, in seconds since 1970. Until the first, the time when the host took the job up.",
    ),
    row(
        "leasehold_job_last_end_timestamp",
        Gauge,
        Seconds,
        Scope::Job(|job| facts(job, |facts| optional(facts.last_end.map(unix_seconds)))),
        "End of the last run on this host, in seconds since 1970. Absent before the first.",
    ),
    row(
        "leasehold_job_standing_back",
        Gauge,
        NoUnit,
        Scope::Job(|job| is_in(job, JobState::StandingBack)),
        "1 while the job stays out of the queue, because this host lacks what a run needs, or because it is paused or drained; else 0.",
    ),
    row(
        "leasehold_job_held",
        Gauge,
        NoUnit,
        Scope::Job(|job| facts(job, |facts| Reading::fact(facts.is_under_hold()))),
        "1 while a pause or a drain keeps new runs of the job from starting on this host, else 0.",
    ),
    row(
        "leasehold_job_failed",
        Gauge,
        NoUnit,
        Scope::Job(|job| is_in(job, JobState::Failed)),
        "1 if the job ended for good with a failure, else 0.",
    ),
    row(
        "leasehold_job_quarantined",
        Gauge,
        NoUnit,
        Scope::Job(|job| facts(job, |facts| Reading::fact(facts.is_quarantined))),
        "1 from the report that the process died in the first run of the plugin until a run of the job starts, else 0.",
    ),
];
