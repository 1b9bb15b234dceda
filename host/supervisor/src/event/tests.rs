//! The list of events in `EVENTS.md`, made from the definitions here.

use std::fmt::Write as _;
use std::path::Path;

/// Source of the events.
const SOURCE: &str = include_str!("../event.rs");
/// Source of the fields of events that have a type of their own.
const FIELDS: &str = concat!(
    include_str!("plugin_load.rs"),
    include_str!("found.rs"),
    include_str!("changes.rs")
);
/// Line after which the list begins.
const MARK: &str = "<!-- The list below is made from src/event.rs. -->\n";
/// Variable with which this test writes the list.
const UPDATE: &str = "LEASEHOLD_UPDATE_DOCS";

/// A field of an event, or an event itself.
#[derive(Debug, Default)]
struct Entry {
    name: String,
    kind: String,
    text: String,
    is_optional: bool,
}

/// Returns the events with their fields, in the order of the source.
fn events() -> Vec<(Entry, Vec<Entry>)> {
    let body = SOURCE.split("pub enum EventKind {\n").nth(1);
    let body = body.and_then(|rest| rest.split("\n}\n").next());
    let mut events: Vec<(Entry, Vec<Entry>)> = Vec::new();
    for entry in entries(body.expect("the events")) {
        if entry.kind.is_empty() {
            let (name, fields) = match entry.name.trim_end_matches(')').split_once('(') {
                Some((name, kind)) => (name, fields_of(kind)),
                None => (entry.name.as_str(), Vec::new()),
            };
            let name = kebab(name);
            events.push((Entry { name, ..entry }, fields));
        } else {
            let fields = &mut events.last_mut().expect("an event").1;
            fields.push(entry);
        }
    }
    events
}

/// Returns the fields of a type of its own.
fn fields_of(kind: &str) -> Vec<Entry> {
    let body = FIELDS.split(&format!("pub struct {kind} {{\n")).nth(1);
    let body = body.and_then(|rest| rest.split("\n}\n").next());
    entries(body.expect(kind))
}

/// Returns the variants and fields of a body, in order. A variant has no kind, and a field that JSON leaves out is
/// left out.
fn entries(body: &str) -> Vec<Entry> {
    let mut entries = Vec::new();
    let mut next = Entry::default();
    let mut is_skipped = false;
    for line in body.lines() {
        let depth = line.len() - line.trim_start().len();
        let line = line.trim();
        if let Some(text) = line.strip_prefix("/// ") {
            let gap = if next.text.is_empty() { "" } else { " " };
            let _ = write!(next.text, "{gap}{text}");
        } else if line.starts_with("#[serde(skip_serializing_if") {
            next.is_optional = true;
        } else if line == "#[serde(skip)]" {
            is_skipped = true;
        } else if let Some((name, kind)) = line.split_once(": ") {
            next.name = name.trim_start_matches("pub ").to_owned();
            next.kind = json_kind(kind.trim_end_matches(','));
            let field = std::mem::take(&mut next);
            if !std::mem::take(&mut is_skipped) {
                entries.push(field);
            }
        } else if depth == 4 && line != "}," {
            line.trim_end_matches([' ', '{', ','])
                .clone_into(&mut next.name);
            entries.push(std::mem::take(&mut next));
        }
    }
    entries
}

fn kebab(name: &str) -> String {
    let mut text = String::new();
    for (at, c) in name.chars().enumerate() {
        if c.is_uppercase() && at > 0 {
            text.push('-');
        }
        text.extend(c.to_lowercase());
    }
    text
}

/// Returns the kind of JSON value that a field has.
fn json_kind(kind: &str) -> String {
    let inner = kind
        .strip_prefix("Option<")
        .and_then(|kind| kind.strip_suffix('>'))
        .unwrap_or(kind);
    match inner {
        "String" | "&'static str" | "Arc<str>" | "SkipCause" => "text",
        "u32" | "u64" | "usize" | "Token" => "number",
        "bool" => "true or false",
        "Vec<String>" => "list of texts",
        "Vec<(String, String)>" => "list of pairs of texts",
        other => panic!("no JSON kind is known for {other}: add it here"),
    }
    .to_owned()
}

fn list() -> String {
    let mut text = String::new();
    for (event, fields) in events() {
        let _ = write!(text, "\n### `{}`\n\n{}\n", event.name, event.text);
        if fields.is_empty() {
            continue;
        }
        text.push_str("\n| field | value | meaning |\n|---|---|---|\n");
        for field in fields {
            let absent = if field.is_optional {
                ", may be absent"
            } else {
                ""
            };
            let _ = writeln!(
                text,
                "| `{}` | {}{absent} | {} |",
                field.name, field.kind, field.text
            );
        }
    }
    text
}

/// Fails when an event or a field is not in the list. `LEASEHOLD_UPDATE_DOCS=1` writes it.
#[test]
fn every_event_is_listed_with_its_json_fields() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("EVENTS.md");
    let file = std::fs::read_to_string(&path).expect("EVENTS.md");
    let (head, listed) = file.split_once(MARK).expect("the mark before the list");
    for common in [
        "time", "boot_ns", "host", "severity", "job", "lock", "token", "run", "event",
    ] {
        assert!(head.contains(&format!("| `{common}` |")), "{common}");
    }
    if std::env::var_os(UPDATE).is_some() {
        std::fs::write(&path, format!("{head}{MARK}{}", list())).expect("EVENTS.md written");
        return;
    }
    assert!(
        listed == list(),
        "EVENTS.md differs from src/event.rs: run this test with {UPDATE}=1, and review the change: names and meanings \
         of fields stay"
    );
}

#[test]
fn events_are_read_from_their_source() {
    let events = events();
    assert!(events.len() > 40, "{}", events.len());
    let (ended, fields) = events
        .iter()
        .find(|(event, _)| event.name == "run-ended")
        .expect("run-ended");
    assert!(ended.text.starts_with("A run has ended"));
    let first = fields
        .iter()
        .find(|field| field.name == "first_admitted_ns");
    let first = first.expect("a field");
    assert!(first.is_optional && first.kind == "number", "{first:?}");
}
