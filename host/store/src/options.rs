//! Options for opening a store.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use leasehold_lock::clock::{Clock, SystemClock};
use redb::StorageBackend;

/// Media in place of the store's two files.
pub struct StoreMedia {
    /// The data.
    pub data: Box<dyn StorageBackend>,
    /// The log before it.
    pub log: Box<dyn StorageBackend>,
}

/// Opens media in place of files: when the store is opened, and again after a write to them failed.
pub type OpenMedia = Box<dyn FnMut() -> io::Result<StoreMedia> + Send>;

/// Location of the data.
pub enum DataLocation {
    /// In memory: lost when the process ends. For tests, and for trying things out.
    Memory,
    /// In this directory, which is created if missing. One process at a time.
    Directory(PathBuf),
    /// On these media; for tests with a disk that fails on purpose.
    Media(OpenMedia),
}

/// Options for opening a store.
pub struct StoreOptions {
    pub(crate) data: DataLocation,
    pub(crate) quota: u64,
    pub(crate) keep_revisions: Option<u64>,
    pub(crate) keep_bytes: Option<u64>,
    pub(crate) clock: Arc<dyn Clock>,
}

impl StoreOptions {
    /// The most bytes of data by default: 1 GiB. All of it is held in memory.
    pub const DEFAULT_QUOTA: u64 = 1 << 30;

    /// The default number of kept revisions: minutes of a busy store and days of a quiet one, for watchers that come
    /// back. Thousands of small changes take a few MiB.
    pub const DEFAULT_KEEP: u64 = 50_000;

    /// Options for data in this location.
    pub fn new(data: DataLocation) -> Self {
        Self {
            data,
            quota: Self::DEFAULT_QUOTA,
            keep_revisions: Some(Self::DEFAULT_KEEP),
            keep_bytes: None,
            clock: Arc::new(SystemClock),
        }
    }

    /// Options for data in memory: lost when the process ends.
    pub fn memory() -> Self {
        Self::new(DataLocation::Memory)
    }

    /// Options for data in a directory, which is created if missing.
    pub fn directory(path: impl Into<PathBuf>) -> Self {
        Self::new(DataLocation::Directory(path.into()))
    }

    /// Sets the most bytes of data, history included. More is refused as etcd refuses it, once no history is left to
    /// compact. Default 1 GiB.
    #[must_use]
    pub const fn quota(mut self, bytes: u64) -> Self {
        self.quota = bytes;
        self
    }

    /// Sets the number of revisions of history to keep; older ones are compacted. Default 50,000; `None` keeps all,
    /// which is etcd's default.
    #[must_use]
    pub const fn keep_revisions(mut self, count: Option<u64>) -> Self {
        self.keep_revisions = count;
        self
    }

    /// Sets the bytes of history to keep; the oldest beyond that is compacted. Default: half of the quota, so that
    /// history never takes more memory than the present values may.
    #[must_use]
    pub const fn keep_bytes(mut self, bytes: u64) -> Self {
        self.keep_bytes = Some(bytes);
        self
    }

    /// Sets the clock of the leases' deadlines. Default: the machine's boot-time clock.
    #[must_use]
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }
}
