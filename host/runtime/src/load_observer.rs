//! Observation of loads: which plugins are compiled, and how long each load takes.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::load_request::LoadRequest;

/// Observer of the loads of a [`Runtime`](super::Runtime).
///
/// It is called by the task that loads, so it must return at once. A load that is dropped has no last step.
pub trait LoadObserver: Send + Sync {
    /// Takes one step of a load.
    fn observe(&self, plugin: &ObservedPlugin<'_>, step: &LoadStep);
}

/// Plugin of an observed load.
#[derive(Clone, Copy, Debug)]
pub struct ObservedPlugin<'a> {
    /// Name of the job that it is loaded for.
    pub job: &'a str,
    /// Its file.
    pub path: &'a Path,
}

/// Step of a load.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LoadStep {
    /// A process begins to compile the plugin. A wait for other compilations is over.
    Compiling {
        /// Size of the plugin's file, in bytes.
        size_bytes: u64,
    },
    /// The plugin is ready to run.
    Ready {
        /// SHA-256 of its file, in hex.
        sha256: String,
        /// Time since [`LoadStep::Compiling`], or of the whole load for a cached plugin.
        took: Duration,
        /// True if its machine code was in the compile cache.
        is_cached: bool,
    },
    /// The plugin was refused.
    Refused,
}

/// Observer in force. Loads under way keep the one with which they began.
#[derive(Default)]
pub(crate) struct ObserverSlot(Mutex<Option<Arc<dyn LoadObserver>>>);

impl ObserverSlot {
    pub(crate) fn set(&self, observer: Arc<dyn LoadObserver>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(observer);
    }

    /// Begins to observe a load.
    pub(crate) fn watch(&self, order: Arc<LoadRequest>) -> LoadWatch {
        let slot = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        LoadWatch {
            observer: slot.clone(),
            order,
            began: Instant::now(),
            compiled: Mutex::new(None),
        }
    }
}

/// One observed load.
pub(crate) struct LoadWatch {
    observer: Option<Arc<dyn LoadObserver>>,
    order: Arc<LoadRequest>,
    began: Instant,
    /// Start of the latest compilation.
    compiled: Mutex<Option<Instant>>,
}

impl LoadWatch {
    /// Reports that a compilation begins.
    pub(crate) fn compiling(&self, size_bytes: usize) {
        let now = Instant::now();
        *self.compiled.lock().unwrap_or_else(PoisonError::into_inner) = Some(now);
        self.report(&LoadStep::Compiling {
            size_bytes: size_bytes as u64,
        });
    }

    /// Reports the end of the load: the digest of a plugin that is ready, `None` for a refusal.
    pub(crate) fn end(&self, sha256: Option<&str>) {
        let compiled = *self.compiled.lock().unwrap_or_else(PoisonError::into_inner);
        self.report(&match sha256 {
            Some(sha256) => LoadStep::Ready {
                sha256: sha256.to_owned(),
                took: compiled.unwrap_or(self.began).elapsed(),
                is_cached: compiled.is_none(),
            },
            None => LoadStep::Refused,
        });
    }

    fn report(&self, step: &LoadStep) {
        if let Some(observer) = &self.observer {
            let plugin = ObservedPlugin {
                job: self.order.job.job(),
                path: &self.order.path,
            };
            observer.observe(&plugin, step);
        }
    }
}
