//! Reading and compiling plugins, which happens outside the host's process.
//!
//! A file that overflows a stack, takes all memory or never ends costs a child process, and the plugin is
//! refused with the reason. The child is this program with [`COMMAND`]; it inherits nothing, reads the bytes
//! from its standard input, and leaves an entry for the compile cache in a directory made for it alone.
//!
//! - `work`: from bytes to a survey and to machine code; the only file that parses a plugin
//! - `child`, `confine`: the process and what it may use; `wire`: what it and the host write to each other
//! - `talk`, `death`: the host's side of it; `queue`: how many there are at once
//! - `entries`, `seal`: what they leave, and the key that shows that it is ours

mod child;
mod confine;
mod death;
mod entries;
mod queue;
mod seal;
mod talk;
mod wire;
mod work;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;

pub use child::run_if_asked;
pub(crate) use entries::{CODE, CacheEntry, EntryState, EntryStore};
pub(crate) use wire::PreparedPlugin;

use super::error::LoadProblem;
use leasehold_config::limits::Limits;
use queue::Queue;
use talk::Request;
use wire::PrepareTask;

/// The argument that makes this program a compiler of one plugin.
const COMMAND: &str = "__prepare";

/// Where plugins are read and compiled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Preparing {
    /// In child processes of this program.
    Child {
        /// The program's file.
        program: PathBuf,
    },
    /// In this process. For tests, whose program has no such command; a hostile file ends them.
    InThisProcess,
}

impl Preparing {
    /// In child processes of the program that runs, whatever its file is called by now.
    pub fn in_children() -> Self {
        Self::Child {
            program: PathBuf::from("/proc/self/exe"),
        }
    }
}

/// The bounds of one preparation, with the job that a refusal names.
#[derive(Clone, Debug)]
pub(crate) struct PrepareLimits {
    pub(crate) job: String,
    pub(crate) memory_bytes: u64,
    pub(crate) time: Duration,
}

impl PrepareLimits {
    pub(crate) fn of(job: &str, limits: &Limits) -> Self {
        Self {
            job: job.to_owned(),
            memory_bytes: limits.compile_memory_bytes,
            time: limits.compile_time,
        }
    }

    fn late(&self) -> LoadProblem {
        LoadProblem::CompileTime {
            job: self.job.clone(),
            most: self.time,
        }
    }
}

/// A plugin that was prepared, and the bytes to load where no directory was given for its code.
pub(crate) struct Preparation {
    pub(crate) plugin: PreparedPlugin,
    pub(crate) bytes: Option<Arc<[u8]>>,
}

/// Decides from the survey whether a plugin is compiled at all.
pub(crate) type Admit<'a> = &'a (dyn Fn(&PreparedPlugin) -> Result<(), LoadProblem> + Sync);

/// Prepares plugins, several at once.
pub(crate) struct Preparer {
    preparing: Preparing,
    queue: Queue,
}

impl Preparer {
    pub(crate) fn new(preparing: Preparing) -> Self {
        Self {
            preparing,
            queue: Queue::for_this_machine(),
        }
    }

    pub(crate) fn is_in_children(&self) -> bool {
        matches!(self.preparing, Preparing::Child { .. })
    }

    /// Surveys a plugin and, if `admit` lets it, validates it. Compiles nothing.
    pub(crate) async fn validate(
        &self,
        bytes: &Arc<[u8]>,
        limits: &PrepareLimits,
        admit: Admit<'_>,
    ) -> Result<Preparation, LoadProblem> {
        self.run(bytes, limits, None, admit).await
    }

    /// Surveys a plugin and, if `admit` lets it, compiles it into `dir`.
    pub(crate) async fn compile(
        &self,
        bytes: &Arc<[u8]>,
        limits: &PrepareLimits,
        dir: &Path,
        admit: Admit<'_>,
    ) -> Result<Preparation, LoadProblem> {
        self.run(bytes, limits, Some(dir), admit).await
    }

    async fn run(
        &self,
        bytes: &Arc<[u8]>,
        limits: &PrepareLimits,
        dir: Option<&Path>,
        admit: Admit<'_>,
    ) -> Result<Preparation, LoadProblem> {
        let mut place = self.queue.place(bytes.len()).await;
        match &self.preparing {
            Preparing::Child { program } => {
                let request = Request {
                    program,
                    bytes,
                    limits,
                    task: PrepareTask::new(bytes.len(), dir),
                };
                let plugin = place.hold_for(request.send(admit)).await?;
                Ok(Preparation {
                    plugin,
                    bytes: None,
                })
            }
            Preparing::InThisProcess => {
                let (bytes, dir) = (bytes.clone(), dir.map(Path::to_owned));
                // The place is freed when the work really is done, even if that is given up on.
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
