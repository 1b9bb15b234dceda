//! Open descriptors of this process: the limit, and the guests' share of it.
//!
//! Many systems give a process 1,024 and let it raise the limit far beyond. Guests that open files
//! must not keep the host from its store, its log and its files, so a part is reserved for the
//! host. A limit is never lowered here.

use std::sync::atomic::{AtomicUsize, Ordering};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Largest limit that is requested: programs started by this one may iterate over every possible
/// descriptor.
const WANTED: u64 = 65_536;
/// Largest part for the host: sockets of 32 guests with 16 requests each, its store, logs and
/// files.
const RESERVED: usize = 1_024;

/// Raises the limit as far as this process may.
pub fn raise() {
    let now = getrlimit(Resource::Nofile);
    let Some(current) = now.current else {
        return;
    };
    let wanted = now.maximum.map_or(WANTED, |most| most.min(WANTED));
    if wanted > current {
        let raised = Rlimit {
            current: Some(wanted),
            maximum: now.maximum,
        };
        if let Err(error) = setrlimit(Resource::Nofile, raised) {
            tracing::debug!(%error, "the limit on open descriptors stays at {current}");
        }
    }
}

/// The descriptors that all guests of this process may have open together.
#[derive(Debug)]
pub struct Descriptors {
    most: usize,
    used: AtomicUsize,
}

impl Descriptors {
    /// Descriptors that the process's limit leaves beside the host's part.
    pub fn of_process() -> Self {
        let all = getrlimit(Resource::Nofile).current.unwrap_or(WANTED);
        let all = usize::try_from(all).unwrap_or(usize::MAX);
        Self::new(all - (all / 2).min(RESERVED))
    }

    /// Room for `most` descriptors.
    pub const fn new(most: usize) -> Self {
        Self {
            most,
            used: AtomicUsize::new(0),
        }
    }

    /// Number of descriptors for guests.
    pub const fn most(&self) -> usize {
        self.most
    }

    /// Takes one. Returns whether there was one.
    pub fn take(&self) -> bool {
        let more = |used| (used < self.most).then_some(used + 1);
        self.used
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, more)
            .is_ok()
    }

    /// Gives some back.
    pub fn give(&self, count: usize) {
        self.used.fetch_sub(count, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn guests_get_what_there_is_and_no_more() {
        let pool = Descriptors::new(2);
        assert!(pool.take() && pool.take() && !pool.take());
        pool.give(1);
        assert!(pool.take() && !pool.take());
    }

    #[test]
    fn a_part_stays_with_the_host() {
        raise();
        let now = getrlimit(Resource::Nofile);
        let enough = now.maximum.map_or(WANTED, |most| most.min(WANTED));
        let current = now.current.unwrap_or(u64::MAX);
        assert!(current >= enough);
        assert!((Descriptors::of_process().most() as u64) < current);
    }
}
