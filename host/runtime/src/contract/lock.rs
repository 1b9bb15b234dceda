//! `lock`: facts about the lock that the guest runs under.
//!
//! Answers are read from the tenure at each call and not cached. Nothing here can extend the tenure.

use std::time::Duration;

use leasehold_records::whole_millis;

use super::super::host_state::HostState;
use super::wit::lock;
use super::wit::types::GuardError;

impl lock::Host for HostState {
    async fn name(&mut self) -> wasmtime::Result<String> {
        Ok(self.authority.lock().to_owned())
    }

    async fn token(&mut self) -> wasmtime::Result<u64> {
        Ok(self.authority.token().get())
    }

    async fn holder(&mut self) -> wasmtime::Result<String> {
        Ok(self.authority.holder().to_owned())
    }

    async fn is_held(&mut self) -> wasmtime::Result<bool> {
        Ok(self.authority.tenure().admits())
    }

    async fn remaining_ms(&mut self) -> wasmtime::Result<u64> {
        Ok(whole_millis(self.authority.tenure().remaining()))
    }

    /// Sleeps until a stop is requested or the time is up. The end of the tenure or of the run drops this future.
    async fn stop_requested(&mut self, at_most_ms: u32) -> wasmtime::Result<bool> {
        self.gate.set_name("lock.stop-requested");
        let requested = &self.spec.stop.requested;
        let at_most = Duration::from_millis(at_most_ms.into());
        tokio::select! {
            biased;
            () = requested.cancelled() => Ok(true),
            () = tokio::time::sleep(at_most) => Ok(requested.is_cancelled()),
        }
    }

    async fn check(&mut self) -> wasmtime::Result<Result<(), GuardError>> {
        self.gate.set_name("lock.check");
        let answer = self.authority.kv().check().await;
        self.gate.still()?;
        Ok(answer.map_err(GuardError::from))
    }
}
