//! `--once`: every lock as it is now, as a table, as JSON or as CSV.

use serde::Serialize;

use crate::filter::Filter;
use crate::model::{EntryOwner, LockRow, Model, ShownMoment};
use crate::text::{age, width};

/// How `--once` prints.
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
    at_unix_ms: u64,
    revision: i64,
    root: &'a str,
    /// Prefixes that may not be read.
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    not_permitted: &'a [String],
    locks: Vec<LockReport>,
}

#[derive(Serialize)]
struct LockReport {
    lock: String,
    name: String,
    state: &'static str,
    waiters: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    held_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    oldest_wait_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ttl_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ttl_granted_ms: Option<u64>,
    queue: Vec<EntryReport>,
}

#[derive(Serialize)]
struct EntryReport {
    place: usize,
    who: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    job: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    host: Option<String>,
    token: i64,
    lease: String,
    key: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    since_unix_ms: Option<u64>,
}

/// Everything that passes the filter, by name.
pub(crate) fn print_locks(model: &Model, filter: &Filter, now: u64, form: OutputFormat) -> String {
    let shown = model.shown(now);
    let locks = shown.state.locks.values();
    let rows: Vec<(LockRow<'_>, LockReport)> = locks
        .filter(|lock| !lock.queue.is_empty())
        .map(|lock| {
            let row = model.row(shown, lock);
            let one = describe(&row, &lock.queue);
            (row, one)
        })
        .filter(|(_, one)| {
            let holder = one.queue.first().map_or("", |place| place.who.as_str());
            filter.matches(&[&one.lock, holder, one.state])
        })
        .collect();
    match form {
        OutputFormat::Json => json(model, shown, rows),
        OutputFormat::Csv => csv(&rows),
        OutputFormat::Table => table(&rows),
    }
}

fn describe(row: &LockRow<'_>, queue: &[std::sync::Arc<crate::model::QueueEntry>]) -> LockReport {
    let place = |(place, entry): (usize, &std::sync::Arc<crate::model::QueueEntry>)| {
        let (job, host) = match &entry.who {
            EntryOwner::Job { job, host } => (Some(job.to_string()), Some(host.to_string())),
            _ => (None, None),
        };
        EntryReport {
            place,
            who: entry.who.label(),
            job,
            host,
            token: entry.create_revision,
            lease: format!("{:x}", entry.lease),
            key: entry.key.to_string(),
            since_unix_ms: entry.since_unix_ms,
        }
    };
    LockReport {
        lock: row.label.to_string(),
        name: row.name.to_string(),
        state: row.state.as_str(),
        waiters: row.waiters,
        held_ms: row.held(),
        oldest_wait_ms: row.oldest(),
        ttl_ms: row.ttl.map(|ttl| ttl.left_ms),
        ttl_granted_ms: row.ttl.map(|ttl| ttl.granted_ms),
        queue: queue.iter().enumerate().map(place).collect(),
    }
}

fn json(model: &Model, shown: ShownMoment<'_>, rows: Vec<(LockRow<'_>, LockReport)>) -> String {
    let all = OnceReport {
        at_unix_ms: shown.now,
        revision: shown.revision,
        root: model.scope.root().as_str(),
        not_permitted: &model.denied,
        locks: rows.into_iter().map(|(_, one)| one).collect(),
    };
    // Strings, numbers and lists of them always serialize.
    let mut text =
        leasehold_records::printable::json(serde_json::to_string_pretty(&all).unwrap_or_default());
    text.push('\n');
    text
}

fn csv(rows: &[(LockRow<'_>, LockReport)]) -> String {
    let head = "lock,state,holder,held_ms,ttl_ms,waiters,oldest_wait_ms,token,lease";
    let mut text = format!("{head}\r\n");
    for (_, one) in rows {
        let number = |number: Option<u64>| number.map_or_else(String::new, |n| n.to_string());
        let holder = one.queue.first();
        let fields = [
            field(&one.lock),
            one.state.to_owned(),
            holder.map_or_else(String::new, |place| field(&place.who)),
            number(one.held_ms),
            number(one.ttl_ms),
            one.waiters.to_string(),
            number(one.oldest_wait_ms),
            holder.map_or_else(String::new, |place| place.token.to_string()),
            holder.map_or_else(String::new, |place| place.lease.clone()),
        ];
        text.push_str(&fields.join(","));
        text.push_str("\r\n");
    }
    text
}

/// Quoted where it has to be, and never a formula where a spreadsheet would see one.
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

fn table(rows: &[(LockRow<'_>, LockReport)]) -> String {
    if rows.is_empty() {
        return "no lock is held\n".into();
    }
    let head = [
        "LOCK", "STATE", "HOLDER", "HELD", "TTL", "WAIT", "OLDEST", "FENCE",
    ];
    let mut lines = vec![head.map(String::from)];
    for (row, one) in rows {
        let span = |span: Option<u64>| span.map_or_else(|| "-".into(), age);
        let holder = one.queue.first();
        lines.push([
            one.lock.clone(),
            row.state.word().into(),
            holder.map_or_else(|| "-".into(), |place| place.who.clone()),
            span(one.held_ms),
            one.ttl_ms
                .map_or_else(|| "-".into(), |ttl| format!("{}s", ttl / 1000)),
            one.waiters.to_string(),
            span(one.oldest_wait_ms),
            holder.map_or_else(|| "-".into(), |place| place.token.to_string()),
        ]);
    }
    let mut widths = [0; 8];
    for line in &lines {
        for (most, cell) in widths.iter_mut().zip(line) {
            *most = width(cell).max(*most);
        }
    }
    let mut text = String::new();
    for line in lines {
        let cells = line.iter().zip(widths);
        let cells: Vec<String> = cells
            .map(|(cell, width)| crate::text::fit(cell, width))
            .collect();
        text.push_str(cells.join("  ").trim_end());
        text.push('\n');
    }
    text
}
