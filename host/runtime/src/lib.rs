//! Guests: loading plugins, and running them under an authority until they end or are stopped.
//!
//! # Guarantees
//!
//! - **Stop without consent.** A guest that spins, blocks or ignores requests is stopped. Epochs
//!   end loops (`watchdog`), a poll guard prevents a further poll (`poll_guard`), and dropping
//!   the future ends blocked host calls (`run`).
//! - **No late effects.** Every entry into the host passes one gate that reads the clock (`gate`).
//! - **Nothing by default.** An interface that is not granted is not linked (`form`, `wasi`).
//!
//! # Layout
//!
//! - `load`: file → `prepare` (in a child process: `survey` with `caps`, `type_nesting` and `entry`, machine code) → `form` →
//!   `plugin`, on the `engine` that fits
//! - `compile_turns`: one compilation for concurrent loads of a plugin; `load_observer`: notifications of each load
//! - `proposals`: the WebAssembly features that guests may use
//! - `run`: authority + plugin → `host_state` store → `poll_guard` → `verdict` → `report`
//! - `contract`: the host's side of `leasehold:job@1`; `wasi`, `files`, `http`: the host's side of WASI
//! - `run_trace`: the trace of a run; `call_timer`, `call_names`: the time of its calls
//! - `output`, `lines`, `redact`, `tail`: the guest's output; `current`: lines that libraries log on its behalf
//!
//! Architecture Invariant: this crate is the only one that names `wasmtime`, and no type of
//! `wasmtime` appears in its public interface.

mod authority;
mod cache;
mod call_names;
mod call_timer;
mod caps;
mod compile_turns;
mod compiled_cache;
mod contract;
pub mod current;
pub mod descriptors;
mod disk;
mod disk_preview1;
mod disk_wasi;
mod engine;
mod entry;
mod error;
mod event;
mod exit;
mod fault;
mod files;
mod form;
mod gate;
mod host_state;
mod http;
mod inspect;
mod kv;
mod leash;
mod lines;
mod linked_plugin;
mod load;
mod load_observer;
mod load_request;
mod mark;
mod meter;
mod options;
mod output;
mod plugin;
mod poll_guard;
mod prepare;
mod proposals;
pub mod rate;
mod raw_output;
mod redact;
mod report;
mod run;
mod run_trace;
mod slot;
mod spec;
mod survey;
mod tail;
mod tap;
mod type_nesting;
mod verdict;
mod versions;
mod wasi;
mod watchdog;

#[cfg(test)]
mod tests;

use std::path::Path;
use std::sync::Arc;

use tokio::sync::mpsc;

pub use authority::Authority;
pub use cache::CacheError;
pub use contract::VERSION as CONTRACT_VERSION;
pub use error::{LoadError, LoadProblem, RuntimeError};
pub use event::{GuestEvent, Level, Line, Stream};
pub use form::Form;
pub use inspect::{ImportState, Inspection, inspect};
pub use kv::{GuestKv, KvEntry, KvError};
pub use load_observer::{LoadObserver, LoadStep, ObservedPlugin};
pub use mark::PollMark;
pub use options::{Preparing, RuntimeOptions};
pub use plugin::{Plugin, PluginFacts};
pub use prepare::{SMALL_PLUGIN_BYTES, run_if_asked};
pub use proposals::validate;
pub use raw_output::RawOutput;
pub use report::{RunEnd, RunReport};
pub use run_trace::{CallObserver, HostCall, RunTrace, SLOW_CALL};
pub use slot::{Reservation, Slot, Slots};
pub use spec::{RunSpec, StopSignal, Trigger};
pub use tap::OutputTap;
pub use versions::WASMTIME_VERSION;

use crate::descriptors::DescriptorPool;
use engine::EngineSet;
use leasehold_config::JobSource;
/// Grants of a job, beyond what every plugin may use.
pub use leasehold_config::allow::Allow as Grants;
use leasehold_config::limits::Limits;
use load::Loader;
use load_request::LoadRequest;
use watchdog::Watchdog;

/// Engines, watchdog and slots for guests. A host process has one.
pub struct Runtime {
    watchdog: Arc<Watchdog>,
    loader: Loader,
    slots: Slots,
    descriptors: Arc<DescriptorPool>,
}

