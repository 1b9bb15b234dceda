//! The sentence of an event, after its time, host and job.

use std::fmt::Write as _;
use std::time::Duration;

use super::line::is_report;
use crate::event::{
    AbandonedRun, DisbelievedTick, EventKind, MissedTicks, NotifyFailure, TraceOutage, TraceReturn,
};

/// Formats an event as one sentence that begins with a word in capitals.
pub(super) fn sentence(kind: &EventKind) -> String {
    match kind {
        EventKind::HostStarted { pid, version, jobs } => {
            format!("HOST       leasehold {version} started, pid {pid}, {jobs} job(s)")
        }
        EventKind::HttpListening { address } => {
            format!("HTTP       metrics and health checks at http://{address}")
        }
        EventKind::StoreConnected { .. }
        | EventKind::StoreOpened { .. }
        | EventKind::StoreClosed
        | EventKind::StoreTrouble { .. }
        | EventKind::StoreLost { .. }
        | EventKind::StoreBack { .. } => store(kind),
        EventKind::IdBusy { .. }
        | EventKind::IdTaken { .. }
        | EventKind::IdLost { .. }
        | EventKind::IdRegained { .. } => host_id(kind),
        EventKind::Waiting { .. }
        | EventKind::Blocked { .. }
        | EventKind::Acquired { .. }
        | EventKind::RunStarted { .. }
        | EventKind::Guest { .. }
        | EventKind::Progress { .. }
        | EventKind::LockLost { .. }
        | EventKind::RunEnded { .. }
        | EventKind::Released { .. } => run(kind),
        EventKind::Skipped { .. }
        | EventKind::TicksMissed(_)
        | EventKind::RunAbandoned(_)
        | EventKind::TickUnmarked { .. }
        | EventKind::TickDisbelieved(_)
        | EventKind::StandingBack { .. }
        | EventKind::Quarantined { .. }
        | EventKind::Backoff { .. } => no_run(kind),
        EventKind::JobFailed { error } => format!("FAILED     {error}"),
        EventKind::JobFinished => "FINISHED".into(),
        EventKind::JobAdded { .. }
        | EventKind::JobChanged(_)
        | EventKind::JobRemoved
        | EventKind::PluginCompiling(_)
        | EventKind::PluginReady(_)
        | EventKind::PluginRefused { .. }
        | EventKind::ConfigRefused { .. }
        | EventKind::ConfigGone { .. }
        | EventKind::ConfigReloaded(_) => change(kind),
        EventKind::Paused { .. }
        | EventKind::Resumed
        | EventKind::Drained { .. }
        | EventKind::Undrained
        | EventKind::StopRequested { .. }
        | EventKind::Triggered { .. }
        | EventKind::TriggerRefused { .. }
        | EventKind::ControlUnread { .. } => control(kind),
        EventKind::SignalIgnored { signal } => format!(
            "SIGNAL     {signal} is ignored, now and later; SIGTERM stops the host, SIGHUP reloads"
        ),
        EventKind::HostStopping { reason } => format!("STOPPING   {reason}"),
        EventKind::HostStopped => "STOPPED".into(),
        EventKind::Note { text } => format!("NOTE       {text}"),
        EventKind::RecordsDropped { .. }
        | EventKind::NotifyFailed(_)
        | EventKind::TracesFailed(_)
        | EventKind::TracesBack(_)
        | EventKind::LinesDropped { .. } => delivery(kind),
    }
}

/// Formats events about records, messages, traces and lines that did not get through.
fn delivery(kind: &EventKind) -> String {
    match kind {
        EventKind::RecordsDropped { reason, .. } => format!("RECORDS    {reason}"),
        EventKind::NotifyFailed(NotifyFailure { recipient, error }) => {
            format!("NOTIFY     messages do not reach {recipient}: {error}")
        }
        EventKind::TracesFailed(TraceOutage {
            endpoint,
            error,
            silent_ms,
        }) => format!(
            "TRACES     have not reached {endpoint} for {silent_ms} ms: {error}; what finds no room is dropped"
        ),
        EventKind::TracesBack(TraceReturn {
            endpoint,
            away_ms,
            dropped,
        }) => format!(
            "TRACES     reach {endpoint} again after {away_ms} ms; {dropped} span(s) were dropped"
        ),
        EventKind::LinesDropped { count } => {
            format!("LOG        {count} line(s) dropped because this log was not read")
        }
        _ => String::new(),
    }
}

