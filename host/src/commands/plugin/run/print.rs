//! Output of a trial: the guest's output on its streams, and the host's remarks beside it.
//!
//! Standard output carries the guest's standard output and nothing else, so that it can be piped:
//! byte by byte, unless it is a terminal, which gets printable lines, or the run has secrets, which
//! are redacted.

use std::io::Write as _;
use std::time::Duration;

use leasehold_lock::BootTime;

use super::lock::FakeLock;
use leasehold_runtime::{GuestEvent, Line, RunEnd, RunReport, Stream};

/// Prints for one trial.
pub(super) struct RunPrinter {
    began: BootTime,
}

impl RunPrinter {
    pub(super) const fn new(began: BootTime) -> Self {
        Self { began }
    }

    fn since_start(&self, at: BootTime) -> String {
        seconds(at.since(self.began))
    }

    pub(super) fn started(job: &str, name: &str, lock: FakeLock) {
        let lasting = match lock {
            FakeLock::Held => "held until the run ends".to_owned(),
            FakeLock::LostAfter(time) => format!("lost after {}", seconds(time)),
        };
        remark(&format!(
            "job `{job}` under a simulated lock `{name}`: {lasting}"
        ));
    }

    /// Passes on standard output as the guest wrote it.
    pub(super) fn bytes(bytes: &[u8]) {
        let mut out = std::io::stdout().lock();
        let _ = out.write_all(bytes).and_then(|()| out.flush());
    }

    pub(super) fn event(event: &GuestEvent) {
        match event {
            GuestEvent::Line(line) if line.stream == Stream::Stdout => {
                let _ = writeln!(std::io::stdout().lock(), "{}", line.text);
            }
            GuestEvent::Line(line) => {
                let _ = writeln!(std::io::stderr().lock(), "{}", beside(line));
            }
            GuestEvent::Progress {
                done,
                total,
                message,
                ..
            } => {
                let of = total.map_or_else(String::new, |total| format!(" of {total}"));
                remark(&format!("{done}{of}: {message}"));
            }
        }
    }

    pub(super) fn asked(grace: Duration) {
        remark(&format!(
            "asked to stop; stopped in {} at the latest, or now with another ctrl-c",
            seconds(grace)
        ));
    }

    pub(super) fn lost_between_runs() {
        remark("the lock was lost between two runs");
    }

    /// Prints the result of a run, and the time at which its stop was requested.
    pub(super) fn ended(&self, report: &RunReport, asked: Option<BootTime>) {
        for line in ending(report) {
            remark(&line);
        }
        let stopped = self.since_start(report.stopped_at);
        if matches!(report.end, RunEnd::Lost(_)) {
            let deadline = report.deadline;
            let late = report.stopped_at.since(deadline);
            remark(&format!(
                "the lock was lost at {}; the guest had stopped at {stopped}, {} later",
                self.since_start(deadline),
                millis(late)
            ));
        }
        if let Some(asked) = asked {
            remark(&format!(
                "asked to stop at {}; stopped at {stopped}",
                self.since_start(asked)
            ));
        }
        if let Some(last) = report.last_admitted {
            remark(&format!(
                "{} calls of the host were let through, the last at {}; {} refused",
                report.admitted,
                self.since_start(last),
                report.refused
            ));
        }
        if report.lines_dropped > 0 {
            remark(&format!(
                "{} lines were not shown: over `log_rate`, or too fast for this terminal",
                report.lines_dropped
            ));
        }
    }
}

/// A remark of the host.
fn remark(text: &str) {
    // A reader that closed the pipe still gets the exit code.
    let _ = writeln!(std::io::stderr().lock(), "-- {text}");
}

/// Formats a line that is not standard output.
fn beside(line: &Line) -> String {
    let level = line
        .level
        .map_or_else(String::new, |level| format!("[{}] ", level.as_str()));
    let fields = line
        .fields
        .iter()
        .map(|(name, value)| format!("  {name}={value}"));
    format!("{level}{}{}", line.text, fields.collect::<String>())
}

/// Describes the result in the words of a record.
fn ending(report: &RunReport) -> Vec<String> {
    let mut lines = vec![match &report.end {
        RunEnd::Done(None) => "done".to_owned(),
        RunEnd::Done(Some(note)) => format!("done: {note}"),
        RunEnd::Again(pause) => format!("done for now; again in {}", seconds(*pause)),
        RunEnd::Retry(why) => format!("failed, and may be tried again: {why}"),
        RunEnd::Unstarted(why) => format!("not started: {why}"),
        RunEnd::Fatal(why) => format!("failed for good: {why}"),
        RunEnd::Exit(code) => format!("failed: exit code {code}"),
        RunEnd::Trap { kind, message } => format!("failed: {message} ({kind})"),
        RunEnd::Limit { limit, message } => format!("failed at its limit `{limit}`: {message}"),
        RunEnd::Lost(_) => "stopped: the lock was lost".to_owned(),
        RunEnd::TimedOut => "failed: it took longer than its timeout".to_owned(),
        RunEnd::Stopped => "stopped, as asked".to_owned(),
    }];
    if let Some(trace) = &report.backtrace {
        lines.extend(trace.lines().map(|frame| format!("  at {frame}")));
    }
    lines
}

fn seconds(time: Duration) -> String {
    format!("{:.3} s", time.as_secs_f64())
}

fn millis(time: Duration) -> String {
    format!("{:.1} ms", time.as_secs_f64() * 1000.0)
}
