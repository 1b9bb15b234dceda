//! Waiting for something to become true, and the clock that events are stamped with.
//!
//! Every wait has a bound and a text for its condition, so that a failure reads as a sentence.
//! Nothing here asserts speed: a bound is the longest wait, not a required time.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};
use rustix::time::{ClockId, clock_gettime};

/// Pause between two probes of a condition. Short enough to be lost in the noise of a process start,
/// long enough to leave both cores to the tested processes.
const POLL: Duration = Duration::from_millis(10);

/// Calls `probe` until it succeeds and returns its value; gives up after `timeout`.
///
/// # Errors
/// The time was up; the error holds the condition, the bound and the last error of `probe`.
pub fn eventually<T>(
    timeout: Duration,
    what: &str,
    mut probe: impl FnMut() -> Result<T>,
) -> Result<T> {
    let started = Instant::now();
    loop {
        match probe() {
            Ok(value) => return Ok(value),
            Err(error) if started.elapsed() >= timeout => {
                return Err(gave_up(timeout, what, &error));
            }
            Err(_) => std::thread::sleep(POLL),
        }
    }
}

/// As [`eventually`], for tests whose runtime must go on while they wait.
///
/// # Errors
/// The time was up; the error holds the condition, the bound and the last error of `probe`.
pub async fn eventually_async<T, F>(
    timeout: Duration,
    what: &str,
    mut probe: impl FnMut() -> F,
) -> Result<T>
where
    F: Future<Output = Result<T>>,
{
    let started = Instant::now();
    loop {
        match probe().await {
            Ok(value) => return Ok(value),
            Err(error) if started.elapsed() >= timeout => {
                return Err(gave_up(timeout, what, &error));
            }
            Err(_) => tokio::time::sleep(POLL).await,
        }
    }
}

fn gave_up(timeout: Duration, what: &str, last: &anyhow::Error) -> anyhow::Error {
    anyhow!("waited {timeout:?} for {what}; at the end: {last:#}")
}

/// Nanoseconds on the boot-time clock, the one that stamps every event of a host.
///
/// Comparing a fault's time with an event's time is comparing two of these.
pub fn boot_ns() -> u64 {
    let now = clock_gettime(ClockId::Boottime);
    let seconds = u64::try_from(now.tv_sec).unwrap_or_default();
    let nanos = u64::try_from(now.tv_nsec).unwrap_or_default();
    seconds * 1_000_000_000 + nanos
}

/// A name no other test uses: the prefix, this process, a counter and some chance.
pub fn unique(prefix: &str) -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let count = NEXT.fetch_add(1, Ordering::Relaxed);
    format!(
        "{prefix}-{}-{count}-{:04x}",
        std::process::id(),
        fastrand::u16(..)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_ends_with_the_first_success() {
        let mut calls = 0;
        let got = eventually(Duration::from_secs(5), "the third call", || {
            calls += 1;
            if calls == 3 {
                Ok(calls)
            } else {
                Err(anyhow!("call {calls}"))
            }
        });
        assert_eq!(got.unwrap(), 3);
    }

    #[test]
    fn a_failed_wait_names_its_condition_and_last_error() {
        let got: Result<()> = eventually(Duration::from_millis(1), "rain", || {
            Err(anyhow!("blue sky"))
        });
        assert_eq!(
            got.unwrap_err().to_string(),
            "waited 1ms for rain; at the end: blue sky"
        );
    }

    #[test]
    fn the_boot_clock_never_goes_back() {
        let before = boot_ns();
        assert!(before > 0);
        assert!(boot_ns() >= before);
    }

    #[test]
    fn two_unique_names_differ() {
        assert_ne!(unique("lock"), unique("lock"));
    }
}
