//! `/status`: the hosts of the process and their jobs, as JSON.
//!
//! The names and meanings of fields stay; new ones may come.

use std::sync::Arc;

use leasehold_records::{JobRecord, UnixMs};
use serde::Serialize;

use crate::host_state::HostState;
use crate::telemetry::Telemetry;

/// State of the process.
#[derive(Clone, Debug, Serialize)]
pub struct ProcessStatus {
    /// Version of Leasehold.
    pub version: &'static str,
    /// Version of the contract between host and guests.
    pub contract: &'static str,
    /// Process id.
    pub pid: u32,
    /// Start of the process, in milliseconds since 1970.
    pub started_unix_ms: UnixMs,
    /// True if all checks of all hosts hold.
    pub ready: bool,
    /// The hosts, by name.
    pub hosts: Vec<HostStatus>,
}

/// State of one host.
#[derive(Clone, Debug, Serialize)]
pub struct HostStatus {
    /// Id of the host.
    pub host: Arc<str>,
    /// True if all of its checks hold.
    pub ready: bool,
    /// Its checks.
    pub checks: Vec<CheckStatus>,
    /// Its jobs, by name.
    pub jobs: Vec<JobStatus>,
}

/// Result of one check.
#[derive(Clone, Debug, Serialize)]
pub struct CheckStatus {
    /// Name: `plugins`, `store`, `id`, `leases` or `running`.
    pub name: &'static str,
    /// True if it holds.
    pub ok: bool,
    /// The fault, for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fault: Option<String>,
}

/// State of one job: its record, as hosts write it to the store, and facts beside it.
#[derive(Clone, Debug, Serialize)]
pub struct JobStatus {
    /// The record.
    #[serde(flatten)]
    pub record: JobRecord,
    /// SHA-256 of the plugin, in hex.
    pub plugin_sha256: String,
    /// True from the report that the process died in the first run of the plugin until a run of the job starts.
    pub quarantined: bool,
}

impl ProcessStatus {
    /// Returns the state at this moment.
    pub fn take(telemetry: &Telemetry) -> Self {
        let process = &telemetry.0;
        let now = process.clock.now();
        let hosts = process.hosts().into_iter().map(|(name, host)| {
            let checks = host.health().checks(now).into_iter();
            let checks: Vec<CheckStatus> = checks
                .map(|check| CheckStatus {
                    name: check.name,
                    ok: check.fault.is_none(),
                    fault: check.fault,
                })
                .collect();
            HostStatus {
                host: name,
                ready: checks.iter().all(|check| check.ok),
                checks,
                jobs: jobs(&host),
            }
        });
        let hosts: Vec<HostStatus> = hosts.collect();
        Self {
            version: process.build.version,
            contract: process.build.contract,
            pid: std::process::id(),
            started_unix_ms: UnixMs::from_system(process.started),
            ready: !hosts.is_empty() && hosts.iter().all(|host| host.ready),
            hosts,
        }
    }
}

fn jobs(host: &HostState) -> Vec<JobStatus> {
    let jobs = host.jobs.all().into_iter().filter_map(|(_, job)| {
        let facts = job.facts()?;
        Some(JobStatus {
            record: facts.record.clone()?,
            plugin_sha256: facts.plugin_sha256.clone(),
            quarantined: facts.is_quarantined,
        })
    });
    jobs.collect()
}
