//! Check that this process may start the threads it needs, before anything depends on one.
//!
//! tokio ends the process with a panic if a worker cannot be started. If only a thread for blocking
//! work cannot be started, that work is never done. Starting all threads at once, and reporting a
//! shortage, avoids both.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

/// Threads beside the runtime's workers: lease renewal, watchdog, log, diagnostics, the embedded store's four and its
/// writer, and one to spare.
const OWN: usize = 10;
/// Threads for work that blocks: files, names, signals.
const BLOCKING: usize = 6;

/// The threads could not be started.
#[derive(Debug, thiserror::Error)]
#[error(
    "{needed} threads are needed, and only {started} could be started: {error}\n  \
     = help: allow more: `ulimit -u` for the user, pids.max for the container, TasksMax= for the unit"
)]
pub(crate) struct TooFewThreads {
    needed: usize,
    started: usize,
    #[source]
    error: io::Error,
}

/// Starts as many threads as a host needs, and ends them.
///
/// # Errors
///
/// The number of threads that could be started.
pub(crate) fn try_all() -> Result<(), TooFewThreads> {
    let workers = thread::available_parallelism().map_or(1, usize::from);
    // A process that compiles has a thread for each core too, and counts against the same limit.
    try_some(2 * workers + OWN + BLOCKING, |work| {
        thread::Builder::new().spawn(work)
    })
}

fn try_some(
    needed: usize,
    start: impl Fn(Box<dyn FnOnce() + Send>) -> io::Result<thread::JoinHandle<()>>,
) -> Result<(), TooFewThreads> {
    // Each thread waits for this, so that all exist at the same time.
    let gate = Arc::new(Mutex::new(()));
    let shut = gate.lock().unwrap_or_else(PoisonError::into_inner);
    let mut threads = Vec::with_capacity(needed);
    let mut failed = None;
    for _ in 0..needed {
        let gate = gate.clone();
        match start(Box::new(move || drop(gate.lock()))) {
            Ok(thread) => threads.push(thread),
            Err(error) => {
                failed = Some(error);
                break;
            }
        }
    }
    let started = threads.len();
    drop(shut);
    for thread in threads {
        let _ = thread.join();
    }
    match failed {
        None => Ok(()),
        Some(error) => Err(TooFewThreads {
            needed,
            started,
            error,
        }),
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[test]
    fn threads_beyond_the_limit_are_reported_with_a_remedy() {
        let left = Cell::new(3);
        let start = |work: Box<dyn FnOnce() + Send>| {
            if left.get() == 0 {
                return Err(io::ErrorKind::WouldBlock.into());
            }
            left.set(left.get() - 1);
            thread::Builder::new().spawn(work)
        };
        let error = try_some(5, start).unwrap_err().to_string();
        assert!(
            error.starts_with("5 threads are needed, and only 3 could be started: "),
            "{error}"
        );
        assert!(error.contains("ulimit -u") && !error.contains("panicked"));
        left.set(5);
        assert!(try_some(5, start).is_ok());
        assert!(try_all().is_ok());
    }
}
