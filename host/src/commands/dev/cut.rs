//! A connector that can be cut for good, like a dead machine's connection.
//!
//! Requests pass unchanged, or not at all. The store gets no message about the cut: its streams
//! end, and leases continue until they expire.

use std::sync::Arc;

use leasehold_lock::{Connector, StoreService, cuttable};
use tokio_util::sync::CancellationToken;

/// Connector of one host.
pub(super) struct Cuttable {
    inner: Arc<dyn Connector>,
    cut: CancellationToken,
}

impl Cuttable {
    pub(super) fn new(inner: Arc<dyn Connector>) -> Self {
        Self {
            inner,
            cut: CancellationToken::new(),
        }
    }

    /// Blocks all requests from now on, both new ones and those under way.
    pub(super) fn cut(&self) {
        self.cut.cancel();
    }
}

impl Connector for Cuttable {
    fn service(&self) -> StoreService {
        let inner = self.inner.service();
        cuttable(inner, self.cut.clone(), "this host is cut off")
    }

    fn describe(&self) -> String {
        self.inner.describe()
    }
}
