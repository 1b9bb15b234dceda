//! What the host says about the runtime as a whole.

use std::path::PathBuf;

use super::prepare::Preparing;

/// Options of a [`Runtime`](super::Runtime).
#[derive(Clone, Debug)]
pub struct RuntimeOptions {
    /// Directory of the compile cache; `None` compiles every plugin at every start, in this process.
    pub cache_dir: Option<PathBuf>,
    /// Where plugins are read and compiled. Children need a `cache_dir`.
    pub preparing: Preparing,
    /// The most guests at once: the number of slots.
    pub max_runs: u32,
    /// Address space reserved for each pooled memory, in bytes; `None` takes the engine's own
    /// choice, which makes bounds checks free. When the whole pool cannot be reserved, guests are
    /// allocated on demand.
    pub pool_memory_reservation: Option<u64>,
}

impl Default for RuntimeOptions {
    /// No cache, which children need, and a thousand guests: eight TiB of address space, no memory until used.
    fn default() -> Self {
        Self {
            cache_dir: None,
            preparing: Preparing::in_children(),
            max_runs: 1_000,
            pool_memory_reservation: None,
        }
    }
}
