//! What the host says about the runtime as a whole.

use std::path::PathBuf;

/// Options of a [`Runtime`](super::Runtime).
#[derive(Clone, Debug)]
pub struct RuntimeOptions {
    /// Directory of the compile cache; `None` compiles every plugin at every start.
    pub cache_dir: Option<PathBuf>,
    /// The most guests at once: the number of slots.
    pub max_runs: u32,
    /// Address space reserved for each pooled memory, in bytes; `None` takes the engine's own
    /// choice, which makes bounds checks free. When the whole pool cannot be reserved, guests are
    /// allocated on demand.
    pub pool_memory_reservation: Option<u64>,
}

impl Default for RuntimeOptions {
    /// No cache, and a thousand guests: eight TiB of address space, no memory until used.
    fn default() -> Self {
        Self {
            cache_dir: None,
            max_runs: 1_000,
            pool_memory_reservation: None,
        }
    }
}
