//! Signals to a command that ends by itself: the first one ends it.

use std::future::Future;

use leasehold_supervisor::last_words::LAST_WORDS;
use leasehold_supervisor::shutdown::Signals;
use tokio::time::timeout;

use crate::exit::Exit;
use crate::failure::Failure;

/// Runs the work of a command as a task, and ends it at the first signal. Its drops end the processes that compile and
/// clear the screen.
pub(crate) async fn until_signal(
    work: impl Future<Output = Result<Exit, Failure>> + Send + 'static,
) -> Result<Exit, Failure> {
    let mut signals = Signals::new().map_err(|error| Failure::internal(&error))?;
    let mut work = tokio::spawn(work);
    let signal = tokio::select! {
        ended = &mut work => return ended.unwrap_or_else(|error| Err(Failure::internal(&error))),
        signal = signals.next() => signal,
    };
    work.abort();
    // Work that blocks, such as writing to a pipe that is not read, ends with the process.
    let _ = timeout(LAST_WORDS, work).await;
    Err(interrupted(signal))
}

/// The failure of a command that a signal ended.
pub(crate) fn interrupted(signal: &str) -> Failure {
    Failure::new(Exit::Aborted, format!("stopped by {signal}"))
}
