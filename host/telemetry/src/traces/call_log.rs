//! [`CallLog`]: the slow host calls of one run, up to a bound.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use leasehold_runtime::{CallObserver, HostCall};

/// Number of calls of one run that are kept: the longest ones.
pub(super) const MOST_CALLS: usize = 128;

/// Observer of the calls of one run.
#[derive(Debug, Default)]
pub(super) struct CallLog(Mutex<KeptCalls>);

/// The kept calls, and the number of the others.
#[derive(Clone, Debug, Default)]
pub(super) struct KeptCalls {
    pub(super) calls: Vec<HostCall>,
    pub(super) left_out: u64,
}

impl CallLog {
    /// Takes the calls out, in the order of their starts.
    pub(super) fn take(&self) -> KeptCalls {
        let mut kept = std::mem::take(&mut *self.lock());
        kept.calls.sort_by_key(|call| call.started);
        kept
    }

    fn lock(&self) -> MutexGuard<'_, KeptCalls> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn took(call: &HostCall) -> Duration {
    call.ended.since(call.started)
}

impl CallObserver for CallLog {
    fn call_ended(&self, call: HostCall) {
        let mut kept = self.lock();
        if kept.calls.len() < MOST_CALLS {
            kept.calls.push(call);
            return;
        }
        kept.left_out += 1;
        // The search is short beside a call of a millisecond.
        let shortest = kept.calls.iter_mut().min_by_key(|call| took(call));
        if let Some(shortest) = shortest.filter(|shortest| took(shortest) < took(&call)) {
            *shortest = call;
        }
    }
}

#[cfg(test)]
mod tests {
    use leasehold_lock::BootTime;

    use super::*;

    fn call(start: u64, millis: u64) -> HostCall {
        let started = BootTime::from_nanos(start * 1_000_000_000);
        HostCall {
            name: "wasi:io/poll".into(),
            started,
            ended: started.after(Duration::from_millis(millis)),
        }
    }

    #[test]
    fn longest_calls_are_kept_and_the_others_counted() {
        let log = CallLog::default();
        for n in 0..200 {
            log.call_ended(call(n, 1 + n % 100));
        }
        let kept = log.take();
        assert_eq!((kept.calls.len(), kept.left_out), (MOST_CALLS, 72));
        let shortest = kept.calls.iter().map(took).min();
        assert_eq!(shortest, Some(Duration::from_millis(37)));
        assert!(kept.calls.is_sorted_by_key(|call| call.started));
        assert!(log.take().calls.is_empty());
    }
}
