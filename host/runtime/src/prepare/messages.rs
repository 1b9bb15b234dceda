//! Messages between the host and the process that prepares a plugin: one line of JSON each.
//!
//! The host writes a task and the plugin's bytes. The child answers at each step. After the survey it waits for the
//! line [`GO_ON`] before it compiles.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::survey::Survey;

/// Line with which the host permits a surveyed plugin to be compiled, or only validated.
pub(super) const GO_ON: &str = "go on\n";
/// Largest size of all answers. A survey is far smaller, because its names are capped.
pub(super) const MOST_ANSWER_BYTES: u64 = 8 * 1024 * 1024;

/// One plugin to prepare.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct PrepareTask {
    /// Number of bytes of the plugin after the line.
    pub(super) size_bytes: usize,
    /// Directory for its machine code. `None` if it is only validated.
    pub(super) dir: Option<PathBuf>,
    /// Id of the compiler whose code the host can load.
    pub(super) compiler: String,
}

impl PrepareTask {
    pub(super) fn new(size_bytes: usize, dir: Option<&Path>, compiler: &str) -> Self {
        Self {
            size_bytes,
            dir: dir.map(Path::to_owned),
            compiler: compiler.to_owned(),
        }
    }
}

/// Step of a preparation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum PrepareStage {
    /// The process starts and limits itself.
    Start,
    /// The sections are read.
    Survey,
    /// A module that contains component types is converted to a component.
    Types,
    /// Machine code is made.
    Compile,
}

/// Answer of the child, one line.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum PrepareAnswer {
    /// A part of the confinement is not available on this kernel. The work continues.
    Unconfined(String),
    /// A step begins.
    Begins(PrepareStage),
    /// The survey is done.
    Surveyed(PreparedPlugin),
    /// The plugin is valid, and its machine code is in the directory if there is one.
    Done,
    /// There are no bytes.
    Empty,
    /// The bytes are cut off.
    Truncated {
        /// The offset of their end.
        at: u64,
    },
    /// The plugin is refused. The text continues after the plugin's name.
    Refused(String),
    /// The memory limit was reached.
    OutOfMemory,
    /// The task cannot be done, for a reason other than the plugin.
    Failed(String),
}

/// Survey of a plugin, taken after its conversion to a component if it was converted.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct PreparedPlugin {
    pub(crate) survey: Survey,
    pub(crate) is_componentized: bool,
}
