//! Fake etcd: a store in memory whose answers a test scripts.
//!
//! The store behind it works: keys, leases and watches behave until the [`Script`] changes an answer on its
//! way. Changes take effect at once, for open streams too. [`FakeEtcd::operator`] is a way past the script.

mod front;
mod reply;
mod script;

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use leasehold_lock::{ConnectOptions, Connector, Locks};
use leasehold_store::{InProcessConnector, Store, StoreOptions};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;

use front::Front;
pub use script::{Fault, Method, Quirk, Script};

/// The server; it ends when dropped.
#[derive(Debug)]
pub struct FakeEtcd {
    address: SocketAddr,
    store: InProcessConnector,
    shared: Arc<Shared>,
    cancel: CancellationToken,
    thread: Option<JoinHandle<()>>,
}

/// State that the test and the server share.
#[derive(Debug, Default)]
struct Shared {
    script: watch::Sender<Script>,
    counts: Mutex<Counts>,
}

/// Requests so far.
#[derive(Debug, Default)]
struct Counts {
    requests: BTreeMap<Method, u64>,
    streams: BTreeMap<Method, u64>,
    /// Replies that had a delay chosen for them.
    delayed: BTreeMap<Method, u64>,
}

impl FakeEtcd {
    /// Starts an empty store that answers as a store should.
    ///
    /// # Errors
    /// No port or thread could be had.
    pub fn start() -> Result<Self> {
        let shared = Arc::new(Shared::default());
        let cancel = CancellationToken::new();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .context("making a runtime for a fake etcd")?;
        let (started, starting) = std::sync::mpsc::sync_channel(1);
        let (theirs, until) = (Arc::clone(&shared), cancel.clone());
        let thread = std::thread::Builder::new()
            .name("fake-etcd".to_owned())
            .spawn(move || {
                runtime.block_on(async {
                    match open(theirs).await {
                        Ok((store, serving, address)) => {
                            let _ = started.send(Ok((store.connector(), address)));
                            tokio::select! {
                                () = until.cancelled() => {}
                                () = serving => {}
                            }
                            store.close().await;
                        }
                        Err(error) => {
                            let _ = started.send(Err(error));
                        }
                    }
                });
            })
            .context("starting the thread of a fake etcd")?;
        let started = starting.recv().context("starting a fake etcd")?;
        let (store, address) = started.context("starting a fake etcd")?;
        Ok(Self {
            address,
            store,
            shared,
            cancel,
            thread: Some(thread),
        })
    }

    /// The URL for clients.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Changes the script. Takes effect before this returns.
    pub fn script(&self, change: impl FnOnce(&mut Script)) {
        self.shared.script.send_modify(change);
    }

    /// A client of the store itself, past the script.
    ///
    /// # Errors
    /// The server has ended.
    pub async fn operator(&self) -> Result<Locks> {
        let store: Arc<dyn Connector> = Arc::new(self.store.clone());
        Ok(Locks::connect(ConnectOptions::in_process(store)).await?)
    }

    /// Requests of one kind so far: messages on streams, answered or not, and calls.
    pub fn requests(&self, method: Method) -> u64 {
        self.shared
            .counts()
            .requests
            .get(&method)
            .copied()
            .unwrap_or(0)
    }

    /// Streams of one kind that were opened so far.
    pub fn streams(&self, method: Method) -> u64 {
        self.shared
            .counts()
            .streams
            .get(&method)
            .copied()
            .unwrap_or(0)
    }

    /// Requests and streams of all kinds so far.
    pub fn load(&self) -> u64 {
        let counts = self.shared.counts();
        counts
            .requests
            .values()
            .chain(counts.streams.values())
            .sum()
    }
}

impl Drop for FakeEtcd {
    fn drop(&mut self) {
        self.cancel.cancel();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn count_request(&self, method: Method) {
        *self.counts().requests.entry(method).or_default() += 1;
    }

    fn count_stream(&self, method: Method) {
        *self.counts().streams.entry(method).or_default() += 1;
    }

    /// The delay of the next reply of a kind.
    fn next_delay(&self, method: Method) -> Duration {
        let mut counts = self.counts();
        let nth = counts.delayed.entry(method).or_default();
        let delay = self.script.borrow().delay_of(method, *nth);
        *nth += 1;
        delay
    }

    /// The fault that answers requests of a kind now. Waits while the fault is silence.
    async fn spoken_fault(&self, method: Method) -> Option<Fault> {
        let mut script = self.script.subscribe();
        let spoken = script.wait_for(|script| script.fault(method) != Some(Fault::Silent));
        // The sender lives as long as this.
        spoken.await.ok().and_then(|script| script.fault(method))
    }
}

/// Opens the store and a port; the future serves it.
async fn open(shared: Arc<Shared>) -> Result<(Store, impl Future<Output = ()>, SocketAddr)> {
    let store = Store::open(StoreOptions::memory()).await?;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let address = listener.local_addr()?;
    let front = Front {
        store: front::behind(store.connector().service()),
        shared,
    };
    let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
    let serving = Server::builder().serve_with_incoming(front, incoming);
    let serving = async move {
        if let Err(error) = serving.await {
            eprintln!("a fake etcd ended: {:#}", anyhow!(error));
        }
    };
    Ok((store, serving, address))
}