/// Formats events about the connection to the store.
fn store(kind: &EventKind) -> String {
    match kind {
        EventKind::StoreConnected {
            endpoint,
            cluster_id,
            certificate_until,
        } => {
            let mut line = format!("STORE      connected to {endpoint}, cluster {cluster_id}");
            if let Some(until) = certificate_until {
                let _ = write!(line, "; our certificate holds until {until}");
            }
            line
        }
        EventKind::StoreOpened { data, endpoints } => {
            let mut line = format!("STORE      {data}; endpoints = {endpoints:?}");
            if let Some(address) = endpoints.iter().find(|at| at.starts_with("http")) {
                let _ = write!(line, "; etcdctl --endpoints {address}");
            }
            line
        }
        EventKind::StoreClosed => "STORE      closed".into(),
        EventKind::StoreTrouble { error } => format!("STORE      trouble: {error}"),
        EventKind::StoreLost { silent_ms } => format!(
            "STORE      lost: no answer for {silent_ms} ms; runs go on until their locks' deadlines"
        ),
        EventKind::StoreBack { away_ms } => format!("STORE      back after {away_ms} ms"),
        _ => String::new(),
    }
}

/// Formats events about the host's id.
fn host_id(kind: &EventKind) -> String {
    match kind {
        EventKind::IdBusy { id, holder } => {
            format!("HOST       waiting to see whether {holder}, which has the id {id}, is alive")
        }
        EventKind::IdTaken { id, name, holder } => {
            format!("HOST       the id {id} belongs to {holder}; this process is {name}")
        }
        EventKind::IdLost { id, holder } => format!(
            "HOST       the id {id} was taken by {holder} while this host could not renew it; the records of \
             both overwrite each other: stop one of them"
        ),
        EventKind::IdRegained { id } => format!("HOST       has the id {id} again"),
        _ => String::new(),
    }
}

/// Formats events from the queue of a lock to its release.
fn run(kind: &EventKind) -> String {
    match kind {
        EventKind::Waiting { place, holder } => match holder {
            Some(holder) => format!("WAITING    {place} ahead, held by {holder}"),
            None => format!("WAITING    {place} ahead"),
        },
        EventKind::Blocked { by, .. } => format!("BLOCKED    by {by}, who holds the lock"),
        EventKind::Acquired { wait_ms } => format!("ACQUIRED   after {wait_ms} ms"),
        EventKind::RunStarted {
            attempt,
            trigger,
            tick,
            ..
        } => {
            let mut line = format!("RUN        attempt {attempt}, {trigger}");
            if let Some(tick) = tick {
                let _ = write!(line, " of {tick}");
            }
            line
        }
        EventKind::Guest {
            stream,
            level,
            text,
            fields,
        } => {
            let mut line = format!("{}| {text}", level.unwrap_or(stream));
            for (name, value) in fields {
                let _ = write!(line, " {name}={value}");
            }
            line
        }
        EventKind::Progress {
            done,
            total,
            message,
        } => match total {
            Some(total) => format!("progress   {done}/{total} {message}"),
            None => format!("progress   {done} {message}"),
        },
        EventKind::LockLost { reason, .. } => format!("LOST       {reason}"),
        EventKind::RunEnded {
            outcome,
            detail,
            refused,
            ..
        } => {
            let mut line = format!("ENDED      {outcome}");
            if !detail.is_empty() {
                let _ = write!(line, ": {detail}");
            }
            if *refused > 0 {
                let _ = write!(line, " [{refused} late call(s) refused]");
            }
            line
        }
        EventKind::Released { confirmed: true } => "RELEASED".into(),
        EventKind::Released { confirmed: false } => {
            "RELEASED   not confirmed by the store yet; the entry is deleted with its lease at the latest"
                .into()
        }
        _ => String::new(),
    }
}

/// Formats events about a run that did not start, or that may start a second time.
fn no_run(kind: &EventKind) -> String {
    match kind {
        EventKind::Skipped { reason, .. } => format!("SKIPPED    {reason}"),
        EventKind::TicksMissed(MissedTicks { first, last, count }) => match count {
            1 => format!("MISSED     no host started a run for the tick of {first}"),
            _ => format!(
                "MISSED     no host started a run for {count} ticks, from {first} to {last}"
            ),
        },
        EventKind::RunAbandoned(AbandonedRun {
            ran_on,
            attempt,
            tick,
        }) => {
            let mut line = format!("ABANDONED  attempt {attempt}");
            if let Some(tick) = tick {
                let _ = write!(line, " at the tick of {tick}");
            }
            let _ = write!(
                line,
                " on {ran_on} has no end: that host vanished or could not reach the store"
            );
            line
        }
        EventKind::TickUnmarked { tick, error } => {
            format!("UNMARKED   the tick of {tick} may be run again: {error}")
        }
        EventKind::TickDisbelieved(DisbelievedTick {
            tick,
            by,
            its_clock,
            our_clock,
        }) => format!(
            "CLOCK      {by} claimed the tick of {tick} when its clock showed {its_clock}, and ours shows {our_clock}: \
             it is not believed and written over; set the clock of {by}, and keep it right with chrony or ntpd"
        ),
        EventKind::StandingBack {
            reason,
            elsewhere: true,
        } => format!("STANDBACK  other hosts may run it meanwhile: {reason}"),
        EventKind::StandingBack { reason, .. } => format!("STANDBACK  {reason}"),
        EventKind::Quarantined {
            sha256,
            until,
            file,
        } => format!(
            "QUARANTINE this host's process died while plugin sha256 {} was in its first run: it is not run before \
             {until}, unless its file is replaced or {file} removed",
            short(sha256)
        ),
        EventKind::Backoff { delay_ms, reason } => {
            format!("BACKOFF    again in {delay_ms} ms: {reason}")
        }
        _ => String::new(),
    }
}

