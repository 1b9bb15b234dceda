//! One preparation: its limits, the check of its survey, and its result.

use std::sync::Arc;
use std::time::Duration;

use super::messages::PreparedPlugin;
use crate::error::LoadProblem;
use leasehold_config::limits::Limits;

/// Limits of one preparation.
#[derive(Clone, Debug)]
pub(crate) struct PrepareLimits {
    pub(crate) memory_bytes: u64,
    pub(crate) time: Duration,
}

impl PrepareLimits {
    pub(crate) fn of(limits: &Limits) -> Self {
        Self {
            memory_bytes: limits.compile_memory_bytes,
            time: limits.compile_time,
        }
    }

    pub(super) fn late(&self) -> LoadProblem {
        LoadProblem::CompileTime { most: self.time }
    }
}

/// A prepared plugin, and the bytes to load if no directory was given for its code.
pub(crate) struct Preparation {
    pub(crate) plugin: PreparedPlugin,
    pub(crate) bytes: Option<Arc<[u8]>>,
    /// Time taken, without the wait for a place.
    pub(crate) took: Duration,
}

/// Check of a surveyed plugin, before it is compiled.
pub(crate) type Admit<'a> = &'a (dyn Fn(&PreparedPlugin) -> Result<(), LoadProblem> + Sync);

/// Called when a preparation has its place and begins.
pub(crate) type Begins<'a> = &'a (dyn Fn() + Sync);
