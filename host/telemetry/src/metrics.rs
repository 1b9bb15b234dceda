//! Metrics: counters of hosts and jobs, and the one table that names, describes and reads them.

mod collect;
mod describe;
mod host_metrics;
mod job_metrics;
mod process;
mod row;
mod table;
#[cfg(test)]
mod tests;

pub use describe::{MetricInfo, describe_metrics, metric_infos};

pub(crate) use collect::{TextFormat, render};
pub(crate) use host_metrics::HostMetrics;
pub(crate) use job_metrics::{ABANDONED, CRASHED, JobMetrics, SKIPS, TICK_RUN};
