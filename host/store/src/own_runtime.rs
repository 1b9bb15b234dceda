//! Check that a task runs on the store's own runtime.

use tokio::runtime::{Handle, Id};

/// The store's own runtime, if its threads may wait for the disk.
pub(crate) struct OwnRuntime(Option<Id>);

impl OwnRuntime {
    /// Returns the calling runtime, if it has a second thread, which runs all other tasks while one waits. Only one
    /// can wait: the one with the executor. Handing the thread's tasks over first, as `block_in_place` does, costs
    /// more than it saves: the reply then has to be handed back.
    pub(crate) fn current() -> Self {
        let here = Handle::try_current().ok();
        Self(
            here.filter(|here| here.metrics().num_workers() > 1)
                .map(|here| here.id()),
        )
    }

    /// Returns true if this task may block its thread. Requests from inside this process run on their callers'
    /// threads, among guests or on the one thread that renews leases, and those never wait for a disk.
    pub(crate) fn may_block(&self) -> bool {
        self.0.is_some() && self.0 == Handle::try_current().ok().map(|here| here.id())
    }
}
