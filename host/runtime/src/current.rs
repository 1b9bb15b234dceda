//! The run whose guest, or whose request, is being polled on this thread.
//!
//! A library that a guest calls logs without a reference to the run. Its lines count as output of that run. A run's
//! output is held only while its future is polled or dropped.

use std::future::Future;
use std::sync::Arc;

use super::event::Level;
use super::output::Output;

tokio::task_local! {
    static OUTPUT: Arc<Output>;
}

/// Polls and drops `future` as part of the run that has this output.
pub(super) fn within<F: Future>(output: Arc<Output>, future: F) -> impl Future<Output = F::Output> {
    OUTPUT.scope(output, future)
}

/// Returns true while a run's guest or request is polled on this thread.
pub fn is_guest() -> bool {
    OUTPUT.try_with(|_| ()).is_ok()
}

/// Adds a library's line to the output of the run that is polled on this thread, if there is one.
pub fn library_line(level: Level, text: impl FnOnce() -> String) {
    let _ = OUTPUT.try_with(|output| output.library(level, text));
}
