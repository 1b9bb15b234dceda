//! The state of one run's store: everything the guest's imports can reach.
//!
//! Each run has its own store, which is never reused. Every import enters through the gate.

use std::sync::Arc;

use wasmtime::{CallHook, Engine, Store, UpdateDeadline};
use wasmtime_wasi::p1::WasiP1Ctx;
use wasmtime_wasi::{WasiCtxView, WasiView};
use wasmtime_wasi_http::{WasiHttpCtxView, WasiHttpView};

use super::authority::Authority;
use super::disk::DiskMeter;
use super::gate::Gate;
use super::http::HttpState;
use super::leash::Leash;
use super::meter::GrowthMeter;
use super::output::Output;
use super::spec::RunSpec;
use leasehold_config::JobSource;
use leasehold_config::allow::Allow as Grants;
use leasehold_config::limits::Limits;

/// Name of the module of preview 1.
const PREVIEW1: &str = "wasi_snapshot_preview1";

/// State that the imports of one run use.
pub(crate) struct HostState {
    /// Borrowed for a guest's call only through the functions below, which count the call.
    pub(crate) wasi: WasiP1Ctx,
    /// Borrowed like `wasi`.
    pub(crate) http: HttpState,
    pub(crate) meter: GrowthMeter,
    pub(crate) gate: Arc<Gate>,
    pub(crate) leash: Arc<Leash>,
    pub(crate) output: Arc<Output>,
    pub(crate) disk: DiskMeter,
    pub(crate) authority: Authority,
    /// Job that remedies name.
    pub(crate) job: JobSource,
    pub(crate) spec: Arc<RunSpec>,
    pub(crate) grants: Arc<Grants>,
    pub(crate) limits: Arc<Limits>,
}

impl HostState {
    /// Counts a call of a function of this contract interface as admitted, and returns the state that it uses.
    pub(crate) fn called(&mut self, interface: &'static str) -> &mut Self {
        self.gate.called(interface);
        self
    }

    /// Counts a call of a preview 1 function as admitted, and returns the state that it uses.
    pub(crate) fn called_preview1(&mut self) -> &mut WasiP1Ctx {
        self.gate.called(PREVIEW1);
        &mut self.wasi
    }
}

impl WasiView for HostState {
    /// Every WASI function borrows this once, so the call is counted here.
    fn ctx(&mut self) -> WasiCtxView<'_> {
        self.gate.called("wasi");
        self.wasi.ctx()
    }
}

impl WasiHttpView for HostState {
    /// Every function of `wasi:http` borrows this once, so the call is counted here.
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        self.gate.called("wasi:http");
        self.http.view(self.wasi.ctx().table)
    }
}

/// Puts `host` into a store, and installs the gate, the limits and the leash. They are in effect before
/// anything is instantiated, so an endless `start` function is stopped too.
pub(crate) fn store(engine: &Engine, host: HostState) -> Store<HostState> {
    let fuel = usize::try_from(host.limits.host_call_bytes).unwrap_or(usize::MAX);
    let handles = host.limits.handles as usize;
    let mut store = Store::new(engine, host);
    store.limiter(|host| &mut host.meter);
    store.set_hostcall_fuel(fuel);
    store.set_max_component_handles(handles);
    store.call_hook(|cx, hook| {
        let gate = &cx.data().gate;
        match hook {
            CallHook::CallingHost => gate.enter()?,
            CallHook::ReturningFromHost => gate.leave()?,
            CallHook::CallingWasm | CallHook::ReturningFromWasm => {}
        }
        Ok(())
    });
    store.set_epoch_deadline(1);
    store.epoch_deadline_callback(|cx| {
        Ok(match cx.data().leash.stop_reason() {
            Some(_) => UpdateDeadline::Interrupt,
            None => UpdateDeadline::Yield(1),
        })
    });
    store
}
