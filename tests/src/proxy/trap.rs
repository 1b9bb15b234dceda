//! A change of mode that waits for a certain request. Looks at requests, never at responses.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::mode::Mode;

/// Request that springs the trap.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trigger {
    /// The one with the n-th byte from now on, over all connections.
    Bytes(u64),
    /// The one that contains these bytes, in one connection's stream.
    Contains(Vec<u8>),
    /// The one with which these bytes have come so many times, over all connections.
    Times(Vec<u8>, usize),
}

#[derive(Debug, Default)]
pub(super) struct Trap {
    armed: Mutex<Option<(Trigger, Mode)>>,
    fired: AtomicBool,
}

impl Trap {
    pub(super) fn arm(&self, trigger: Trigger, then: Mode) {
        let mut armed = self.lock();
        self.fired.store(false, Ordering::SeqCst);
        *armed = Some((trigger, then));
    }

    /// The mode to change to before `chunk` is forwarded, if it springs the trap. A sprung trap is disarmed.
    ///
    /// `before` is the connection's earlier bytes; a match may begin there, but must end in `chunk`.
    pub(super) fn spring(&self, before: &[u8], chunk: &[u8]) -> Option<Mode> {
        let mut armed = self.lock();
        let (trigger, _) = armed.as_mut()?;
        let sprung = match trigger {
            Trigger::Bytes(left) => {
                *left = left.saturating_sub(chunk.len() as u64);
                *left == 0
            }
            Trigger::Contains(text) => occurrences(text, before, chunk) > 0,
            Trigger::Times(text, left) => {
                *left = left.saturating_sub(occurrences(text, before, chunk));
                *left == 0
            }
        };
        if sprung {
            armed.take().map(|(_, then)| then)
        } else {
            None
        }
    }

    /// Notes that the request that sprang the trap was forwarded.
    pub(super) fn forwarded(&self) {
        self.fired.store(true, Ordering::SeqCst);
    }

    pub(super) fn has_fired(&self) -> bool {
        self.fired.load(Ordering::SeqCst)
    }

    fn lock(&self) -> MutexGuard<'_, Option<(Trigger, Mode)>> {
        self.armed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Number of matches of the text that end in `chunk`.
fn occurrences(text: &[u8], before: &[u8], chunk: &[u8]) -> usize {
    let overlap = before.len().min(text.len().saturating_sub(1));
    let stream = [&before[before.len() - overlap..], chunk].concat();
    stream
        .windows(text.len().max(1))
        .filter(|window| *window == text)
        .count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn armed(trigger: Trigger) -> Trap {
        let trap = Trap::default();
        trap.arm(trigger, Mode::DropBoth);
        trap
    }

    #[test]
    fn a_text_split_over_two_chunks_springs_once() {
        let trap = armed(Trigger::Contains(b"lock".to_vec()));
        assert_eq!(trap.spring(b"", b"a lo"), None);
        assert_eq!(trap.spring(b"a lo", b"ck b"), Some(Mode::DropBoth));
        assert_eq!(trap.spring(b"", b"lock"), None);
    }

    #[test]
    fn a_text_sent_before_arming_does_not_spring_the_trap() {
        let trap = armed(Trigger::Contains(b"lock".to_vec()));
        assert_eq!(trap.spring(b"lock", b" and more"), None);
    }

    #[test]
    fn a_text_that_must_come_twice_is_counted_over_chunks() {
        let trap = armed(Trigger::Times(b"lock".to_vec(), 2));
        assert_eq!(trap.spring(b"", b"a lock, a lo"), None);
        assert_eq!(trap.spring(b"a lock, a lo", b"ck"), Some(Mode::DropBoth));
    }

    #[test]
    fn bytes_are_counted_over_chunks() {
        let trap = armed(Trigger::Bytes(5));
        assert_eq!(trap.spring(b"", b"four"), None);
        assert_eq!(trap.spring(b"", b"5"), Some(Mode::DropBoth));
    }

    #[test]
    fn a_trap_has_fired_once_its_request_is_forwarded() {
        let trap = armed(Trigger::Bytes(1));
        assert!(trap.spring(b"", b"x").is_some());
        assert!(!trap.has_fired());
        trap.forwarded();
        assert!(trap.has_fired());
        trap.arm(Trigger::Bytes(1), Mode::Pass);
        assert!(!trap.has_fired());
    }
}
