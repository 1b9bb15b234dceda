//! One run, from authority to report.
//!
//! # Guarantees
//!
//! - The guest is not started, polled or answered once its tenure has ended.
//! - When the report exists, the guest is dropped: first its future, which ends blocked host
//!   calls, then its store. A lock released after the report is released after the guest.
//! - It never panics: a panic in a host function ends this run alone.
//!
//! No store is kept beyond its run.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::FutureExt;
use http::HeaderValue;
use tokio::sync::mpsc;
use wasmtime::Store;

use super::authority::Authority;
use super::current;
use super::disk::DiskMeter;
use super::event::GuestEvent;
use super::gate::Gate;
use super::host_state::{self, HostState};
use super::http::{ClientContext, HttpClient, HttpState, InFlightRequests};
use super::leash::Leash;
use super::linked_plugin::LinkedPlugin;
use super::mark::marked;
use super::meter::{GrowthMeter, MeterReading};
use super::output::Output;
use super::plugin::Plugin;
use super::poll_guard::guarded;
use super::redact::Redactor;
use super::report::{RunEnd, RunReport};
use super::slot::Slot;
use super::spec::RunSpec;
use super::verdict::{self, GuestReturn};
use super::wasi;
use crate::descriptors::DescriptorPool;

/// Parts of one run that outlive its store.
struct Run<'a> {
    plugin: &'a Plugin,
    authority: Authority,
    spec: Arc<RunSpec>,
    gate: Arc<Gate>,
    leash: Arc<Leash>,
    output: Arc<Output>,
    in_flight: Arc<InFlightRequests>,
    reading: Arc<MeterReading>,
    descriptors: Arc<DescriptorPool>,
}

/// Runs `plugin` until it ends or is stopped.
pub(crate) async fn run(
    plugin: &Plugin,
    authority: Authority,
    spec: RunSpec,
    events: mpsc::Sender<GuestEvent>,
    slot: Slot,
    descriptors: Arc<DescriptorPool>,
) -> RunReport {
    let tenure = authority.tenure().clone();
    let clock = tenure.clock().clone();
    let started_at = clock.now();
    let calls = spec.trace.as_ref().and_then(|trace| trace.calls.clone());
    let gate = Arc::new(Gate::new(tenure.clone()).observed(calls));
    let run = Run {
        plugin,
        leash: Arc::new(Leash::new(tenure, spec.timeout, spec.stop.clone())),
        output: Arc::new(Output::new(
            clock.clone(),
            gate.clone(),
            plugin.limits(),
            Arc::new(Redactor::new(&spec.secrets)),
            events,
            spec.tap.clone(),
        )),
        in_flight: Arc::new(InFlightRequests::default()),
        gate,
        authority,
        spec: Arc::new(spec),
        reading: Arc::new(MeterReading::default()),
        descriptors,
    };
    // The store is inside this future and is dropped with it, also after a panic.
    let (end, backtrace) = AssertUnwindSafe(run.guest(slot))
        .catch_unwind()
        .await
        .unwrap_or_else(|_| (panicked(), None));
    // Requests run as tasks beside the guest: none of them outlives it.
    run.in_flight.close();
    let stopped_at = clock.now();
    // A call that the end of the run cut off.
    run.gate.end_call(stopped_at);
    let said = run.output.finish();
    RunReport {
        end,
        started_at,
        stopped_at,
        first_admitted: run.gate.first_admitted(),
        last_admitted: run.gate.last_admitted(),
        deadline: run.gate.deadline(),
        admitted: run.gate.admitted(),
        refused: run.gate.refused(),
        peak_memory_bytes: run.reading.peak_memory(),
        output: said.text,
        output_truncated_bytes: said.truncated_bytes,
        lines_dropped: said.lines_dropped,
        backtrace,
    }
}

fn panicked() -> RunEnd {
    RunEnd::Trap {
        kind: "host-panic",
        message: "internal error: a host function panicked".to_owned(),
    }
}

