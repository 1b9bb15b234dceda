//! A row of the table of metrics.

use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Unit;

use super::job_metrics::JobMetrics;
use crate::host_state::HostState;
use crate::process_state::ProcessState;

/// Label with the name of a job. `job` is a label of Prometheus' own, which would rename ours.
pub(super) const JOB_LABEL: &str = "job_name";

/// Type of a metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum MetricKind {
    Counter,
    Gauge,
    Histogram,
    Info,
}

impl MetricKind {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
            Self::Info => "info",
        }
    }
}

/// Unit of a metric, which ends its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum MetricUnit {
    None,
    Seconds,
    Bytes,
}

impl MetricUnit {
    pub(super) const fn get(self) -> Option<Unit> {
        match self {
            Self::None => None,
            Self::Seconds => Some(Unit::Seconds),
            Self::Bytes => Some(Unit::Bytes),
        }
    }
}

/// Value of one series at a scrape.
pub(super) enum Reading<'a> {
    /// Value of a counter.
    Count(u64),
    /// Value of a gauge.
    Number(f64),
    /// Buckets of a histogram.
    Spread(&'a Histogram),
    /// There is nothing to show.
    Absent,
}

impl Reading<'_> {
    /// Gauge of a fact: 1 or 0.
    pub(super) fn fact(holds: bool) -> Self {
        Self::Number(f64::from(u8::from(holds)))
    }
}

/// Words of a label, each of which has a series.
pub(super) struct Words {
    pub(super) label: &'static str,
    pub(super) words: &'static [&'static str],
}

/// The things that have a series each, and how to read it.
pub(super) enum Scope {
    /// The build: the labels of an info.
    Build,
    Process(for<'a> fn(&'a ProcessState) -> Reading<'a>),
    Host(for<'a> fn(&'a HostState) -> Reading<'a>),
    /// A host, for each word. The number is the place of the word.
    HostBy(Words, for<'a> fn(&'a HostState, usize) -> Reading<'a>),
    /// A host's checks.
    HostChecks,
    Job(for<'a> fn(&'a JobMetrics) -> Reading<'a>),
    /// A job and its lock.
    JobLock(for<'a> fn(&'a JobMetrics) -> Reading<'a>),
    /// A job, for each word.
    JobBy(Words, for<'a> fn(&'a JobMetrics, usize) -> Reading<'a>),
}

impl Scope {
    /// Returns the names of the labels.
    pub(super) fn labels(&self) -> Vec<&'static str> {
        match self {
            Self::Build => vec!["version", "contract"],
            Self::Process(_) => vec![],
            Self::Host(_) => vec!["host"],
            Self::HostBy(words, _) => vec!["host", words.label],
            Self::HostChecks => vec!["host", "check"],
            Self::Job(_) => vec!["host", JOB_LABEL],
            Self::JobLock(_) => vec!["host", JOB_LABEL, "lock"],
            Self::JobBy(words, _) => vec!["host", JOB_LABEL, words.label],
        }
    }
}

/// One metric: its name without unit and suffix, and all that there is to know about it.
pub(super) struct MetricRow {
    pub(super) name: &'static str,
    pub(super) unit: MetricUnit,
    pub(super) kind: MetricKind,
    pub(super) scope: Scope,
    pub(super) help: &'static str,
}

impl MetricRow {
    /// Returns the name of its series, without the suffixes of a histogram.
    pub(super) fn full_name(&self) -> String {
        let unit = self.unit.get();
        let unit = unit.map_or_else(String::new, |unit| format!("_{}", unit.as_str()));
        let suffix = match self.kind {
            MetricKind::Counter => "_total",
            MetricKind::Info => "_info",
            MetricKind::Gauge | MetricKind::Histogram => "",
        };
        format!("{}{unit}{suffix}", self.name)
    }
}
