//! Options of the runtime as a whole.

use std::path::PathBuf;

/// Options of a [`Runtime`](super::Runtime).
#[derive(Clone, Debug)]
pub struct RuntimeOptions {
    /// Directory of the compile cache; `None` compiles every plugin at every start, in this process.
    pub cache_dir: Option<PathBuf>,
    /// Process in which plugins are read and compiled. Child processes need a `cache_dir`.
    pub preparing: Preparing,
    /// Largest number of guests at once: the number of slots.
    pub max_runs: u32,
    /// Address space reserved for each pooled memory, in bytes. `None` takes the engine's default,
    /// which makes bounds checks free. If the whole pool cannot be reserved, guests are allocated on
    /// demand.
    pub pool_memory_reservation: Option<u64>,
}

impl Default for RuntimeOptions {
    /// Returns options without a cache directory, which child processes need, and with a thousand guests. Their pool
    /// reserves eight TiB of address space, and uses no memory until guests run.
    fn default() -> Self {
        Self {
            cache_dir: None,
            preparing: Preparing::in_children(),
            max_runs: 1_000,
            pool_memory_reservation: None,
        }
    }
}

/// Process in which plugins are read and compiled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Preparing {
    /// Child processes of this program.
    Child {
        /// File of the program.
        program: PathBuf,
    },
    /// This process. For tests, whose program has no such command. A hostile file ends the test process.
    InThisProcess,
}

impl Preparing {
    /// Uses child processes of the running program, also if its file was renamed meanwhile.
    pub fn in_children() -> Self {
        Self::Child {
            program: PathBuf::from("/proc/self/exe"),
        }
    }
}
