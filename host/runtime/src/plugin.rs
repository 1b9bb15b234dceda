//! A loaded plugin: its facts, and the prepared code and settings that a run needs.
//!
//! The bytes are pinned: a file replaced on disk has no effect until it is loaded again. Nothing here
//! belongs to one run.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::engine::LinkedEngine;
use super::form::Form;
use super::http::HttpDestinations;
use super::linked_plugin::LinkedPlugin;
use leasehold_config::JobSource;
use leasehold_config::allow::Allow as Grants;
use leasehold_config::limits::Limits;

/// Facts about a plugin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PluginFacts {
    /// The job it was loaded for.
    pub job: String,
    /// The file that it was loaded from.
    pub path: PathBuf,
    /// Form, which determines how it is run.
    pub form: Form,
    /// Digest of the file, in hex.
    pub sha256: String,
    /// Size of the file, in bytes.
    pub size_bytes: u64,
    /// Imports: interfaces, or modules for a core command.
    pub imports: Vec<String>,
    /// The version of the contract it was built for, for jobs.
    pub contract: Option<String>,
    /// Sum of the memories it starts with, in bytes.
    pub memory_minimum_bytes: u64,
    /// True if its guests are allocated from the pool.
    pub pooled: bool,
    /// Time taken to survey and compile it. `None` if it was found in the compile cache.
    pub compile_time: Option<Duration>,
}

/// A plugin that can be run any number of times. Clones share the plugin.
#[derive(Clone)]
pub struct Plugin(Arc<Inner>);

struct Inner {
    facts: PluginFacts,
    job: JobSource,
    limits: Arc<Limits>,
    grants: Arc<Grants>,
    net: Arc<HttpDestinations>,
    ready: Arc<LinkedPlugin>,
    engine: Arc<LinkedEngine>,
}

impl Plugin {
    pub(crate) fn new(
        facts: PluginFacts,
        job: JobSource,
        limits: Limits,
        grants: Grants,
        net: HttpDestinations,
        ready: Arc<LinkedPlugin>,
        engine: Arc<LinkedEngine>,
    ) -> Self {
        Self(Arc::new(Inner {
            facts,
            job,
            limits: Arc::new(limits),
            grants: Arc::new(grants),
            net: Arc::new(net),
            ready,
            engine,
        }))
    }

    /// Returns the facts about the plugin.
    pub fn facts(&self) -> &PluginFacts {
        &self.0.facts
    }

    /// Returns the limits of its runs.
    pub fn limits(&self) -> &Arc<Limits> {
        &self.0.limits
    }

    /// Returns the source of the job's settings.
    pub(crate) fn job(&self) -> &JobSource {
        &self.0.job
    }

    pub(crate) fn grants(&self) -> &Arc<Grants> {
        &self.0.grants
    }

    /// Returns the permitted destinations of requests, and the certificates that they trust.
    pub(crate) fn net(&self) -> &Arc<HttpDestinations> {
        &self.0.net
    }

    pub(crate) fn ready(&self) -> &LinkedPlugin {
        &self.0.ready
    }

    pub(crate) fn engine(&self) -> &LinkedEngine {
        &self.0.engine
    }
}

impl fmt::Debug for Plugin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Plugin").field(&self.0.facts).finish()
    }
}
