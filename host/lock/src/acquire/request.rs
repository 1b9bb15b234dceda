//! [`Acquire`]: the request for a lock.

use std::time::Duration;

use crate::error::AcquireError;
use crate::queue_role::QueueRole;

/// Limit of the wait for a lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LockWait {
    /// No limit.
    Forever,
    /// At most this duration.
    AtMost(Duration),
    /// No wait: where the lock is held, nothing is left in the queue, not even for a moment.
    Never,
}

/// A waiter's place in the queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LockPlace {
    /// Entries ahead of ours. An estimate while far from the head.
    pub ahead: usize,
    /// The key of the entry that holds the lock; `None` while it is not known.
    pub holder: Option<String>,
}

impl LockPlace {
    /// The role of an entry at this place.
    pub const fn role(&self) -> QueueRole {
        QueueRole::behind(self.ahead)
    }
}

/// Request for a lock.
#[derive(Clone, Debug)]
pub struct Acquire {
    pub(crate) name: String,
    pub(crate) value: Vec<u8>,
    pub(crate) ttl: Duration,
    pub(crate) stop_margin: Duration,
    pub(crate) wait: LockWait,
}

impl Acquire {
    /// The lock called `name`: its entries are the keys `<name>/<lease id in hex>`, as in etcd's own
    /// convention. The name must not end in `/`.
    ///
    /// Defaults: TTL 10 s, stop margin 250 ms, wait forever, empty value.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            value: Vec::new(),
            ttl: Duration::from_secs(10),
            stop_margin: Duration::from_millis(250),
            wait: LockWait::Forever,
        }
    }

    /// Text for other clients to read under the key of the entry. No lock client interprets it.
    #[must_use]
    pub fn value(mut self, value: impl Into<Vec<u8>>) -> Self {
        self.value = value.into();
        self
    }

    /// The lease's time to live, rounded down to whole seconds. etcd grants at least 2 s.
    #[must_use]
    pub const fn ttl(mut self, ttl: Duration) -> Self {
        self.ttl = Duration::from_secs(ttl.as_secs());
        self
    }

    /// The longest that stopping the work may take. The tenure ends this long before the lease.
    #[must_use]
    pub const fn stop_margin(mut self, margin: Duration) -> Self {
        self.stop_margin = margin;
        self
    }

    /// Sets the limit of the wait.
    #[must_use]
    pub const fn wait(mut self, wait: LockWait) -> Self {
        self.wait = wait;
        self
    }

    pub(super) fn check(&self) -> Result<(), AcquireError> {
        let bad = |reason| {
            Err(AcquireError::BadName {
                name: self.name.clone(),
                reason,
            })
        };
        if self.name.is_empty() {
            bad("it is empty")
        } else if self.name.ends_with('/') {
            bad("it ends in '/', which other clients would double")
        } else if self.ttl < Duration::from_secs(1) {
            bad("its ttl is shorter than one second")
        } else if self.stop_margin >= self.ttl {
            bad("its stop margin is as long as its ttl")
        } else {
            Ok(())
        }
    }
}
