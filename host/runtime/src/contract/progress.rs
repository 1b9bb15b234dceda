//! `progress`: progress that a guest reports.

use super::super::host_state::HostState;
use super::wit::progress;

impl progress::Host for HostState {
    async fn report(
        &mut self,
        done: u64,
        total: Option<u64>,
        message: String,
    ) -> wasmtime::Result<()> {
        self.output.progress(done, total, &message);
        Ok(())
    }
}
