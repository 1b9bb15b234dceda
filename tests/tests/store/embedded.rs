//! An embedded store with a runtime of its own, for tests that block.

use anyhow::Result;
use leasehold_store::{ListenAddress, Store, StoreOptions};
use leasehold_tests::binaries::Version;
use leasehold_tests::etcdctl::Etcdctl;
use tokio::runtime::Runtime;

/// A store on a port of its own.
pub(crate) struct Embedded {
    store: Option<Store>,
    endpoint: String,
    runtime: Runtime,
}

impl Embedded {
    /// In memory.
    pub(crate) fn start() -> Result<Self> {
        Self::open(StoreOptions::memory())
    }

    /// With these options.
    pub(crate) fn open(options: StoreOptions) -> Result<Self> {
        let runtime = Runtime::new()?;
        let (store, endpoint) = runtime.block_on(async {
            let store = Store::open(options).await?;
            let endpoint = store
                .listen(ListenAddress::Tcp("127.0.0.1:0".parse()?))
                .await?;
            anyhow::Ok((store, endpoint))
        })?;
        Ok(Self {
            store: Some(store),
            endpoint,
            runtime,
        })
    }

    /// As clients write it.
    pub(crate) fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// An `etcdctl` for it.
    pub(crate) fn ctl(&self, version: Version) -> Result<Etcdctl> {
        Etcdctl::new(version, std::slice::from_ref(&self.endpoint))
    }
}

impl Drop for Embedded {
    fn drop(&mut self) {
        if let Some(store) = self.store.take() {
            self.runtime.block_on(store.close());
        }
    }
}
