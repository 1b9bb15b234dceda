//! Facts about the store at one moment, for probes and metrics.

use crate::shared_state::SharedState;

/// Facts about the store at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StoreHealth {
    /// The last durable revision.
    pub(crate) revision: i64,
    /// The last compaction.
    pub(crate) compacted: i64,
    /// Bytes on the disk (or in memory, without one), and the used bytes among them.
    pub(crate) bytes: (u64, u64),
    /// The most bytes of data that the store holds.
    pub(crate) quota: u64,
    /// The number of keys, deleted ones with history included.
    pub(crate) keys: usize,
    /// The number of leases.
    pub(crate) leases: usize,
    /// The number of watched ranges.
    pub(crate) watches: usize,
    /// True if the data has outgrown the quota.
    pub(crate) no_space: bool,
    /// The reason why writes are refused, while they are.
    pub(crate) read_only: Option<String>,
}

impl StoreHealth {
    /// Reads the facts.
    pub(crate) fn read(shared: &SharedState) -> Self {
        let state = shared.state();
        let (weight, no_space) = state.memory_use();
        let bytes = match shared.size() {
            (0, _) => (weight, weight),
            on_disk => on_disk,
        };
        let (keys, leases) = state.key_and_lease_counts();
        Self {
            revision: state.published(),
            compacted: state.compacted(),
            bytes,
            quota: shared.quota(),
            keys,
            leases,
            watches: shared.registry.ranges(),
            no_space,
            read_only: shared.read_only(),
        }
    }
}
