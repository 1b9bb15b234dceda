//! An open store: the handle that the rest of the process holds.

use std::sync::Arc;

use crate::core::Core;
use crate::disk::DiskError;
use crate::options::Options;
use crate::serve::{InProcess, Listen, ListenError, Server};

/// Why a store did not open.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The disk, or what is on it.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// What the store needs of the system beside a disk.
    #[error("the store could not start: {0}")]
    Start(String),
}

impl OpenError {
    pub(crate) fn failed(error: impl std::fmt::Display) -> Self {
        Self::Start(error.to_string())
    }
}

/// An open store. Dropping it without [`Store::close`] loses nothing that was acknowledged.
pub struct Store {
    core: Arc<Core>,
    server: Server,
}

impl Store {
    /// Opens it: reads the data, and starts counting leases down, each from its full TTL.
    ///
    /// # Errors
    /// The data cannot be read, is of another kind, or another process has it open.
    pub async fn open(options: Options) -> Result<Self, OpenError> {
        let core = Core::open(options).await?;
        Ok(Self {
            server: Server::new(Arc::clone(&core)),
            core,
        })
    }

    /// Serves the API on a socket, until closed. Gives the endpoint as clients write it.
    ///
    /// # Errors
    /// The address is taken, or is not on this machine.
    pub async fn listen(&self, at: Listen) -> Result<String, ListenError> {
        self.server.listen(at).await
    }

    /// The way in for clients in this process, without a socket.
    pub fn connector(&self) -> InProcess {
        self.server.connector()
    }

    /// Ends every connection, then the writer, then closes the disk.
    pub async fn close(self) {
        self.server.close().await;
        self.core.close().await;
    }
}
