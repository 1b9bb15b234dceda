//! `wasi:http/outgoing-handler`: requests that a guest sends to where it was granted.
//!
//! # Guarantees
//!
//! - A request goes to an origin on the job's list, over a connection to an address that was checked a
//!   moment before. A redirect is the guest's own next request, so it is checked like the first.
//! - Every byte that leaves asks the leash first (`wire`), and no connection outlives its run (`flight`).
//! - The fencing token's headers are the host's: no guest can set one, in any spelling that a server may fold into it.
//!
//! # Layout
//!
//! `courier` (one request, from judging it to its answer) → `net` (who may be reached, `resolve`, `tls`) →
//! `wire`, `head`, `body` (what passes, counted). This module must never send anything by itself.

mod body;
mod courier;
mod flight;
mod head;
mod net;
mod resolve;
mod tls;
mod wire;

#[cfg(test)]
mod tests;

use wasmtime::component::Linker;
use wasmtime_wasi::WasiView as _;
use wasmtime_wasi_http::{WasiHttpCtx, WasiHttpCtxView, WasiHttpView};

pub(crate) use courier::{Carried, Courier};
pub(crate) use flight::Flights;
pub(crate) use net::Net;
pub(crate) use resolve::{Resolve, SystemResolver};

use super::host::Host;

/// The state of one run's requests.
pub(crate) struct Http {
    context: WasiHttpCtx,
    courier: Courier,
}

impl Http {
    pub(crate) fn new(courier: Courier) -> Self {
        let mut context = WasiHttpCtx::new();
        let fields = courier.limits().http_field_bytes;
        context.set_field_size_limit(usize::try_from(fields).unwrap_or(usize::MAX));
        Self { context, courier }
    }
}

/// Links what it takes to send requests, for plugins to which an origin was granted.
pub(crate) fn link(linker: &mut Linker<Host>) -> wasmtime::Result<()> {
    wasmtime_wasi_http::p2::add_only_http_to_linker_async(linker)
}

impl WasiHttpView for Host {
    /// Borrowed once by every function of `wasi:http`, so this is where such a call counts.
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        self.gate.called();
        WasiHttpCtxView {
            hooks: &mut self.http.courier,
            table: self.wasi.ctx().table,
            ctx: &mut self.http.context,
        }
    }
}
