//! `job-context`: identity and input of the run.

use leasehold_config::wall::UnixMs;

use super::super::host_state::HostState;
use super::super::spec::Trigger;
use super::wit::job_context;

impl job_context::Host for HostState {
    async fn info(&mut self) -> wasmtime::Result<job_context::RunInfo> {
        Ok(job_context::RunInfo {
            job: self.spec.job.clone(),
            run_id: self.spec.run_id.clone(),
            attempt: self.spec.attempt,
            scheduled_at: self.spec.scheduled_at_unix_ms.map(UnixMs::as_u64),
            trigger: match self.spec.trigger {
                Trigger::Schedule => job_context::Trigger::Schedule,
                Trigger::Manual => job_context::Trigger::Manual,
                Trigger::Watch => job_context::Trigger::Watch,
                Trigger::Continuous => job_context::Trigger::Continuous,
            },
        })
    }

    async fn config(&mut self) -> wasmtime::Result<String> {
        Ok(self.spec.config_json.clone())
    }

    /// Returns a granted secret, and `None` for any other name.
    async fn secret(&mut self, name: String) -> wasmtime::Result<Option<String>> {
        Ok(self.spec.secrets.get(&name).map(str::to_owned))
    }
}
