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
//! `client` (one request, from its check to its response) → `destinations` (permitted ones, with `resolve` and `tls`; `connect`)
//! → `leashed_stream`, `head`, `body`, `own_headers` (the transferred bytes, counted). This module sends nothing by itself.

mod body;
mod client;
mod connect;
mod destinations;
mod head;
mod in_flight;
mod leashed_stream;
mod own_headers;
mod resolve;
mod timeouts;
mod tls;

#[cfg(test)]
mod tests;

use wasmtime_wasi::ResourceTable;
use wasmtime_wasi_http::{WasiHttpCtx, WasiHttpCtxView};

pub(crate) use client::{ClientContext, HttpClient};
pub(crate) use destinations::HttpDestinations;
pub(crate) use in_flight::InFlightRequests;
pub(crate) use resolve::{Resolve, SystemResolver};

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

    /// Borrows the state, with the run's table of resources, for one call.
    pub(crate) fn view<'a>(&'a mut self, table: &'a mut ResourceTable) -> WasiHttpCtxView<'a> {
        WasiHttpCtxView {
            hooks: &mut self.client,
            table,
            ctx: &mut self.context,
        }
    }
}
