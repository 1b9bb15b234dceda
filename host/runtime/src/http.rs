//! `wasi:http/outgoing-handler`: requests of a guest to the origins that its job was granted.
//!
//! # Guarantees
//!
//! - A request goes to an origin on the job's list, over a connection to an address that was checked just
//!   before. A redirect is followed by the guest with a further request, which is checked like the first.
//! - Every write checks the leash first (`wire`), and no connection outlives its run (`flight`).
//! - Only the host sets the headers of the fencing token. A guest cannot set one, in any spelling that a server may
//!   treat as the same.
//!
//! # Layout
//!
//! `courier` (one request, from its check to its response) → `net` (permitted destinations, with `resolve` and `tls`)
//! → `wire`, `head`, `body` (the transferred bytes, counted). This module sends nothing by itself.

mod body;
mod client;
mod destinations;
mod head;
mod in_flight;
mod leashed_stream;
mod resolve;
mod tls;

#[cfg(test)]
mod tests;

use wasmtime::component::Linker;
use wasmtime_wasi::WasiView as _;
use wasmtime_wasi_http::{WasiHttpCtx, WasiHttpCtxView, WasiHttpView};

pub(crate) use client::{Carried, Courier};
pub(crate) use destinations::Net;
pub(crate) use in_flight::Flights;
pub(crate) use resolve::{Resolve, SystemResolver};

use super::host_state::Host;

/// State of one run's requests.
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

/// Links the interfaces for sending requests, for plugins to which an origin was granted.
pub(crate) fn link(linker: &mut Linker<Host>) -> wasmtime::Result<()> {
    wasmtime_wasi_http::p2::add_only_http_to_linker_async(linker)
}

impl WasiHttpView for Host {
    /// Every function of `wasi:http` borrows this once, so the call is counted here.
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        self.gate.called();
        WasiHttpCtxView {
            hooks: &mut self.http.courier,
            table: self.wasi.ctx().table,
            ctx: &mut self.http.context,
        }
    }
}
