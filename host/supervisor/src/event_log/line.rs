//! One event as one line, in each form; a report takes a line for each of its own. The text of the log becomes
//! printable here, whatever its origin. No event can break a line in two or move a terminal's cursor.

use std::fmt::Write as _;

use leasehold_records::printable;
use serde::Serialize;

use super::columns::NameColumns;
use super::form::Form;
use super::sentence::sentence;
use super::story::story;
use crate::event::{Event, EventContext, EventKind};
use crate::event_level::EventLevel;

/// Formats an event as its line, or lines, with their ends; empty when this form leaves the event out.
/// The columns for names grow with `columns`.
pub(super) fn render(event: &Event, form: Form, columns: &mut NameColumns) -> String {
    match form {
        Form::Json => json(event),
        Form::Text | Form::Story { .. } if is_for_programs(&event.kind) => String::new(),
        Form::Text => text(event, columns),
        Form::Story { began, colours } => story(event, began, colours, columns),
    }
}

/// True for an event that lines for people leave out: a load that a command shows, or that the cache made quick.
const fn is_for_programs(kind: &EventKind) -> bool {
    match kind {
        EventKind::PluginCompiling(start) => start.is_shown,
        EventKind::PluginReady(end) => end.is_shown || end.cached,
        _ => false,
    }
}

#[derive(Serialize)]
struct JsonLine<'a> {
    time: String,
    boot_ns: u64,
    host: &'a str,
    severity: EventLevel,
    #[serde(flatten)]
    context: &'a EventContext,
    #[serde(flatten)]
    kind: &'a EventKind,
}

fn json(event: &Event) -> String {
    let line = JsonLine {
        time: humantime::format_rfc3339_millis(event.wall).to_string(),
        boot_ns: event.at.as_nanos(),
        host: &event.host,
        severity: event.kind.level(),
        context: &event.context,
        kind: &event.kind,
    };
    printable::json_line(&line)
}

fn text(event: &Event, columns: &mut NameColumns) -> String {
    let (host_width, job_width) = columns.fit(event);
    let host = &event.host;
    let time = humantime::format_rfc3339_millis(event.wall);
    let job = event.context.job.as_deref().unwrap_or("-");
    let head = printable::whole(&format!("{time} {host:<host_width$} {job:<job_width$}"));
    let mut line = format!("{head} {}", sentence(&event.kind));
    if let Some(token) = event.context.token
        && !matches!(
            event.kind,
            EventKind::Guest { .. } | EventKind::Progress { .. }
        )
    {
        let _ = write!(line, "  (token {token})");
    }
    let mut line = printable::whole(&line);
    line.push('\n');
    for further in more(&event.kind) {
        let _ = writeln!(line, "{}", format!("{head}  | {further}").trim_end());
    }
    line
}

/// True for the report of a configuration or of a file beside a plugin, whose line ends are kept. Line ends in any
/// other text come from elsewhere, such as the name of a file.
pub(super) fn is_report(error: &str) -> bool {
    error.starts_with("error: ") && error.trim_end().contains('\n')
}

/// Returns further lines of an event: a report that is read line by line.
pub(super) fn more(kind: &EventKind) -> impl Iterator<Item = String> {
    let report = match kind {
        EventKind::ConfigRefused { error } => error.as_str(),
        EventKind::PluginRefused { error, .. } if is_report(error) => error,
        _ => "",
    };
    report.lines().map(printable::line)
}

#[cfg(test)]
mod tests;
