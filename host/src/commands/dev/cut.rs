//! A way to the store that can be cut for good, as a dead machine's is.
//!
//! Requests pass as they are, or not at all. Nothing is told to the store when the way is cut: it sees its
//! streams end, and leases go on until they expire.

use std::sync::Arc;

use leasehold_lock::{Connector, Service, cuttable};
use tokio_util::sync::CancellationToken;

/// The way of one host.
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

    /// From here on nothing passes, neither new requests nor those under way.
    pub(super) fn cut(&self) {
        self.cut.cancel();
    }
}

impl Connector for Cuttable {
    fn service(&self) -> Service {
        let inner = self.inner.service();
        cuttable(inner, self.cut.clone(), "this host is cut off")
    }

    fn describe(&self) -> String {
        self.inner.describe()
    }
}
