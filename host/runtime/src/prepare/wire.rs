//! The messages between the host and the process that prepares a plugin: one line of JSON each.
//!
//! The host writes a task and the plugin's bytes. The child answers as far as it gets; after the survey it
//! waits for the word [`GO_ON`] before it compiles.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::survey::Survey;

/// The line that lets a surveyed plugin be compiled, or only validated.
pub(super) const GO_ON: &str = "go on\n";
/// The most bytes of all answers. A survey is far smaller: its names are capped.
pub(super) const MOST_ANSWER_BYTES: u64 = 8 * 1024 * 1024;

/// One plugin to prepare.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct PrepareTask {
    /// How many bytes of the plugin follow the line.
    pub(super) size_bytes: usize,
    /// The directory for its machine code; none if it is only validated.
    pub(super) dir: Option<PathBuf>,
    /// The compiler that the host can load code of.
    pub(super) compiler: String,
}

impl PrepareTask {
    pub(super) fn new(size_bytes: usize, dir: Option<&Path>) -> Self {
        Self {
            size_bytes,
            dir: dir.map(Path::to_owned),
            compiler: super::work::compiler_id().to_owned(),
        }
    }
}

/// One step of a preparation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum PrepareStage {
    /// The process comes up and limits itself.
    Start,
    /// The sections are read.
    Survey,
    /// A module that carries component types becomes a component.
    Types,
    /// Machine code is made.
    Compile,
}

/// One line of the child.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum PrepareAnswer {
    /// This kernel does not offer a part of the confinement; the work goes on.
    Unconfined(String),
    /// A step begins.
    Begins(PrepareStage),
    /// The survey is done.
    Surveyed(PreparedPlugin),
    /// The plugin is valid, and its machine code is in the directory if there is one.
    Done,
    /// There are no bytes.
    Empty,
    /// The bytes end too early.
    Truncated {
        /// The offset of their end.
        at: u64,
    },
    /// The plugin is refused; the text reads on after its name.
    Refused(String),
    /// The system had no memory left within the limit.
    OutOfMemory,
    /// The task cannot be done, for no fault of the plugin.
    Failed(String),
}

/// A plugin as it was surveyed: after it became a component, if it had to.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct PreparedPlugin {
    pub(crate) survey: Survey,
    pub(crate) is_componentized: bool,
}
