//! The part of the host's runtime that looks at plugins and needs no engine.

#[path = "../../host/src/runtime/cache.rs"]
mod cache;
#[path = "../../host/src/runtime/caps.rs"]
mod caps;
#[path = "../../host/src/runtime/entry.rs"]
mod entry;
#[path = "../../host/src/runtime/error.rs"]
mod error;
#[path = "../../host/src/runtime/form.rs"]
mod form;
#[path = "../../host/src/runtime/limit.rs"]
mod limit;
#[path = "../../host/src/runtime/survey.rs"]
mod survey;
#[path = "../../host/src/runtime/type_nesting.rs"]
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
    form::check_imports(&found, "demo", &crate::allow::Allow::default())
}
