//! [`Acquire`]: the request for a lock, or for several at once.

use std::time::Duration;

use leasehold_ids::{LockMode, LockModeError};

use crate::error::AcquireError;
use crate::grant::Grant;
use crate::lock_set;

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
    /// The lock that is waited for; of several, the first in the request that is not granted yet.
    pub name: String,
    /// Entries ahead of ours, holders included. An estimate while far from the head.
    pub ahead: usize,
    /// The key of the first entry that holds the lock; `None` while it is not known.
    pub holder: Option<String>,
}

/// Request for a lock, or for several at once.
#[derive(Clone, Debug)]
pub struct Acquire {
    pub(crate) locks: Vec<(String, LockMode)>,
    pub(crate) value: Vec<u8>,
    pub(crate) ttl: Duration,
    pub(crate) stop_margin: Duration,
    pub(crate) wait: LockWait,
    /// Locks that the requester holds meanwhile.
    held: Vec<(String, LockMode)>,
}

impl Acquire {
    /// The lock called `name`, exclusively: its entries are the keys `<name>/<lease id in hex>`, as in etcd's own
    /// convention. The name must not end in `/`.
    ///
    /// Defaults: TTL 10 s, stop margin 250 ms, wait forever, empty value.
    pub fn new(name: impl Into<String>) -> Self {
        Self::all([(name, LockMode::Exclusive)])
    }

    /// All of these locks, each in its mode, as one grant with one token.
    ///
    /// One transaction joins all queues, and the grant comes when every entry holds. Any order of the names will do:
    /// requests never wait for each other in a circle. The tenure ends when any of the entries is lost. No lock may be
    /// named twice or lie in another one, and there may be [`MOST_LOCKS`](lock_set::MOST_LOCKS) of them.
    pub fn all<N: Into<String>>(locks: impl IntoIterator<Item = (N, LockMode)>) -> Self {
        let locks = locks.into_iter().map(|(name, mode)| (name.into(), mode));
        Self {
            locks: locks.collect(),
            value: Vec::new(),
            ttl: Duration::from_secs(10),
            stop_margin: Duration::from_millis(250),
            wait: LockWait::Forever,
            held: Vec::new(),
        }
    }

    /// Sets the mode of every lock of the request.
    #[must_use]
    pub fn mode(mut self, mode: LockMode) -> Self {
        for (_, each) in &mut self.locks {
            *each = mode;
        }
        self
    }

    /// Takes the lock beside other shared holders, behind every exclusive entry that came first.
    ///
    /// Tokens of shared holders do not exclude each other: fenced writes of two of them are both carried out.
    #[must_use]
    pub fn shared(self) -> Self {
        self.mode(LockMode::Shared)
    }

    /// Takes `weight` of the `of` permits that the lock has, as soon as that many are left behind all earlier entries.
    ///
    /// Every user of the lock must name the same `of`. Tokens of simultaneous holders do not exclude each other.
    ///
    /// # Errors
    ///
    /// [`LockModeError`] for none, or for more than there are.
    pub fn permits(self, weight: u32, of: u32) -> Result<Self, LockModeError> {
        Ok(self.mode(LockMode::permits(weight, of)?))
    }

    /// Names a grant that the requester holds meanwhile. Waiting for one of its locks would be waiting for itself, so
    /// that is refused, in any mode: there are no upgrades. A request without this waits as any other.
    #[must_use]
    pub fn beside(mut self, grant: &Grant) -> Self {
        let held = grant.entries().iter();
        self.held
            .extend(held.map(|entry| (entry.name().to_owned(), entry.mode())));
        self
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

    /// The names of the locks, in the order of the request.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.locks.iter().map(|(name, _)| name.as_str())
    }

    /// The names of the locks as text, for messages about the request as a whole.
    pub(crate) fn label(&self) -> String {
        self.names().collect::<Vec<_>>().join(", ")
    }

    pub(super) fn check(&self) -> Result<(), AcquireError> {
        let bad = |name: &str, reason| {
            Err(AcquireError::BadName {
                name: name.to_owned(),
                reason,
            })
        };
        for name in self.names() {
            if name.is_empty() {
                return bad(name, "it is empty");
            }
            if name.ends_with('/') {
                return bad(name, "it ends in '/', which other clients would double");
            }
        }
        lock_set::check(self.names())?;
        if self.ttl < Duration::from_secs(1) {
            return bad(&self.label(), "its ttl is shorter than one second");
        }
        if self.stop_margin >= self.ttl {
            return bad(&self.label(), "its stop margin is as long as its ttl");
        }
        let mut requested = self.locks.iter();
        let held = requested.find_map(|(name, requested)| {
            let (_, held) = self.held.iter().find(|(held, _)| held == name)?;
            Some((name, *held, *requested))
        });
        match held {
            None => Ok(()),
            Some((name, held, requested)) => Err(AcquireError::AlreadyHeld {
                name: name.clone(),
                held,
                requested,
            }),
        }
    }
}
