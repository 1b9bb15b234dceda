//! Feed of the keys under the followed prefixes.

use leasehold_lock::{KeyFeed, Locks};

use crate::model::KeyScope;

/// Starts a feed of everything that is followed. Live output is followed apart, for the job whose pane is open.
pub(crate) fn feed(locks: &Locks, scope: &KeyScope) -> KeyFeed {
    locks
        .feed(scope.watched())
        .or_parts(scope.root().as_str(), scope.parts())
        .except(scope.root().kv())
        .except(scope.root().follows())
        .except(scope.root().outputs())
}
