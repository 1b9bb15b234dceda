//! Open descriptors of this process: its limit, and the part that guests may use.
//!
//! Many systems give a process 1,024 descriptors and let it raise the limit far above that. A part is reserved for the
//! host, so that guests which open files do not block its store, its log and its files. No limit is lowered here.

use std::sync::atomic::{AtomicUsize, Ordering};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Largest limit that is requested. Programs that this one starts may scan every descriptor up to the limit.
const WANTED: u64 = 65_536;
/// Largest part reserved for the host: sockets of 32 guests with 16 requests each, its store, logs and files.
const RESERVED: usize = 1_024;

/// Raises the limit, up to 65,536, as far as this process may.
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

/// Descriptors that all guests of this process may have open together.
#[derive(Debug)]
pub struct DescriptorPool {
    most: usize,
    used: AtomicUsize,
}

impl DescriptorPool {
    /// Makes the guests' part: the process's limit without the host's part.
    pub fn of_process() -> Self {
        let all = getrlimit(Resource::Nofile).current.unwrap_or(WANTED);
        let all = usize::try_from(all).unwrap_or(usize::MAX);
        Self::new(all - (all / 2).min(RESERVED))
    }

    /// Makes a part of `most` descriptors.
    pub const fn new(most: usize) -> Self {
        Self {
            most,
            used: AtomicUsize::new(0),
        }
    }

    /// Returns the number of descriptors that guests may have.
    pub const fn most(&self) -> usize {
        self.most
    }

    /// Takes one descriptor; returns true if one was free.
    pub fn take(&self) -> bool {
        let more = |used| (used < self.most).then_some(used + 1);
        self.used
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, more)
            .is_ok()
    }

    /// Gives back `count` descriptors.
    pub fn give(&self, count: usize) {
        self.used.fetch_sub(count, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn guests_get_what_there_is_and_no_more() {
        let pool = DescriptorPool::new(2);
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
        assert!((DescriptorPool::of_process().most() as u64) < current);
    }
}
