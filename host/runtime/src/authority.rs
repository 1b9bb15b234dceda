//! The authority of a run: the facts of its lock, and its fenced storage.
//!
//! A job's run gets one that is made from a grant. `plugin run` makes one for a simulated lock. An
//! authority offers no way to extend the tenure.

use std::fmt;
use std::sync::Arc;

use leasehold_lock::Tenure;

use super::kv::GuestKv;

/// Facts of the lock under which one run acts, and access to its fenced storage.
#[derive(Clone)]
pub struct Authority {
    /// Name of the lock as configured.
    pub lock: String,
    /// The etcd key of this host's entry in the lock's queue.
    pub lock_key: String,
    /// Fencing token: create revision of `lock_key`.
    pub token: u64,
    /// Identity of the holder: the lease id in hex.
    pub holder: String,
    /// Period in which the run may act: its deadline, and its end if it ended early.
    pub tenure: Tenure,
    /// Fenced storage. It is always present, because `lock.check` uses it. `fenced-kv` also needs a grant.
    pub kv: Arc<dyn GuestKv>,
}

impl fmt::Debug for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authority")
            .field("lock", &self.lock)
            .field("token", &self.token)
            .field("holder", &self.holder)
            .field("tenure", &self.tenure)
            .finish_non_exhaustive()
    }
}
