//! Leasehold as machines see it: metrics for Prometheus, health checks, and the state as JSON, over HTTP.
//!
//! [`Telemetry`] collects what the hosts of a process report, and [`TelemetryServer`] answers at the address of
//! `listen` in `[host]`. Without that line neither exists, and nothing here runs.
//!
//! | path | answer |
//! |---|---|
//! | `/metrics` | all metrics of [`METRICS.md`](../METRICS.md), in the format `OpenMetrics` where the client accepts it, else as Prometheus' text |
//! | `/livez` | 200 while the process makes progress |
//! | `/readyz` | 200 when each host reaches its store, renews its leases, holds its id and has its plugins loaded; else 503 with the checks that fail. `?verbose` lists all |
//! | `/status` | hosts, checks and jobs as JSON: [`status`] |
//!
//! # Ways in
//!
//! ```text
//! supervisor ──EventSink──▶ MetricsSink ──▶ HostState ◀── HostObserver ◀──LockObserver── lock
//!                                              ▲
//!                              scrape ─────────┘
//! ```
//!
//! Both ways in only count: a few atomic additions, and a short lock of one job. A scrape copies handles and formats
//! them on the thread `leasehold-http`, so that no worker waits for a client. That thread serves all requests, one
//! after the other; the number of connections, their size and their time are bounded.
//!
//! # Names and labels
//!
//! Every series has the label `host`, so that several hosts of one process, or a host that moves, keep theirs. Series
//! of a job have the label `job_name`; no series has a token, a run or a lease. More than [`MOST_JOBS`] jobs of a host
//! share the name `_other`, and a counter shows how much that was.
//!
//! # Modules
//!
//! - `metrics`: the table of metrics, and its parts: `host_metrics`, `job_metrics`, `process`, `collect`
//! - `process_state`, `host_state`, `job_table`: what is known about the process, one host and its jobs
//! - `sink`, `observer`: the ways in
//! - `health`, [`status`]: checks, and JSON
//! - `server`: HTTP
//! - `notify`: messages about failures, `traces`: traces of runs; they need no `listen`
//! - `post`, `request_headers`, `tls`: requests that both send

mod health;
mod host_state;
mod job_table;
mod metrics;
mod notify;
mod observer;
mod post;
mod process_state;
mod request_headers;
#[cfg(test)]
mod sample;
mod server;
mod sink;
pub mod status;
mod telemetry;
mod tls;
mod traces;

pub use job_table::MOST_JOBS;
pub use metrics::{MetricInfo, describe_metrics, metric_infos};
pub use notify::Notifier;
pub use process_state::BuildInfo;
pub use server::{ListenError, TelemetryServer};
pub use telemetry::Telemetry;
pub use traces::Tracer;
