//! [`Acquire`]: the request for a lock.

use std::time::Duration;

use crate::error::AcquireError;

/// How long to wait for a lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LockWait {
    /// Until it is ours.
    Forever,
    /// At most this long.
    AtMost(Duration),
    /// Not at all: when contended, nothing is left in the queue, not even for a moment.
    Never,
}

/// Where a waiter stands in the queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LockPlace {
    /// Entries ahead of ours. May be an estimate while far from the head.
    pub ahead: usize,
    /// The key of the entry that holds the lock, when it is known.
    pub holder: Option<String>,
}

/// What to acquire and how.
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

    /// What others can read about us under the entry's key. Never read by any lock client.
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

    /// How long before the lease's end the tenure must be over: the longest that stopping may take.
    #[must_use]
    pub const fn stop_margin(mut self, margin: Duration) -> Self {
        self.stop_margin = margin;
        self
    }

    /// How long to wait.
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
