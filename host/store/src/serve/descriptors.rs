//! How many descriptors the process may have, and how many of them connections may take.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Kept for the store's own files, its listeners and what opens them again after a failure.
const RESERVE: u64 = 64;
/// A client needs one connection or two; beyond this many they only cost memory.
const MOST: u64 = 4096;
/// Fewer would not serve a few hosts and their operator.
const FEWEST: u64 = 16;

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

/// The connections that may be open at one time.
pub(super) fn connections() -> usize {
    usize::try_from(share(soft_limit())).unwrap_or(usize::MAX)
}

/// Half of the limit without the reserve: the other half is the host's, for what it runs.
fn share(limit: u64) -> u64 {
    (limit.saturating_sub(RESERVE) / 2).clamp(FEWEST, MOST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_leave_more_than_half_of_the_descriptors_to_others() {
        assert_eq!(share(256), 96);
        assert_eq!(share(1024), 480);
        assert_eq!(share(65_536), MOST);
        assert_eq!(share(u64::MAX), MOST);
        assert_eq!(share(0), FEWEST);
    }
}
