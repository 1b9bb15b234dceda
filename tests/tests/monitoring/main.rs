//! Hosts as machines see them: metrics, checks and alerts, with a real Prometheus, messages, and traces.

mod alerts;
mod collector;
mod endpoint;
mod notify;
mod receiver;
mod rules;
mod traces;
