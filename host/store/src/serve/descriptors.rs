//! How many descriptors the process may have, and how many of them connections may take.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Kept for the store's own files, its listeners and what opens them again after a failure.
const RESERVE: u64 = 64;
/// A client needs one connection or two; beyond this many they only cost memory.
const MOST: u64 = 4096;
/// Fewer would not serve a few hosts and their operator.
const FEWEST: u64 = 16;

/// The connections that may be open at one time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Share {
    /// Over addresses, which every user of the machine can take.
    pub(super) addresses: usize,
    /// Over private sockets: the owner's, whatever others do.
    pub(super) sockets: usize,
}

/// Raises the soft limit of open files to the hard one, and returns the limit that holds then. Connections to the
/// store take a share of it that is fixed when the store is opened.
pub fn raise_descriptor_limit() -> u64 {
    let limit = getrlimit(Resource::Nofile);
    if limit.current != limit.maximum {
        // A refusal leaves the limit as it is, and the share of connections follows it.
        let _ = setrlimit(
            Resource::Nofile,
            Rlimit {
                current: limit.maximum,
                maximum: limit.maximum,
            },
        );
    }
    soft_limit()
}

fn soft_limit() -> u64 {
    getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}

/// What connections may take of the limit that holds now.
pub(super) fn connections() -> Share {
    share(soft_limit())
}

/// Half of the limit without the reserve, a quarter of that for sockets: the other half is the host's, for what it
/// runs.
fn share(limit: u64) -> Share {
    let all = (limit.saturating_sub(RESERVE) / 2).clamp(FEWEST, MOST);
    let sockets = usize::try_from(all / 4).unwrap_or(usize::MAX);
    Share {
        addresses: usize::try_from(all - all / 4).unwrap_or(usize::MAX),
        sockets,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_leave_more_than_half_of_the_descriptors_to_others() {
        for (limit, addresses, sockets) in [
            (0, 12, 4),
            (256, 72, 24),
            (1024, 360, 120),
            (65_536, 3072, 1024),
            (u64::MAX, 3072, 1024),
        ] {
            assert_eq!(share(limit), Share { addresses, sockets }, "{limit}");
        }
    }
}
