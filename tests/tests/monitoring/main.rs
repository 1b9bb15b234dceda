//! Hosts as machines see them: metrics, checks and alerts, with a real Prometheus, and messages.

mod alerts;
mod endpoint;
mod notify;
mod receiver;
mod rules;