impl Run<'_> {
    async fn guest(&self, slot: Slot) -> (RunEnd, Option<String>) {
        let tenure = self.authority.tenure();
        // The slot is bound before the store, so it is freed after the store.
        let _slot = slot;
        let host = match self.host() {
            Ok(host) => host,
            Err(why) => return (RunEnd::Unstarted(self.output.clean(&why)), None),
        };
        let mut store = host_state::store(&self.plugin.engine().engine, host);
        let made = AtomicBool::new(false);
        let guest = drive(&mut store, self.plugin.ready(), &made);
        let guest = marked(self.spec.mark.as_ref(), guest);
        let guest = current::within(self.output.clone(), guest);
        match guarded(&self.leash, self.output.background(), guest).await {
            Ok(Ok(returned)) => (verdict::of_return(returned, self.clean()), None),
            Ok(Err(error)) if !made.load(Ordering::Relaxed) && verdict::is_of_host(&error) => {
                let why = format!("there is no room for the guest on this host: {error:#}");
                (RunEnd::Unstarted(self.output.clean(&why)), None)
            }
            Ok(Err(error)) => {
                let backtrace = verdict::backtrace_of(&error, self.clean());
                (self.broke_off(&error), backtrace)
            }
            Err(cause) => (verdict::of_cause(cause, tenure), None),
        }
    }

    fn broke_off(&self, error: &wasmtime::Error) -> RunEnd {
        let tenure = self.authority.tenure();
        let (leash, reading) = (&self.leash, &self.reading);
        verdict::of_error(
            error,
            leash,
            tenure,
            reading,
            self.plugin.job(),
            self.clean(),
        )
    }

    /// Returns a function that makes the guest's text printable and removes secrets from it.
    fn clean(&self) -> impl Fn(&str) -> String {
        |text| self.output.clean(text)
    }

    /// Makes the state that the guest's imports use. The error names a granted directory that cannot be opened.
    fn host(&self) -> Result<HostState, String> {
        let limits = self.plugin.limits();
        let grants = self.plugin.grants();
        Ok(HostState {
            wasi: wasi::context(
                &self.spec,
                &self.authority,
                limits,
                grants,
                &self.output,
                &self.leash,
            )?,
            http: self.http(),
            meter: GrowthMeter::new(limits, self.reading.clone()),
            gate: self.gate.clone(),
            leash: self.leash.clone(),
            output: self.output.clone(),
            disk: DiskMeter::new(
                limits,
                self.plugin.job().clone(),
                self.output.clone(),
                self.descriptors.clone(),
            ),
            authority: self.authority.clone(),
            job: self.plugin.job().clone(),
            spec: self.spec.clone(),
            grants: grants.clone(),
            limits: limits.clone(),
        })
    }

    /// Returns the header of the run's trace.
    fn traceparent(&self) -> Option<HeaderValue> {
        let trace = self.spec.trace.as_ref()?;
        HeaderValue::from_str(&trace.traceparent).ok()
    }

    /// Makes the HTTP state of the guest. Its imports are linked only if an origin was granted.
    fn http(&self) -> HttpState {
        HttpState::new(HttpClient::new(ClientContext {
            net: self.plugin.net().clone(),
            job: self.plugin.job().clone(),
            token: self.authority.token(),
            traceparent: self.traceparent(),
            limits: self.plugin.limits().clone(),
            gate: self.gate.clone(),
            leash: self.leash.clone(),
            output: self.output.clone(),
            in_flight: self.in_flight.clone(),
        }))
    }
}

/// Instantiates the guest, sets `made` when that is done, and calls its entry.
async fn drive(
    store: &mut Store<HostState>,
    ready: &LinkedPlugin,
    made: &AtomicBool,
) -> wasmtime::Result<GuestReturn> {
    match ready {
        LinkedPlugin::Job(pre) => {
            let job = pre.instantiate_async(&mut *store).await?;
            made.store(true, Ordering::Relaxed);
            let outcome = job.leasehold_job_guest().call_run(store).await?;
            Ok(GuestReturn::Job(outcome))
        }
        LinkedPlugin::Command(pre) => {
            let command = pre.instantiate_async(&mut *store).await?;
            made.store(true, Ordering::Relaxed);
            let status = command.wasi_cli_run().call_run(store).await?;
            Ok(GuestReturn::Command(status))
        }
        LinkedPlugin::CoreCommand(pre) => {
            let instance = pre.instantiate_async(&mut *store).await?;
            made.store(true, Ordering::Relaxed);
            let start = instance.get_typed_func::<(), ()>(&mut *store, "_start")?;
            start.call_async(store, ()).await?;
            Ok(GuestReturn::Command(Ok(())))
        }
    }
}
