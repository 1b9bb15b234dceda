//! `wasi:http/outgoing-handler`: requests of a guest to the origins that its job was granted.
//!
//! # Guarantees
//!
//! - A request goes to an origin on the job's list, over a connection to an address that was checked just
//!   before. A redirect is followed by the guest with a further request, which is checked like the first.
//! - Every write checks the leash first (`leashed_stream`), and no connection outlives its run (`in_flight`).
//! - Only the host sets the headers of the fencing token. A guest cannot set one, in any spelling that a server may
//!   treat as the same.
//!
//! # Layout
//!
//! `client` (one request, from its check to its response) → `destinations` (permitted, with `resolve` and `tls`)
//! → `leashed_stream`, `head`, `body` (the transferred bytes, counted). This module sends nothing by itself.

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

pub(crate) use client::{ClientContext, HttpClient};
pub(crate) use destinations::HttpDestinations;
pub(crate) use in_flight::InFlightRequests;
pub(crate) use resolve::{Resolve, SystemResolver};

use super::host_state::HostState;

/// State of one run's requests.
pub(crate) struct HttpState {
    context: WasiHttpCtx,
    client: HttpClient,
}

impl HttpState {
    pub(crate) fn new(client: HttpClient) -> Self {
        let mut context = WasiHttpCtx::new();
        let fields = client.limits().http_field_bytes;
        context.set_field_size_limit(usize::try_from(fields).unwrap_or(usize::MAX));
        Self { context, client }
    }
}

/// Links the interfaces for sending requests, for plugins to which an origin was granted.
pub(crate) fn link(linker: &mut Linker<HostState>) -> wasmtime::Result<()> {
    wasmtime_wasi_http::p2::add_only_http_to_linker_async(linker)
}

impl WasiHttpView for HostState {
    /// Every function of `wasi:http` borrows this once, so the call is counted here.
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        self.gate.called();
        WasiHttpCtxView {
            hooks: &mut self.http.client,
            table: self.wasi.ctx().table,
            ctx: &mut self.http.context,
        }
    }
}
