//! The table of metrics as text, for people and for tests.

use std::fmt::Write as _;

use super::row::Scope;
use super::table::TABLE;

/// A metric as documented.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MetricInfo {
    /// Name of its series; those of a histogram end in `_bucket`, `_sum` and `_count` besides.
    pub name: String,
    /// Type: `counter`, `gauge`, `histogram` or `info`.
    pub kind: &'static str,
    /// Names of its labels.
    pub labels: Vec<&'static str>,
    /// Meaning, in one or two sentences.
    pub help: &'static str,
}

/// Returns all metrics, in the order of a scrape.
pub fn metric_infos() -> Vec<MetricInfo> {
    let infos = TABLE.iter().map(|row| MetricInfo {
        name: row.full_name(),
        kind: row.kind.as_str(),
        labels: row.scope.labels(),
        help: row.help,
    });
    infos.collect()
}

/// Returns the table of `METRICS.md`, in Markdown.
pub fn describe_metrics() -> String {
    let mut text = String::from("| name | type | labels | meaning |\n|---|---|---|---|\n");
    for (row, info) in TABLE.iter().zip(metric_infos()) {
        let mut labels = info.labels.iter().map(|label| format!("`{label}`"));
        let mut labels: Vec<String> = labels.by_ref().collect();
        if let Scope::HostBy(words, _) | Scope::JobBy(words, _) = &row.scope
            && let Some(last) = labels.last_mut()
        {
            *last = format!("`{}`: {}", words.label, words.words.join(", "));
        }
        let _ = writeln!(
            text,
            "| `{}` | {} | {} | {} |",
            info.name,
            info.kind,
            labels.join(", "),
            info.help
        );
    }
    text
}
