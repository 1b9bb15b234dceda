//! `--once`: every lock as it is now, as a table, as JSON or as CSV.

use leasehold_lock::{Revision, Token};
use leasehold_records::UnixMs;
use serde::ser::SerializeMap as _;
use serde::{Serialize, Serializer};

use crate::columns::{CellValue, ColumnSpec, LOCK_COLUMNS, LockColumn};
use crate::filter::Filter;
use crate::model::{EntryOwner, LockRow, Model, ObservedLock, QueueEntry, QueueRole, ShownMoment};
use crate::text::{fit, width};

/// Format of `--once`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum OutputFormat {
    /// A table for people.
    Table,
    /// One JSON object.
    Json,
    /// Comma-separated values with a head, as RFC 4180 has them.
    Csv,
}

#[derive(Serialize)]
struct OnceReport<'a> {
    at_unix_ms: UnixMs,
    revision: Revision,
    root: &'a str,
    /// Prefixes that may not be read.
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    not_permitted: &'a [String],
    locks: &'a [LockReport<'a>],
}

/// A lock and its queue. In JSON: the fields of its columns, then `queue`.
struct LockReport<'a> {
    row: LockRow<'a>,
    lock: &'a ObservedLock,
}

#[derive(Serialize)]
struct EntryReport {
    place: usize,
    who: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    job: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    host: Option<String>,
    token: Token,
    lease: String,
    key: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    since_unix_ms: Option<UnixMs>,
}

impl LockReport<'_> {
    fn value(&self, spec: &ColumnSpec<LockColumn>) -> CellValue<'_> {
        spec.column.value(&self.row)
    }

    fn passes(&self, filter: &Filter) -> bool {
        let fields = LockColumn::filtered().map(|column| column.value(&self.row).plain());
        let fields: Vec<_> = fields.collect();
        let fields: Vec<&str> = fields.iter().map(|field| &**field).collect();
        filter.matches(&fields)
    }
}

impl Serialize for LockReport<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut fields: Vec<_> = LOCK_COLUMNS
            .iter()
            .filter_map(|spec| Some((spec.json?, self.value(spec))))
            .filter(|(_, value)| !value.is_unknown())
            .collect();
        fields.sort_by_key(|((position, _), _)| *position);
        let mut map = serializer.serialize_map(None)?;
        for ((_, name), value) in fields {
            map.serialize_entry(name, &value)?;
        }
        let queue = self.lock.queue.roles();
        let queue: Vec<EntryReport> = queue
            .map(|(role, entry)| EntryReport::new(role, entry))
            .collect();
        map.serialize_entry("queue", &queue)?;
        map.end()
    }
}

impl EntryReport {
    fn new(role: QueueRole, entry: &QueueEntry) -> Self {
        let (job, host) = match &entry.who {
            EntryOwner::Job { job, host } => (Some(job.to_string()), Some(host.to_string())),
            EntryOwner::Other { .. } | EntryOwner::Hold { .. } => (None, None),
        };
        Self {
            place: role.place(),
            who: entry.who.label(),
            job,
            host,
            token: entry.token(),
            lease: entry.lease.to_string(),
            key: entry.key.to_string(),
            since_unix_ms: entry.since_unix_ms,
        }
    }
}

/// Prints every lock that passes the filter, by name.
pub(crate) fn print_locks(
    model: &Model,
    filter: &Filter,
    now: UnixMs,
    form: OutputFormat,
) -> String {
    let shown = model.shown(now);
    let locks = shown.state.locks.values();
    let locks: Vec<LockReport<'_>> = locks
        .filter(|lock| !lock.queue.is_empty())
        .map(|lock| LockReport {
            row: model.row(shown, lock),
            lock,
        })
        .filter(|report| report.passes(filter))
        .collect();
    match form {
        OutputFormat::Json => json(model, shown, &locks),
        OutputFormat::Csv => csv(&locks),
        OutputFormat::Table => table(&locks),
    }
}

fn json(model: &Model, shown: ShownMoment<'_>, locks: &[LockReport<'_>]) -> String {
    let report = OnceReport {
        at_unix_ms: shown.now,
        revision: shown.revision,
        root: model.scope.root().as_str(),
        not_permitted: &model.denied,
        locks,
    };
    // Strings, numbers and lists of them always serialize.
    let text = serde_json::to_string_pretty(&report).unwrap_or_default();
    let mut text = leasehold_records::printable::json(text);
    text.push('\n');
    text
}

fn csv(locks: &[LockReport<'_>]) -> String {
    let columns = || LOCK_COLUMNS.iter().filter(|spec| spec.csv.is_some());
    let head: Vec<&str> = columns().filter_map(|spec| spec.csv).collect();
    let mut text = format!("{}\r\n", head.join(","));
    for report in locks {
        let fields: Vec<String> = columns()
            .map(|spec| field(&report.value(spec).plain()))
            .collect();
        text.push_str(&fields.join(","));
        text.push_str("\r\n");
    }
    text
}

/// Quotes a field where needed, and prevents a spreadsheet from reading a formula.
fn field(text: &str) -> String {
    let formula = text.starts_with(['=', '+', '-', '@']);
    let text = if formula {
        format!("'{text}")
    } else {
        text.to_owned()
    };
    if text.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text
    }
}

fn table(locks: &[LockReport<'_>]) -> String {
    if locks.is_empty() {
        return "no lock is held\n".into();
    }
    let columns = || LOCK_COLUMNS.iter().filter(|spec| spec.is_in_table);
    let mut lines: Vec<Vec<String>> = vec![columns().map(|spec| spec.title.to_owned()).collect()];
    lines.extend(locks.iter().map(|report| {
        columns()
            .map(|spec| report.value(spec).display().into_owned())
            .collect()
    }));
    let mut widths = vec![0; columns().count()];
    for line in &lines {
        for (most, cell) in widths.iter_mut().zip(line) {
            *most = width(cell).max(*most);
        }
    }
    let mut text = String::new();
    for line in lines {
        let cells = line.iter().zip(&widths);
        let cells: Vec<String> = cells.map(|(cell, width)| fit(cell, *width)).collect();
        text.push_str(cells.join("  ").trim_end());
        text.push('\n');
    }
    text
}
