//! A scrape: reads the table of metrics and formats it.

use std::fmt;

use bytes::Bytes;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{
    DescriptorEncoder, EncodeLabelSet, EncodeMetric as _, MetricEncoder, NoLabelSet,
    prometheus_text, text,
};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;

use super::job_metrics::JobMetrics;
use super::row::{JOB_LABEL, MetricKind, MetricRow, Reading, Scope};
use super::table::TABLE;
use crate::host_state::HostState;
use crate::telemetry::Telemetry;

/// Format of a scrape.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TextFormat {
    /// `OpenMetrics`, version 1.0.0.
    OpenMetrics,
    /// Prometheus' own text, version 0.0.4.
    Prometheus,
}

impl TextFormat {
    /// Chooses the format by the header `Accept`.
    pub(crate) fn accepted_by(accept: &str) -> Self {
        if accept.contains("application/openmetrics-text") {
            Self::OpenMetrics
        } else {
            Self::Prometheus
        }
    }

    /// Returns the content type.
    pub(crate) const fn content_type(self) -> &'static str {
        match self {
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Self::Prometheus => "text/plain; version=0.0.4; charset=utf-8",
        }
    }
}

/// Formats all metrics as they are now.
///
/// # Errors
///
/// A value cannot be formatted, which is an internal error.
pub(crate) fn render(telemetry: &Telemetry, format: TextFormat) -> Result<Bytes, fmt::Error> {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Scrape::take(telemetry)));
    let mut text = String::new();
    match format {
        TextFormat::OpenMetrics => text::encode(&mut text, &registry)?,
        TextFormat::Prometheus => prometheus_text::encode(&mut text, &registry)?,
    }
    Ok(text.into())
}

type Named<T> = (std::sync::Arc<str>, std::sync::Arc<T>);

/// Handles of all hosts and jobs at the time of a scrape.
struct Scrape {
    telemetry: Telemetry,
    hosts: Vec<ScrapedHost>,
}

struct ScrapedHost {
    host: Named<HostState>,
    jobs: Vec<(Named<JobMetrics>, Option<String>)>,
    checks: Vec<(&'static str, bool)>,
}

impl fmt::Debug for Scrape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scrape").finish_non_exhaustive()
    }
}

impl Scrape {
    fn take(telemetry: &Telemetry) -> Self {
        let now = telemetry.0.clock.now();
        let hosts = telemetry.0.hosts().into_iter().map(|host| {
            let checks = host.1.health().checks(now).into_iter();
            let checks = checks.map(|check| (check.name, check.fault.is_none()));
            ScrapedHost {
                checks: checks.collect(),
                jobs: with_locks(host.1.jobs.all()),
                host,
            }
        });
        Self {
            telemetry: telemetry.clone(),
            hosts: hosts.collect(),
        }
    }

    fn encode_row(&self, row: &MetricRow, encoder: &mut MetricEncoder<'_>) -> fmt::Result {
        match &row.scope {
            Scope::Build => {
                let build = &self.telemetry.0.build;
                encoder.encode_info(&[("version", build.version), ("contract", build.contract)])
            }
            Scope::Process(read) => match read(&self.telemetry.0) {
                Reading::Count(count) => encoder.encode_counter::<NoLabelSet, _, u64>(&count, None),
                Reading::Number(number) => encoder.encode_gauge(&number),
                Reading::Spread(_) | Reading::Absent => Ok(()),
            },
            Scope::Host(_) | Scope::HostBy(..) | Scope::HostChecks => {
                self.encode_hosts(row, encoder)
            }
            Scope::Job(_) | Scope::JobLock(_) | Scope::JobBy(..) => self.encode_jobs(row, encoder),
        }
    }

    fn encode_hosts(&self, row: &MetricRow, encoder: &mut MetricEncoder<'_>) -> fmt::Result {
        for scraped in &self.hosts {
            let (name, host) = (&*scraped.host.0, &*scraped.host.1);
            match &row.scope {
                Scope::Host(read) => write(encoder, &[("host", name)], &read(host))?,
                Scope::HostBy(by, read) => {
                    for (at, word) in by.words.iter().enumerate() {
                        let labels = [("host", name), (by.label, *word)];
                        write(encoder, &labels, &read(host, at))?;
                    }
                }
                Scope::HostChecks => {
                    for (check, holds) in &scraped.checks {
                        let labels = [("host", name), ("check", *check)];
                        write(encoder, &labels, &Reading::fact(*holds))?;
                    }
                }
                Scope::Build
                | Scope::Process(_)
                | Scope::Job(_)
                | Scope::JobLock(_)
                | Scope::JobBy(..) => {}
            }
        }
        Ok(())
    }

    fn encode_jobs(&self, row: &MetricRow, encoder: &mut MetricEncoder<'_>) -> fmt::Result {
        for scraped in &self.hosts {
            let host = &*scraped.host.0;
            for ((name, job), lock) in &scraped.jobs {
                let labels = [("host", host), (JOB_LABEL, &**name)];
                match &row.scope {
                    Scope::Job(read) => write(encoder, &labels, &read(job))?,
                    Scope::JobLock(read) => {
                        if let Some(lock) = lock {
                            let labels = [labels[0], labels[1], ("lock", lock)];
                            write(encoder, &labels, &read(job))?;
                        }
                    }
                    Scope::JobBy(by, read) => {
                        for (at, word) in by.words.iter().enumerate() {
                            let labels = [labels[0], labels[1], (by.label, *word)];
                            write(encoder, &labels, &read(job, at))?;
                        }
                    }
                    Scope::Build
                    | Scope::Process(_)
                    | Scope::Host(_)
                    | Scope::HostBy(..)
                    | Scope::HostChecks => {}
                }
            }
        }
        Ok(())
    }
}

/// Adds the name of its lock to each job that has reported its state.
fn with_locks(jobs: Vec<Named<JobMetrics>>) -> Vec<(Named<JobMetrics>, Option<String>)> {
    let jobs = jobs.into_iter().map(|job| {
        let facts = job.1.facts();
        let record = facts.as_ref().and_then(|facts| facts.record.as_ref());
        let lock = record.map(|record| record.lock.clone());
        drop(facts);
        (job, lock)
    });
    jobs.collect()
}

impl Collector for Scrape {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        for row in &TABLE {
            let unit = row.unit.get();
            let kind = match row.kind {
                MetricKind::Counter => MetricType::Counter,
                MetricKind::Gauge => MetricType::Gauge,
                MetricKind::Histogram => MetricType::Histogram,
                MetricKind::Info => MetricType::Info,
            };
            let mut metric = encoder.encode_descriptor(row.name, row.help, unit.as_ref(), kind)?;
            self.encode_row(row, &mut metric)?;
        }
        Ok(())
    }
}

fn write(
    encoder: &mut MetricEncoder<'_>,
    labels: &impl EncodeLabelSet,
    reading: &Reading<'_>,
) -> fmt::Result {
    let mut series = encoder.encode_family(labels)?;
    match reading {
        Reading::Count(count) => series.encode_counter::<NoLabelSet, _, u64>(count, None),
        Reading::Number(number) => series.encode_gauge(number),
        Reading::Spread(histogram) => histogram.encode(series),
        Reading::Absent => Ok(()),
    }
}
