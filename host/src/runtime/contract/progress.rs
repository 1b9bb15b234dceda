//! `progress`: how far a guest says it is.

use leasehold_records::printable;

use super::super::host::Host;
use super::wit::progress;

impl progress::Host for Host {
    async fn report(
        &mut self,
        done: u64,
        total: Option<u64>,
        message: String,
    ) -> wasmtime::Result<()> {
        self.output.progress(done, total, printable::line(&message));
        Ok(())
    }
}
