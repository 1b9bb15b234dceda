//! Bytes that clients make the store hold: counted by request, by connection and in all.
//!
//! Only connections through sockets have an account; callers inside the process are trusted. Counting must never
//! wait: a request either fits or is refused.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::error::StoreError;

/// How much may be held.
#[derive(Debug, Clone, Copy)]
pub(crate) struct MemoryShares {
    /// By all connections, beyond what each has for certain.
    pub(crate) all: u64,
    /// By one connection.
    pub(crate) connection: u64,
    /// By one connection even when the others have taken all: a few requests.
    pub(crate) certain: u64,
}

impl MemoryShares {
    /// A quarter of the default quota for all, a quarter of that for one. One connection thus holds its limit of
    /// streams with room for thirty of the largest writes, and five are needed to take what is shared.
    pub(crate) const DEFAULT: Self = Self {
        all: 256 << 20,
        connection: 64 << 20,
        certain: 128 << 10,
    };
}

/// An open stream with its task, buffers and headers, about. 60,000 of them were measured at 40 KiB each.
pub(crate) const STREAM_BYTES: u64 = 40 << 10;

/// The bytes held by all connections beyond their certain shares.
#[derive(Debug)]
pub(crate) struct MemoryBudget {
    shares: MemoryShares,
    used: AtomicU64,
}

impl MemoryBudget {
    pub(crate) const fn new(shares: MemoryShares) -> Self {
        Self {
            shares,
            used: AtomicU64::new(0),
        }
    }
}

#[cfg(test)]
impl MemoryBudget {
    /// The bytes held at the moment.
    pub(crate) fn used(&self) -> u64 {
        self.used.load(Ordering::Relaxed)
    }
}

/// The bytes held by one connection.
#[derive(Debug, Clone)]
pub(crate) struct ConnectionAccount(Arc<Connection>);

#[derive(Debug)]
struct Connection {
    all: Arc<MemoryBudget>,
    used: AtomicU64,
}

impl ConnectionAccount {
    /// Opens the account of a new connection.
    pub(crate) fn new(all: &Arc<MemoryBudget>) -> Self {
        Self(Arc::new(Connection {
            all: Arc::clone(all),
            used: AtomicU64::new(0),
        }))
    }

    /// Opens the share of a request, unless it does not fit.
    pub(crate) fn open(&self, bytes: u64) -> Result<RequestTicket, StoreError> {
        self.reserve(bytes)?;
        Ok(RequestTicket(Arc::new(Open {
            account: self.clone(),
            parts: Mutex::new(Parts {
                stream: bytes,
                ..Parts::default()
            }),
        })))
    }

    /// Bytes of a connection's use that count against what all connections share.
    fn beyond_certain(&self, used: u64) -> u64 {
        used.saturating_sub(self.0.all.shares.certain)
    }

    /// Counts bytes without asking whether they fit.
    fn add(&self, bytes: u64) {
        let before = self.0.used.fetch_add(bytes, Ordering::Relaxed);
        let more = self.beyond_certain(before + bytes) - self.beyond_certain(before);
        self.0.all.used.fetch_add(more, Ordering::Relaxed);
    }

    fn give_back(&self, bytes: u64) {
        let before = self.0.used.fetch_sub(bytes, Ordering::Relaxed);
        let less = self.beyond_certain(before) - self.beyond_certain(before - bytes);
        self.0.all.used.fetch_sub(less, Ordering::Relaxed);
    }

    fn reserve(&self, bytes: u64) -> Result<(), StoreError> {
        // Counted before it is judged: two at once cannot both take the last of it.
        self.add(bytes);
        self.check_limits().inspect_err(|_| self.give_back(bytes))
    }

    /// Whether what is counted now is within the limits.
    fn check_limits(&self) -> Result<(), StoreError> {
        let (all, shares) = (&self.0.all, self.0.all.shares);
        let used = self.0.used.load(Ordering::Relaxed);
        if used > shares.connection {
            return Err(StoreError::ConnectionFull(shares.connection >> 20));
        }
        if used > shares.certain && all.used.load(Ordering::Relaxed) > shares.all {
            return Err(StoreError::ServerFull(shares.all >> 20));
        }
        Ok(())
    }
}

/// The share of one request. It ends with its last clone, when the answer is sent.
#[derive(Debug, Clone)]
pub(crate) struct RequestTicket(Arc<Open>);

