//! Inspects a plugin without compiling it: its form, and the state of each import.
//!
//! The result is for display. Loading decides whether the plugin may run. Nothing here runs a plugin.

use std::sync::Arc;

use super::error::LoadProblem;
use super::form::{self, Form};
use super::options::Preparing;
use super::prepare::{PrepareLimits, PreparedPlugin, Preparer};
use leasehold_config::allow::Allow;
use leasehold_config::limits::Limits;

/// Facts about a plugin that are known without compiling it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inspection {
    /// Form, which determines how it is run.
    pub form: Form,
    /// The version of the contract it was built for, for jobs.
    pub contract: Option<String>,
    /// True if it becomes a component when it is loaded.
    pub is_componentized: bool,
    /// Imports, each with its state.
    pub imports: Vec<(String, ImportState)>,
    /// Sum of the memories it starts with, in bytes.
    pub memory_minimum_bytes: u64,
}

/// State of one import of a plugin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ImportState {
    /// It is available to every plugin.
    Always,
    /// It was granted to the job.
    Granted,
    /// It was not granted to the job. This line under `allow` grants it.
    NotGranted(String),
    /// It is available to no job. The text contains the import's name, the reason and the remedy.
    Refused(String),
}

/// Inspects a plugin's bytes, for a job of this name with these grants, within the limits on compiling.
///
/// # Errors
///
/// The bytes are not a plugin (not WebAssembly, cut off, or without an entry point), or reading them exceeded a limit.
pub async fn inspect(
    preparing: Preparing,
    bytes: Arc<[u8]>,
    job: &str,
    allow: &Allow,
    limits: &Limits,
) -> Result<Inspection, LoadProblem> {
    let limits = PrepareLimits::of(limits);
    let admit = |plugin: &PreparedPlugin| form::form_of(&plugin.survey).map(drop);
    let read = Preparer::new(preparing)
        .validate(&bytes, &limits, &admit, &|| {})
        .await?;
    let (found, is_componentized) = (read.plugin.survey, read.plugin.is_componentized);
    let (form, contract) = form::form_of(&found)?;
    let nothing = Allow::default();
    let state = |import: &String| {
        if form::check_import(found.kind, import, job, &nothing).is_ok() {
            return ImportState::Always;
        }
        match form::check_import(found.kind, import, job, allow) {
            Ok(()) => ImportState::Granted,
            Err(LoadProblem::NotGranted { line, .. }) => ImportState::NotGranted(line),
            Err(other) => ImportState::Refused(other.to_string()),
        }
    };
    let imports = found.imports.iter();
    Ok(Inspection {
        form,
        contract,
        is_componentized,
        imports: imports
            .map(|import| (import.clone(), state(import)))
            .collect(),
        memory_minimum_bytes: found.memory_minimum,
    })
}
