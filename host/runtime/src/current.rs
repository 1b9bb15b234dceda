//! The run whose guest, or whose request, is being polled on this thread.
//!
//! Libraries log where a guest calls them, without knowing whose call it is. Their lines count as output of that
//! run. This file must never hold a run longer than its future lives.

use std::future::Future;
use std::sync::Arc;

use super::event::Level;
use super::output::Output;

tokio::task_local! {
    static OUTPUT: Arc<Output>;
}

/// Polls and drops `future` as part of the run with this output.
pub(super) fn within<F: Future>(output: Arc<Output>, future: F) -> impl Future<Output = F::Output> {
    OUTPUT.scope(output, future)
}

/// True while a run's guest or request is polled on this thread.
pub fn is_guest() -> bool {
    OUTPUT.try_with(|_| ()).is_ok()
}

/// Passes a library's line on as output of the run that is polled on this thread, if there is one.
pub fn library_line(level: Level, text: impl FnOnce() -> String) {
    let _ = OUTPUT.try_with(|output| output.library(level, text));
}
