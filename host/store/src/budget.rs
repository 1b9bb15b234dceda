//! Budget of bytes that clients make the store hold, counted by request, by connection and in all.
//!
//! Only connections through sockets have an account; callers inside the process are trusted. Counting must never
//! wait: a request either fits or is refused.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::error::StoreError;

/// Limits on the bytes held for clients.
#[derive(Debug, Clone, Copy)]
pub(crate) struct MemoryShares {
    /// Bytes for all connections together, beyond the certain share of each.
    pub(crate) all: u64,
    /// Bytes for one connection.
    pub(crate) connection: u64,
    /// Bytes for one connection even when the others have taken all: a few requests.
    pub(crate) certain: u64,
}

impl MemoryShares {
    /// A quarter of the default quota for all connections, and a quarter of that for one. One connection thus holds
    /// its limit of streams with room for thirty of the largest writes. Five connections are needed to take all
    /// shared bytes.
    pub(crate) const DEFAULT: Self = Self {
        all: 256 << 20,
        connection: 64 << 20,
        certain: 128 << 10,
    };
}

/// Approximate bytes of an open stream with its task, buffers and headers. 60,000 of them were measured at 40 KiB
/// each.
pub(crate) const STREAM_BYTES: u64 = 40 << 10;

/// Bytes held by all connections beyond their certain shares.
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

impl MemoryBudget {
    /// Returns the most bytes that connections may hold together beyond their certain shares.
    pub(crate) const fn limit(&self) -> u64 {
        self.shares.all
    }

    /// Returns the bytes held at the moment.
    pub(crate) fn used(&self) -> u64 {
        self.used.load(Ordering::Relaxed)
    }
}

/// Bytes held by one connection.
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

    /// Opens the ticket of a request, unless its bytes do not fit.
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

    /// Returns the bytes of a connection's use that count against the bytes shared by all connections.
    fn beyond_certain(&self, used: u64) -> u64 {
        used.saturating_sub(self.0.all.shares.certain)
    }

    /// Counts bytes without a check of the limits.
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
        // Counted before the check: two requests at once cannot both take the last bytes.
        self.add(bytes);
        self.check_limits().inspect_err(|_| self.give_back(bytes))
    }

    /// Checks the counted bytes against the limits.
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

/// Share of one request in the budget. It ends with its last clone, when the answer is sent.
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
    /// Bytes of the message that is arriving, or arrived last.
    message: u64,
    /// Bytes of the answer that is waiting to be sent.
    answer: u64,
    /// Bytes of the watches on this stream.
    watches: u64,
}

tokio::task_local! {
    /// Ticket of the request that this task is answering.
    pub(crate) static TICKET: RequestTicket;
}

/// Returns the ticket of the request that is being answered; `None` for requests from inside the process.
pub(crate) fn current_ticket() -> Option<RequestTicket> {
    TICKET.try_with(Clone::clone).ok()
}

impl RequestTicket {
    fn parts(&self) -> MutexGuard<'_, Parts> {
        self.0.parts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sets the size of the incoming message, unless it does not fit.
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

    /// Checks that this connection may have another answer. An answer is counted however large it is.
    pub(crate) fn check_may_answer(&self) -> Result<(), StoreError> {
        self.0.account.check_limits()
    }

    /// Sets the size of the outgoing answer.
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

    /// Stops counting a watch.
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
    fn connections_that_take_all_leave_others_their_certain_share() {
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
    fn a_large_answer_is_counted_and_the_next_one_refused() {
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
