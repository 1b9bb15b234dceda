//! Reading and compiling plugins, which happens outside the host's process.
//!
//! If a file overflows a stack, takes all memory or never ends, a child process ends and the plugin is refused with
//! the reason. The child is this program with `__prepare`. It inherits nothing, reads the bytes from its standard
//! input, and writes an entry for the compile cache to a directory made for it alone.
//!
//! - `task`: one preparation
//! - `work`: from bytes to a survey and to machine code; the only file that parses a plugin
//! - `child`, `confine`: the process and its limits; `messages`: those between it and the host
//! - `process`, `process_end`: the host's side; `queue`: the number of concurrent preparations
//! - `entries`, `seal`: the cache entries that result, and the key that authenticates them

mod child;
mod confine;
mod entries;
mod messages;
mod process;
mod process_end;
mod queue;
mod seal;
mod task;
mod work;

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use tokio::time::timeout;

pub use child::run_if_asked;
pub(crate) use entries::{CacheEntry, EntryState, EntryStore};
pub(crate) use messages::PreparedPlugin;
pub(crate) use task::{Admit, Begins, Preparation, PrepareLimits};

use super::error::LoadProblem;
use super::options::Preparing;
use messages::PrepareTask;
use process::PrepareRequest;
use queue::{PrepareQueue, SMALL_BYTES};

/// Largest size of a plugin's file that does not wait behind big ones, in bytes.
pub const SMALL_PLUGIN_BYTES: u64 = SMALL_BYTES as u64;

/// Prepares plugins, several at once.
pub(crate) struct Preparer {
    preparing: Preparing,
    queue: PrepareQueue,
}

impl Preparer {
    pub(crate) fn new(preparing: Preparing) -> Self {
        Self {
            preparing,
            queue: PrepareQueue::for_this_machine(),
        }
    }

    pub(crate) fn is_in_children(&self) -> bool {
        matches!(self.preparing, Preparing::Child { .. })
    }

    /// Surveys a plugin and, if `admit` accepts it, validates it. Compiles nothing.
    pub(crate) async fn validate(
        &self,
        bytes: &Arc<[u8]>,
        limits: &PrepareLimits,
        admit: Admit<'_>,
        begins: Begins<'_>,
    ) -> Result<Preparation, LoadProblem> {
        self.run(bytes, limits, None, admit, begins).await
    }

    /// Surveys a plugin and, if `admit` accepts it, compiles it into `dir`.
    pub(crate) async fn compile(
        &self,
        bytes: &Arc<[u8]>,
        limits: &PrepareLimits,
        dir: &Path,
        admit: Admit<'_>,
        begins: Begins<'_>,
    ) -> Result<Preparation, LoadProblem> {
        self.run(bytes, limits, Some(dir), admit, begins).await
    }

    async fn run(
        &self,
        bytes: &Arc<[u8]>,
        limits: &PrepareLimits,
        dir: Option<&Path>,
        admit: Admit<'_>,
        begins: Begins<'_>,
    ) -> Result<Preparation, LoadProblem> {
        let mut place = self.queue.place(bytes.len()).await;
        begins();
        let began = Instant::now();
        match &self.preparing {
            Preparing::Child { program } => {
                let request = PrepareRequest {
                    program,
                    bytes,
                    limits,
                    task: PrepareTask::new(bytes.len(), dir, work::compiler_id()),
                };
                let plugin = place.hold_for(request.send(admit)).await?;
                Ok(Preparation {
                    plugin,
                    bytes: None,
                    took: began.elapsed(),
                })
            }
            Preparing::InThisProcess => {
                let (bytes, dir) = (bytes.clone(), dir.map(Path::to_owned));
                // The place is freed when the work has really ended, even if the caller no longer waits.
                let work = tokio::task::spawn_blocking(move || {
                    let _place = place;
                    work::here(&bytes, dir.as_deref())
                });
                match timeout(limits.time, work).await {
                    Ok(Ok(done)) => {
                        let done = done?;
                        admit(&done.plugin)?;
                        Ok(done)
                    }
                    Ok(Err(error)) => Err(LoadProblem::Host(error.to_string())),
                    Err(_) => Err(limits.late()),
                }
            }
        }
    }
}
