//! The values of each job and their origins.
//!
//! Rendering only: the values arrive without secrets.

use std::fmt::Write as _;
use std::path::Path;

use leasehold_records::printable;
use serde_json::{Value, json};

use super::Ready;
use leasehold_config::{Layer, Setting};

/// Longest value in text, in characters. Longer ones are cut there; JSON has them whole.
const WIDEST: usize = 72;

/// Renders each job with its values, for people.
pub(super) fn text(jobs: &[Ready], all: bool) -> String {
    let mut text = String::new();
    for ready in jobs {
        let job = &ready.job;
        text.push_str(job.name());
        if let Some(description) = job.description() {
            text.push_str(": ");
            text.push_str(&printable::line(description));
        }
        text.push('\n');
        let values: Vec<Setting> = job.values();
        let shown: Vec<[String; 3]> = values
            .iter()
            .filter(|value| all || matters(value))
            .map(|value| {
                // A line end in a manifest's value must not break the table's line.
                let safe = |text: &str| printable::line(text);
                let from = safe(&value.origin().to_string());
                [safe(value.key()), cut(&safe(value.text())), from]
            })
            .collect();
        let width = |column: usize| {
            let widths = shown.iter().map(|row| row[column].chars().count());
            widths.max().unwrap_or(0)
        };
        let (keys, texts) = (width(0), width(1));
        for [key, value, from] in &shown {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "  {key:keys$}  {value:texts$}  {from}");
        }
        text.push('\n');
    }
    text
}

/// Returns true if a file sets the value, or if the value grants the job something.
fn matters(value: &Setting) -> bool {
    let grants = value.key().starts_with("allow.") || value.key() == "secrets";
    let is_empty = matches!(value.text(), "[]" | "{}" | "false");
    value.origin().layer() != Layer::BuiltIn || grants && !is_empty
}

fn cut(text: &str) -> String {
    if text.chars().count() <= WIDEST {
        return text.to_owned();
    }
    let mut cut: String = text.chars().take(WIDEST - 1).collect();
    cut.push('…');
    cut
}

/// Renders the same for programs.
pub(super) fn json(file: &Path, compile_cache: &Path, jobs: &[Ready], all: bool) -> String {
    let jobs: Vec<Value> = jobs
        .iter()
        .map(|ready| {
            let (job, facts) = (&ready.job, ready.plugin.facts());
            let values = job.values();
            let values = values.iter().filter(|value| all || matters(value));
            json!({
                "name": job.name(),
                "description": job.description(),
                "dropped_in": job.is_dropped(),
                "plugin": {
                    "file": facts.path.display().to_string(),
                    "sha256": facts.sha256,
                    "size_bytes": facts.size_bytes,
                    "form": facts.form.as_str(),
                    "contract": facts.contract,
                },
                "values": values.map(value).collect::<Vec<_>>(),
            })
        })
        .collect();
    printable::json_pretty(&json!({
        "file": file.display().to_string(),
        "compile_cache": compile_cache.display().to_string(),
        "jobs": jobs,
    }))
}

fn value(value: &Setting) -> Value {
    let origin = value.origin();
    let place = origin.place();
    json!({
        "key": value.key(),
        "value": value.text(),
        "from": {
            "layer": origin.layer().as_str(),
            "file": place.map(|(file, _)| file),
            "line": place.map(|(_, line)| line),
        },
    })
}