/// Formats changes of the jobs of a running host.
fn change(kind: &EventKind) -> String {
    match kind {
        EventKind::JobAdded { plugin, sha256 } => {
            format!("ADDED      {plugin}, sha256 {}", short(sha256))
        }
        EventKind::JobChanged(job) => {
            let (from, plugin, sha256) = (job.from, &job.plugin, short(&job.sha256));
            let mut line = format!("CHANGED    {from}; {plugin}, sha256 {sha256}");
            if let Some(why) = &job.why {
                let _ = write!(line, ": {why}");
            }
            line
        }
        EventKind::JobRemoved => "REMOVED".into(),
        EventKind::PluginCompiling(start) => {
            let kib = start.size_bytes.div_ceil(1024);
            format!("COMPILING  {}, {kib} KiB", start.file)
        }
        EventKind::PluginReady(end) => {
            let took = Duration::from_millis(end.took_ms).as_secs_f64();
            let how = if end.cached {
                "LOADED    "
            } else {
                "COMPILED  "
            };
            format!("{how} {} in {took:.1} s", end.file)
        }
        EventKind::PluginRefused { file, error, kept } => {
            let goes_on = if *kept {
                "; the version before goes on"
            } else {
                ""
            };
            if is_report(error) {
                format!("REFUSED    {file}{goes_on}:")
            } else {
                format!("REFUSED    {file}: {}{goes_on}", error.trim_end())
            }
        }
        EventKind::ConfigRefused { .. } => {
            "REFUSED    the configuration; everything goes on as before:".into()
        }
        EventKind::ConfigGone { file } => {
            format!("CONFIG     {file} is missing; everything goes on as before, until a restart")
        }
        EventKind::ConfigReloaded(counts) => {
            let mut line = format!(
                "RELOADED   {} added, {} changed, {} removed",
                counts.added, counts.changed, counts.removed
            );
            if let Some(restart) = &counts.restart {
                let _ = write!(line, "; {restart}");
            }
            line
        }
        _ => String::new(),
    }
}

/// Formats orders of operators.
fn control(kind: &EventKind) -> String {
    match kind {
        EventKind::Paused { by, why, until } => {
            let until = until.as_deref().map(|until| format!(" until {until}"));
            let until = until.unwrap_or_default();
            format!("PAUSED     by {by}{until}{}", because(why))
        }
        EventKind::Resumed => "RESUMED".into(),
        EventKind::Drained { by, why, ends } => {
            let then = if *ends {
                "; the host ends when its runs have ended"
            } else {
                "; the host stands by until it is undrained"
            };
            format!("DRAINED    by {by}{}{then}", because(why))
        }
        EventKind::Undrained => "UNDRAINED".into(),
        EventKind::StopRequested { kind, by, why } => {
            let by = if by.is_empty() {
                String::new()
            } else {
                format!(" by {by}")
            };
            format!("ASKED      to {kind}{by}{}", because(why))
        }
        EventKind::Triggered { by, why, .. } => {
            format!("TRIGGERED  by {by}{}", because(why))
        }
        EventKind::TriggerRefused { by, reason, .. } => {
            format!("REFUSED    the run requested by {by}: {reason}")
        }
        EventKind::ControlUnread { error } => {
            format!(
                "CONTROL    pauses, drains, stops and triggers are not seen by this host: {error}"
            )
        }
        _ => String::new(),
    }
}

fn because(why: &str) -> String {
    if why.is_empty() {
        String::new()
    } else {
        format!(": {why}")
    }
}

/// Returns the start of a digest: enough to distinguish two.
fn short(sha256: &str) -> &str {
    sha256.get(..12).unwrap_or(sha256)
}
