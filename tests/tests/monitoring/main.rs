//! Hosts as machines see them: metrics, checks and alerts, with a real Prometheus.

mod alerts;
mod endpoint;
mod rules;
