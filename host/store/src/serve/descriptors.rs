//! The part of the process's descriptors that connections may take. Raising the limit itself is left to the program,
//! before it opens a store.

use rustix::process::{Resource, getrlimit};

/// Descriptors kept for the store's own files, its listeners, and the reopening of files after a failure.
const RESERVE: u64 = 64;
/// The most connections: a client needs one or two, and more only cost memory.
const MOST: u64 = 4096;
/// The fewest connections that serve a few hosts and their operator.
const FEWEST: u64 = 16;

/// The most connections at one time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ConnectionShare {
    /// Over addresses, which every user of the machine can connect to.
    pub(super) addresses: usize,
    /// Over private sockets: reserved for the owner.
    pub(super) sockets: usize,
}

fn soft_limit() -> u64 {
    getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}

/// Returns the connections that the present limit allows.
pub(super) fn connection_share() -> ConnectionShare {
    split_limit(soft_limit())
}

/// Half of the limit without the reserve, a quarter of that for sockets. The other half is left to the host, for its
/// jobs.
fn split_limit(limit: u64) -> ConnectionShare {
    let all = (limit.saturating_sub(RESERVE) / 2).clamp(FEWEST, MOST);
    let sockets = usize::try_from(all / 4).unwrap_or(usize::MAX);
    ConnectionShare {
        addresses: usize::try_from(all - all / 4).unwrap_or(usize::MAX),
        sockets,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_leave_half_of_the_descriptors_to_others() {
        for (limit, addresses, sockets) in [
            (0, 12, 4),
            (256, 72, 24),
            (1024, 360, 120),
            (65_536, 3072, 1024),
            (u64::MAX, 3072, 1024),
        ] {
            assert_eq!(
                split_limit(limit),
                ConnectionShare { addresses, sockets },
                "{limit}"
            );
        }
    }
}
