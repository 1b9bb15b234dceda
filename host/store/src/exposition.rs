//! Text format of Prometheus (version 0.0.4): families of samples with their help.

use std::fmt::{Display, Write as _};

use crate::latency::LatencyCounts;

/// Content type of the format.
pub(crate) const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Metrics, written one family after the other.
#[derive(Debug, Default)]
pub(crate) struct Exposition(String);

/// Kind of a family.
#[derive(Debug, Clone, Copy)]
pub(crate) enum MetricKind {
    Counter,
    Gauge,
}

impl Exposition {
    /// Begins a family; its samples follow.
    pub(crate) fn family(&mut self, name: &str, kind: MetricKind, help: &str) {
        let kind = match kind {
            MetricKind::Counter => "counter",
            MetricKind::Gauge => "gauge",
        };
        self.head(name, kind, help);
    }

    /// Adds a sample. Values of labels need no escapes: all are words of this program.
    pub(crate) fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: impl Display) {
        self.0.push_str(name);
        for (number, (label, text)) in labels.iter().enumerate() {
            let before = if number == 0 { '{' } else { ',' };
            let _ = write!(self.0, "{before}{label}=\"{text}\"");
        }
        if !labels.is_empty() {
            self.0.push('}');
        }
        let _ = writeln!(self.0, " {value}");
    }

    /// Adds a gauge without labels.
    pub(crate) fn gauge(&mut self, name: &str, help: &str, value: impl Display) {
        self.family(name, MetricKind::Gauge, help);
        self.sample(name, &[], value);
    }

    /// Adds a histogram.
    pub(crate) fn histogram(&mut self, name: &str, help: &str, counts: &LatencyCounts) {
        self.head(name, "histogram", help);
        let bucket = format!("{name}_bucket");
        for (bound, count) in &counts.buckets {
            self.sample(&bucket, &[("le", &bound.as_secs_f64().to_string())], count);
        }
        self.sample(&bucket, &[("le", "+Inf")], counts.count);
        self.sample(&format!("{name}_sum"), &[], counts.sum.as_secs_f64());
        self.sample(&format!("{name}_count"), &[], counts.count);
    }

    /// Returns the text.
    pub(crate) fn into_text(self) -> String {
        self.0
    }

    fn head(&mut self, name: &str, kind: &str, help: &str) {
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }
}
