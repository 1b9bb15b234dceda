//! An open store: the handle that the rest of the process holds.

use std::num::NonZero;
use std::sync::Arc;

use tokio::runtime::Runtime;

use crate::core::StoreCore;
use crate::error::OpenError;
use crate::options::StoreOptions;
use crate::serve::{InProcessConnector, ListenAddress, ListenError, Server};

/// Threads for requests. More than a few serve no client: writes are carried out one after the other anyway.
const THREADS: usize = 4;

/// An open store. Dropping it without [`Store::close`] loses no acknowledged write.
///
/// It has threads of its own, so leases expire and other processes are served whatever else the process does.
/// Requests of clients in this process run on their tasks; only waits for the disk are here.
pub struct Store {
    core: Arc<StoreCore>,
    server: Arc<Server>,
    runtime: StoreThreads,
}

impl Store {
    /// Opens it: reads the data, and starts the leases, each with its full TTL.
    ///
    /// # Errors
    /// The data cannot be read, is of another kind, or another process has it open.
    pub async fn open(options: StoreOptions) -> Result<Self, OpenError> {
        let runtime = StoreThreads::start().map_err(OpenError::failed)?;
        let opening = runtime.run(async {
            let core = StoreCore::open(options).await?;
            let server = Arc::new(Server::new(Arc::clone(&core)));
            Ok((core, server))
        });
        let opened: Result<_, OpenError> = opening.await.map_err(OpenError::failed)?;
        let (core, server) = opened?;
        Ok(Self {
            core,
            server,
            runtime,
        })
    }

    /// Serves the API on a socket, until closed. Returns the endpoint as clients write it.
    ///
    /// # Errors
    /// The address is taken, or is not on this machine.
    pub async fn listen(&self, at: ListenAddress) -> Result<String, ListenError> {
        let server = Arc::clone(&self.server);
        let listening = self.runtime.run(async move { server.listen(at).await });
        listening.await.unwrap_or(Err(ListenError::Closed))
    }

    /// Returns the connection for clients in this process, without a socket: requests run on their tasks.
    pub fn connector(&self) -> InProcessConnector {
        self.server.connector()
    }

    /// Ends every connection, then the writer, then closes the disk.
    pub async fn close(self) {
        let (core, server) = (Arc::clone(&self.core), Arc::clone(&self.server));
        let closing = self.runtime.run(async move {
            server.close().await;
            core.close().await;
        });
        // Closing has no expected failure; after one, the disk is closed with the process.
        let _ = closing.await;
    }
}

/// The store's own runtime.
struct StoreThreads(Option<Runtime>);

impl StoreThreads {
    fn start() -> std::io::Result<Self> {
        let threads = std::thread::available_parallelism().map_or(THREADS, NonZero::get);
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(threads.clamp(2, THREADS))
            .thread_name("store")
            .enable_all()
            .build()?;
        Ok(Self(Some(runtime)))
    }

    /// Runs a future there; the caller may wait on any runtime.
    async fn run<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> Result<T, &'static str> {
        let Some(runtime) = &self.0 else {
            return Err("its threads have ended");
        };
        runtime
            .spawn(work)
            .await
            .map_err(|_| "its threads have ended")
    }
}

impl Drop for StoreThreads {
    /// Waiting for a runtime is not allowed on another runtime's thread; the remaining tasks end by themselves.
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}
