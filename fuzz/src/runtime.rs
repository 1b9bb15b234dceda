//! The part of the host's runtime that looks at plugins and needs no engine.

#[path = "../../host/runtime/src/cache.rs"]
mod cache;
#[path = "../../host/runtime/src/caps.rs"]
mod caps;
#[path = "../../host/runtime/src/entry.rs"]
mod entry;
#[path = "../../host/runtime/src/error.rs"]
mod error;
#[path = "../../host/runtime/src/form.rs"]
mod form;
#[path = "../../host/runtime/src/survey.rs"]
mod survey;
#[path = "../../host/runtime/src/type_nesting.rs"]
mod type_nesting;

/// The names of the contract, which the host keeps beside its bindings.
mod contract {
    pub(crate) const VERSION: &str = "1.1.0";
    pub(crate) const MAJOR: u64 = 1;
    pub(crate) const PACKAGE: &str = "leasehold:job";
}

/// Looks at a plugin and decides its form, as loading does before it compiles.
pub(crate) fn look(bytes: &[u8]) -> Result<(), error::LoadProblem> {
    let found = survey::survey(bytes)?;
    form::form_of(&found)?;
    form::check_imports(&found, "demo", &leasehold_config::allow::Allow::default())
}
