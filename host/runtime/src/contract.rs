//! The host's side of `leasehold:job@1`, one file per interface.
//!
//! The bindings are generated from `plugins/wit`. Each function borrows its state through
//! [`HostState::called`], which counts the call. This module has no state of its own.

mod context;
mod kv;
mod lock;
mod log;
mod progress;

use wasmtime::component::{HasSelf, Linker};

use super::host_state::HostState;
use super::kv::KvError;

pub(crate) mod bindings {
    //! Bindings generated from the WIT files.
    wasmtime::component::bindgen!({
        path: "../../plugins/wit",
        world: "job",
        imports: { default: async | trappable },
        exports: { default: async },
    });
}

use bindings::leasehold::job as wit;

/// Contract version of this host.
pub const VERSION: &str = "1.1.0";
/// Major contract version that a plugin must have been built for.
pub(crate) const MAJOR: u64 = 1;
/// Package of every interface of the contract.
pub(crate) const PACKAGE: &str = "leasehold:job";

/// Links the contract's interfaces that every plugin may import.
pub(crate) fn link(linker: &mut Linker<HostState>) -> wasmtime::Result<()> {
    wit::types::add_to_linker::<_, HasSelf<HostState>>(linker, |host| host.called("types"))?;
    wit::lock::add_to_linker::<_, HasSelf<HostState>>(linker, |host| host.called("lock"))?;
    wit::job_context::add_to_linker::<_, HasSelf<HostState>>(linker, |host| {
        host.called("job-context")
    })?;
    wit::progress::add_to_linker::<_, HasSelf<HostState>>(linker, |host| host.called("progress"))?;
    wit::log::add_to_linker::<_, HasSelf<HostState>>(linker, |host| host.called("log"))
}

/// Links fenced storage, for plugins to which a prefix was granted.
pub(crate) fn link_kv(linker: &mut Linker<HostState>) -> wasmtime::Result<()> {
    wit::fenced_kv::add_to_linker::<_, HasSelf<HostState>>(linker, |host| host.called("fenced-kv"))
}

impl wit::types::Host for HostState {}

impl From<KvError> for wit::types::GuardError {
    fn from(error: KvError) -> Self {
        match error {
            KvError::Lost => Self::Lost,
            KvError::Conflict => Self::Conflict,
            KvError::TooLarge => Self::TooLarge,
            KvError::Full(why) => Self::Denied(why),
            KvError::Unavailable(why) => Self::Unavailable(why),
        }
    }
}
