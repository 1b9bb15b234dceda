//! The authority a run acts under: what it may know and use of its lock.
//!
//! Made by the host from a grant, and from nothing else outside tests. This file must never hand
//! out a way to lengthen the tenure.

use std::fmt;
use std::sync::Arc;

use leasehold_lock::Tenure;

use super::kv::GuestKv;

/// What one run knows and may use of the lock under which it runs.
#[derive(Clone)]
pub struct Authority {
    /// Name of the lock as configured.
    pub lock: String,
    /// The etcd key of our entry in the lock's queue.
    pub lock_key: String,
    /// Fencing token: create revision of `lock_key`.
    pub token: u64,
    /// Identity of the holder: the lease id in hex.
    pub holder: String,
    /// Until when, and whether still, the run may act.
    pub tenure: Tenure,
    /// Fenced storage. Always there, since `lock.check` asks it; `fenced-kv` needs a grant besides.
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