impl Runtime {
    /// Makes the engines and starts the watchdog thread.
    pub fn new(options: &RuntimeOptions) -> Result<Self, RuntimeError> {
        Self::with_resolver(options, Arc::new(http::SystemResolver::default()))
    }

    /// Makes a runtime that resolves names with `resolver`.
    fn with_resolver(
        options: &RuntimeOptions,
        resolver: Arc<dyn http::Resolve>,
    ) -> Result<Self, RuntimeError> {
        let watchdog = Arc::new(Watchdog::start().map_err(RuntimeError::Watchdog)?);
        let engines = Arc::new(EngineSet::new(options, watchdog.clone())?);
        Ok(Self {
            watchdog,
            loader: Loader::new(engines, resolver, options)?,
            slots: Slots::new(options.max_runs),
            descriptors: Arc::new(DescriptorPool::of_process()),
        })
    }

    /// Loads the plugin of a job: reads, checks, compiles and links it, within
    /// [`Limits::compile_time`].
    ///
    /// # Errors
    ///
    /// Every defect of a plugin is found here, before a lock is requested. The message names the
    /// remedy, in the file that the job's source has.
    pub async fn load(
        &self,
        job: &JobSource,
        path: &Path,
        expected_sha256: Option<[u8; 32]>,
        limits: &Limits,
        grants: &Grants,
    ) -> Result<Plugin, LoadError> {
        let order = LoadRequest {
            job: job.clone(),
            path: path.to_owned(),
            bytes: None,
            sha256: expected_sha256,
            limits: limits.clone(),
            grants: grants.clone(),
        };
        self.loader.load(order).await
    }

    /// Loads a plugin like [`Runtime::load`], from bytes that were already read from `path`.
    ///
    /// # Errors
    ///
    /// The errors of [`Runtime::load`].
    pub async fn load_bytes(
        &self,
        job: &JobSource,
        path: &Path,
        bytes: Arc<[u8]>,
        expected_sha256: Option<[u8; 32]>,
        limits: &Limits,
        grants: &Grants,
    ) -> Result<Plugin, LoadError> {
        let order = LoadRequest {
            job: job.clone(),
            path: path.to_owned(),
            bytes: Some(bytes),
            sha256: expected_sha256,
            limits: limits.clone(),
            grants: grants.clone(),
        };
        self.loader.load(order).await
    }

    /// Reports the steps of later loads to `observer`, in place of the observer before.
    pub fn observe_loads(&self, observer: Arc<dyn LoadObserver>) {
        self.loader.observer.set(observer);
    }

    /// Returns the slots of this host. A run takes one of them.
    pub const fn slots(&self) -> &Slots {
        &self.slots
    }

    /// Opens the directories of these grants as a run does, and closes them again. Blocks for as long as
    /// the file system does.
    ///
    /// # Errors
    ///
    /// The first directory that cannot be opened, with the reason.
    pub fn check_dirs(grants: &Grants) -> Result<(), String> {
        files::check(&grants.dirs)
    }

    /// Runs a plugin under an authority until it ends, its tenure ends, its timeout passes or it is
    /// stopped. Never panics. Dropping the future stops the guest as well. The slot is freed once the
    /// guest is dropped.
    ///
    /// Events are sent without waiting. Events that do not fit the channel are dropped and counted.
    pub async fn run(
        &self,
        plugin: &Plugin,
        authority: Authority,
        spec: RunSpec,
        events: mpsc::Sender<GuestEvent>,
        slot: Slot,
    ) -> RunReport {
        let _ticking = self.watchdog.watch();
        let descriptors = self.descriptors.clone();
        run::run(plugin, authority, spec, events, slot, descriptors).await
    }

    /// Returns the number of loads served from the compile cache since the start.
    pub fn cache_hits(&self) -> usize {
        self.loader.cache_hits()
    }

    /// Stops and joins the watchdog thread. All runs must have been reported.
    pub fn shutdown(&self) {
        self.watchdog.stop();
    }
}

#[cfg(test)]
impl Runtime {
    /// Compiles a module to machine code, which a user might pass instead of a plugin.
    fn precompile(&self, bytes: &[u8]) -> Vec<u8> {
        self.loader.engines().precompile(bytes)
    }
}