#[derive(Debug)]
struct Open {
    account: ConnectionAccount,
    parts: Mutex<Parts>,
}

#[derive(Debug, Default)]
struct Parts {
    stream: u64,
    /// The message that is arriving, or arrived last.
    message: u64,
    /// The answer that is waiting to be sent.
    answer: u64,
    /// Watches on this stream.
    watches: u64,
}

tokio::task_local! {
    /// The share of the request that this task is answering.
    pub(crate) static TICKET: RequestTicket;
}

/// The share of the request that is being answered; none for requests from inside the process.
pub(crate) fn current_ticket() -> Option<RequestTicket> {
    TICKET.try_with(Clone::clone).ok()
}

impl RequestTicket {
    fn parts(&self) -> MutexGuard<'_, Parts> {
        self.0.parts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sets the size of the message on its way in, unless it does not fit.
    pub(crate) fn set_message(&self, bytes: u64) -> Result<(), StoreError> {
        let mut parts = self.parts();
        if let Some(more) = bytes.checked_sub(parts.message) {
            self.0.account.reserve(more)?;
        } else {
            self.0.account.give_back(parts.message - bytes);
        }
        parts.message = bytes;
        Ok(())
    }

    /// Whether another answer may be made for this connection. One that is made is counted, however large it is.
    pub(crate) fn check_may_answer(&self) -> Result<(), StoreError> {
        self.0.account.check_limits()
    }

    /// Sets the size of the answer on its way out.
    pub(crate) fn set_answer(&self, bytes: u64) {
        let mut parts = self.parts();
        self.0.account.add(bytes);
        self.0.account.give_back(parts.answer);
        parts.answer = bytes;
    }

    /// Counts one more watch on this stream, unless it does not fit.
    pub(crate) fn add_watch(&self, bytes: u64) -> Result<(), StoreError> {
        let mut parts = self.parts();
        self.0.account.reserve(bytes)?;
        parts.watches += bytes;
        Ok(())
    }

    /// Counts a watch no longer.
    pub(crate) fn drop_watch(&self, bytes: u64) {
        let mut parts = self.parts();
        let bytes = bytes.min(parts.watches);
        self.0.account.give_back(bytes);
        parts.watches -= bytes;
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        let parts = self.parts.get_mut().unwrap_or_else(PoisonError::into_inner);
        let bytes = parts.stream + parts.message + parts.answer + parts.watches;
        self.account.give_back(bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn budget() -> Arc<MemoryBudget> {
        Arc::new(MemoryBudget::new(MemoryShares {
            all: 100,
            connection: 60,
            certain: 10,
        }))
    }

    #[test]
    fn a_connection_holds_its_share_and_no_more() {
        let account = ConnectionAccount::new(&budget());
        let first = account.open(40).unwrap();
        assert!(matches!(
            account.open(21),
            Err(StoreError::ConnectionFull(_))
        ));
        let second = account.open(20).unwrap();
        assert!(first.set_message(1).is_err());
        drop(second);
        first.set_message(20).unwrap();
        first.set_message(5).unwrap();
        first.add_watch(15).unwrap();
        assert!(first.add_watch(1).is_err());
        first.drop_watch(15);
        drop(first);
        assert_eq!(account.0.used.load(Ordering::Relaxed), 0);
        assert_eq!(account.0.all.used.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn connections_that_take_all_leave_the_others_what_is_certain() {
        let all = budget();
        let greedy: Vec<_> = (0..2)
            .map(|_| ConnectionAccount::new(&all).open(60).unwrap())
            .collect();
        let honest = ConnectionAccount::new(&all);
        let few = honest.open(10).unwrap();
        assert!(matches!(honest.open(1), Err(StoreError::ServerFull(_))));
        drop(greedy);
        let more = honest.open(40).unwrap();
        drop((few, more));
        assert_eq!(all.used.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn an_answer_is_counted_however_large_and_the_next_is_not_made() {
        let account = ConnectionAccount::new(&budget());
        let ticket = account.open(1).unwrap();
        ticket.check_may_answer().unwrap();
        ticket.set_answer(1000);
        assert!(ticket.check_may_answer().is_err());
        assert!(account.open(1).is_err());
        ticket.set_answer(2);
        ticket.check_may_answer().unwrap();
    }
}
