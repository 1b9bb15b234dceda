//! The authority that a run acts under: the facts of its lock, and storage fenced by it.
//!
//! Two constructors exist. [`Authority::of_grant`] takes the proof that the lock is held; a host has no other way to
//! reach a guest. [`Authority::simulated`] holds no lock and is for `leasehold plugin run` and for tests. Nothing here
//! lengthens a tenure.

use std::fmt;
use std::sync::Arc;

use leasehold_lock::{Grant, LockEntry, LockMode, Tenure, Token};

use super::kv::GuestKv;

/// Holder of a simulated lock, and last part of its key.
const SIMULATED_HOLDER: &str = "fake";
/// Token of a simulated lock.
const SIMULATED_TOKEN: Token = Token::new(1);

/// The facts of the lock under which one run acts, and the storage that the lock fences.
///
/// Its fields are private: no literal of it compiles outside this file.
#[derive(Clone)]
pub struct Authority {
    lock: String,
    lock_key: String,
    is_shared: bool,
    token: Token,
    holder: String,
    tenure: Tenure,
    kv: Arc<dyn GuestKv>,
}

impl Authority {
    /// Returns the authority that a grant gives. `lock` is the lock's name as configured, and `kv` is storage whose
    /// writes compare the grant's entry.
    pub fn of_grant(lock: &str, grant: &Grant, kv: Arc<dyn GuestKv>) -> Self {
        Self {
            lock: lock.to_owned(),
            lock_key: grant.key().to_owned(),
            is_shared: are_shared(grant.entries().iter().map(LockEntry::mode)),
            token: grant.token(),
            holder: grant.lease().to_string(),
            tenure: grant.tenure().clone(),
            kv,
        }
    }

    /// Returns an authority without a lock, for one run of a plugin without etcd: only the tenure that the caller
    /// made ends it. It must never be used where another host may run the same job.
    pub fn simulated(lock: &str, tenure: Tenure, kv: Arc<dyn GuestKv>) -> Self {
        Self {
            lock: lock.to_owned(),
            lock_key: format!("/leasehold/locks/{lock}/{SIMULATED_HOLDER}"),
            is_shared: false,
            token: SIMULATED_TOKEN,
            holder: SIMULATED_HOLDER.to_owned(),
            tenure,
            kv,
        }
    }

    /// Simulates locks in these modes, instead of an exclusive one.
    #[must_use]
    pub fn in_modes(mut self, modes: impl IntoIterator<Item = LockMode>) -> Self {
        self.is_shared = are_shared(modes);
        self
    }

    /// True if every lock is shared: nothing keeps writes of others apart from those of the run.
    pub const fn is_shared(&self) -> bool {
        self.is_shared
    }

    /// Returns the name of the lock as configured; of several, all names with `+` between.
    pub fn lock(&self) -> &str {
        &self.lock
    }

    /// Returns the etcd key of this host's entry in the lock's queue; of several locks, in that of the first.
    pub fn lock_key(&self) -> &str {
        &self.lock_key
    }

    /// Returns the fencing token, which is the create revision of the lock key.
    pub const fn token(&self) -> Token {
        self.token
    }

    /// Returns the identity of the holder, which is the lease id in hex.
    pub fn holder(&self) -> &str {
        &self.holder
    }

    /// Returns the period in which the run may act: its deadline, and its end if it ended early.
    pub const fn tenure(&self) -> &Tenure {
        &self.tenure
    }

    /// Returns the fenced storage. It exists without a grant of `fenced-kv` too, because `lock.check` uses it.
    pub fn kv(&self) -> &dyn GuestKv {
        &*self.kv
    }
}

/// True if all locks are shared.
fn are_shared(modes: impl IntoIterator<Item = LockMode>) -> bool {
    modes.into_iter().all(|mode| mode == LockMode::Shared)
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
