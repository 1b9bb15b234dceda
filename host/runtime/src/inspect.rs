//! What a plugin is and wants, import by import, without compiling it.
//!
//! For people: whether it may run is decided by loading it. This file must never run anything.

use std::sync::Arc;

use super::error::LoadProblem;
use super::form::{self, Form};
use super::prepare::{PrepareLimits, PreparedPlugin, Preparer, Preparing};
use leasehold_config::allow::Allow;
use leasehold_config::limits::Limits;

/// What can be told of a plugin without compiling it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inspection {
    /// How it is run.
    pub form: Form,
    /// The version of the contract it was built for, for jobs.
    pub contract: Option<String>,
    /// Whether it becomes a component when it is loaded.
    pub is_componentized: bool,
    /// What it imports, and whether it gets that.
    pub imports: Vec<(String, ImportState)>,
    /// Sum of the memories it starts with, in bytes.
    pub memory_minimum_bytes: u64,
}

/// Whether a plugin gets what it imports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ImportState {
    /// Every plugin may use it.
    Always,
    /// The job was granted it.
    Granted,
    /// The job was not granted it; this line under `allow` does.
    NotGranted(String),
    /// No job can have it; the text says why, after the import's name, and what to do.
    Refused(String),
}

/// Looks at a plugin's bytes, for a job of this name with these grants, within the limits on compiling.
///
/// # Errors
///
/// It is no plugin at all: not WebAssembly, cut off, or with nothing to run; or reading it took too much.
pub async fn inspect(
    preparing: Preparing,
    bytes: Arc<[u8]>,
    job: &str,
    allow: &Allow,
    limits: &Limits,
) -> Result<Inspection, LoadProblem> {
    let limits = PrepareLimits::of(job, limits);
    let admit = |plugin: &PreparedPlugin| form::form_of(&plugin.survey).map(drop);
    let read = Preparer::new(preparing)
        .validate(&bytes, &limits, &admit)
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
