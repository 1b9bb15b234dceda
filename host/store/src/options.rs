//! How a store is opened.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use leasehold_lock::clock::{Clock, SystemClock};
use redb::StorageBackend;

/// What stands in for the store's two files.
pub struct Media {
    /// The data.
    pub data: Box<dyn StorageBackend>,
    /// The log before it.
    pub log: Box<dyn StorageBackend>,
}

/// Opens media that stand in for files: when the store is opened, and again after a write to them failed.
pub type OpenMedia = Box<dyn FnMut() -> io::Result<Media> + Send>;

/// Where the data lives.
pub enum Data {
    /// In memory: gone with the process. For tests, and for trying things out.
    Memory,
    /// In this directory, which is made if it is not there. One process at a time.
    Directory(PathBuf),
    /// On whatever this is; for tests that break a disk on purpose.
    Media(OpenMedia),
}

/// How a store is opened.
pub struct Options {
    pub(crate) data: Data,
    pub(crate) quota: u64,
    pub(crate) keep_revisions: Option<u64>,
    pub(crate) keep_bytes: Option<u64>,
    pub(crate) clock: Arc<dyn Clock>,
}

impl Options {
    /// The most bytes of data by default: 1 GiB. All of it is held in memory.
    pub const DEFAULT_QUOTA: u64 = 1 << 30;

    /// How many revisions of history are kept by default: minutes of a busy store and days of a quiet one, for
    /// watchers that come back. Thousands of small changes take a few MiB.
    pub const DEFAULT_KEEP: u64 = 50_000;

    /// With the data in this place.
    pub fn new(data: Data) -> Self {
        Self {
            data,
            quota: Self::DEFAULT_QUOTA,
            keep_revisions: Some(Self::DEFAULT_KEEP),
            keep_bytes: None,
            clock: Arc::new(SystemClock),
        }
    }

    /// In memory: gone with the process.
    pub fn memory() -> Self {
        Self::new(Data::Memory)
    }

    /// In a directory, which is made if it is not there.
    pub fn directory(path: impl Into<PathBuf>) -> Self {
        Self::new(Data::Directory(path.into()))
    }

    /// The most bytes of data, history included; more is refused as etcd refuses it, once no history is left to
    /// give up for it. Default 1 GiB.
    #[must_use]
    pub const fn quota(mut self, bytes: u64) -> Self {
        self.quota = bytes;
        self
    }

    /// How many revisions of history are kept; older ones are compacted away. Default 50,000; `None` keeps
    /// all, as etcd does unless told otherwise.
    #[must_use]
    pub const fn keep_revisions(mut self, count: Option<u64>) -> Self {
        self.keep_revisions = count;
        self
    }

    /// How many bytes of history are kept; the oldest beyond that is compacted away. Default: half of the quota, so
    /// that the past never takes more room than the present may.
    #[must_use]
    pub const fn keep_bytes(mut self, bytes: u64) -> Self {
        self.keep_bytes = Some(bytes);
        self
    }

    /// The clock that leases end by. Default: the machine's boot-time clock.
    #[must_use]
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }
}
