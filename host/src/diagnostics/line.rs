//! One diagnostic as one line, in each form.

use std::fmt::Write as _;
use std::time::SystemTime;

use leasehold_records::printable;
use serde::Serialize;

use crate::look::paint;
use leasehold_runtime::Level;

/// Format of diagnostics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// One readable line, with the level in colour on a terminal.
    Text { colours: bool },
    /// One JSON object a line, with the field names of the event log.
    Json,
}

/// One line logged by a library or by this program's internals.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Diagnostic {
    pub(super) wall: SystemTime,
    pub(super) level: Level,
    /// The module that logs.
    pub(super) target: String,
    pub(super) text: String,
    pub(super) fields: Vec<(String, String)>,
}

impl Diagnostic {
    fn new(level: Level, target: &str, text: String) -> Self {
        Self {
            wall: SystemTime::now(),
            level,
            target: target.to_owned(),
            text,
            fields: Vec::new(),
        }
    }

    pub(super) fn error(target: &str, text: String) -> Self {
        Self::new(Level::Error, target, text)
    }

    /// Returns a line for those that were left out or dropped before it.
    pub(super) fn gap(count: u64) -> Self {
        let text =
            format!("{count} lines dropped: too many a second, or standard error was not read");
        Self::new(Level::Warn, "leasehold", text)
    }
}

#[derive(Serialize)]
struct JsonLine<'a> {
    time: String,
    event: &'static str,
    level: &'static str,
    target: &'a str,
    text: &'a str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    fields: &'a Vec<(String, String)>,
}

/// Formats the line, with its end.
pub(super) fn render(diagnostic: &Diagnostic, form: Form) -> String {
    let time = humantime::format_rfc3339_millis(diagnostic.wall);
    match form {
        Form::Json => printable::json_line(&JsonLine {
            time: time.to_string(),
            event: "diagnostic",
            level: diagnostic.level.as_str(),
            target: &diagnostic.target,
            text: &diagnostic.text,
            fields: &diagnostic.fields,
        }),
        Form::Text { colours } => {
            let level = level(diagnostic.level, colours);
            let text = printable::line(&render_text(diagnostic));
            format!("{time} {level} {text}\n")
        }
    }
}

/// Formats target, text and fields as one text.
pub(super) fn render_text(diagnostic: &Diagnostic) -> String {
    let mut text = format!("{}: {}", diagnostic.target, diagnostic.text);
    for (name, value) in &diagnostic.fields {
        let _ = write!(text, " {name}={value}");
    }
    text
}

/// Formats the level, five characters wide.
fn level(level: Level, colours: bool) -> String {
    let name = level.as_str().to_uppercase();
    if !colours {
        return format!("{name:>5}");
    }
    let colour = match level {
        Level::Error => 31,
        Level::Warn => 33,
        Level::Info => 32,
        Level::Debug => 34,
        Level::Trace => 35,
    };
    paint(&format!("{name:>5}"), colour)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn hostile() -> Diagnostic {
        Diagnostic {
            wall: SystemTime::UNIX_EPOCH + Duration::from_millis(1_500),
            level: Level::Warn,
            target: "tonic".into(),
            text: "refused:\n2026 ERROR\u{1b}]0;owned\u{7}\u{9b}2J\u{2028}".into(),
            fields: vec![("code".into(), "\u{202e}7".into())],
        }
    }

    #[test]
    fn a_text_line_is_one_line_and_plain_without_a_terminal() {
        insta::assert_snapshot!(
            render(&hostile(), Form::Text { colours: false }),
            @"1970-01-01T00:00:01.500Z  WARN tonic: refused:⏎2026 ERROR�]0;owned��2J� code=�7"
        );
        let coloured = render(&hostile(), Form::Text { colours: true });
        assert!(
            coloured.contains("\u{1b}[33m WARN\u{1b}[0m tonic"),
            "{coloured}"
        );
        assert_eq!(coloured.matches('\u{1b}').count(), 2);
    }

    #[test]
    fn a_json_line_keeps_the_text_and_shows_no_control_character() {
        let line = render(&hostile(), Form::Json);
        insta::assert_snapshot!(
            line,
            @r#"{"time":"1970-01-01T00:00:01.500Z","event":"diagnostic","level":"warn","target":"tonic","text":"refused:\n2026 ERROR\u001b]0;owned\u0007\u009b2J\u2028","fields":[["code","\u202e7"]]}"#
        );
        let read: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!(read["text"], hostile().text);
    }
}
