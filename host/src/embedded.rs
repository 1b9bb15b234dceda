//! The store inside this process: opened before the hosts that use it, closed after them.
//!
//! This file handles the store's location and its endpoints. Its contents are not read here.

use std::fmt::Write as _;
use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path;
use std::sync::Arc;

use leasehold_store::{
    DiskError, InProcessConnector, ListenAddress, OpenError, Store, StoreOptions,
};

use crate::exit::Exit;
use crate::failure::Failure;
use leasehold_config::{Data, Embedded};
use leasehold_supervisor::event::EventKind;

/// The longest path of a socket on Linux, in bytes; elsewhere it is a little shorter.
const LONGEST_SOCKET: usize = 107;

/// An open store and the endpoints it listens on.
pub(crate) struct EmbeddedStore {
    store: Store,
    data: String,
    endpoints: Vec<String>,
}

impl EmbeddedStore {
    /// Opens the store of a configuration, and listens at its addresses.
    pub(crate) async fn open(embedded: &Embedded) -> Result<Self, Failure> {
        let listen = embedded.listen().map(ListenAddress::Tcp);
        Self::open_with(embedded, options(embedded), listen).await
    }

    /// Opens it with other options, and listens at these places in addition to its socket.
    pub(crate) async fn open_with(
        embedded: &Embedded,
        options: StoreOptions,
        listen: impl IntoIterator<Item = ListenAddress>,
    ) -> Result<Self, Failure> {
        let store = Store::open(options)
            .await
            .map_err(|error| refused(embedded, &error))?;
        // The data directory exists by now; a store in memory may still need a directory for its
        // socket.
        if embedded.data() == &Data::Memory
            && let Some(folder) = embedded.socket().and_then(Path::parent)
        {
            make_private(folder)?;
        }
        let socket = embedded
            .socket()
            .map(|path| ListenAddress::Unix(path.to_owned()));
        let mut opened = Self {
            store,
            data: describe(embedded.data()),
            endpoints: Vec::new(),
        };
        for place in listen.into_iter().chain(socket) {
            let help = remedy(&place);
            match opened.store.listen(place).await {
                Ok(endpoint) => opened.endpoints.push(endpoint),
                Err(error) => {
                    opened.close().await;
                    return Err(Failure::new(
                        Exit::Store,
                        format!("{error}\n  = help: {help}"),
                    ));
                }
            }
        }
        Ok(opened)
    }

    /// The connector for hosts of this process.
    pub(crate) fn connector(&self) -> Arc<InProcessConnector> {
        Arc::new(self.store.connector())
    }

    /// Endpoints for other processes.
    pub(crate) fn endpoints(&self) -> &[String] {
        &self.endpoints
    }

    /// The event that reports it as open.
    pub(crate) fn opened(&self) -> EventKind {
        EventKind::StoreOpened {
            data: self.data.clone(),
            endpoints: self.endpoints.clone(),
        }
    }

    /// Closes it. No acknowledged write is lost, even if this is not awaited.
    pub(crate) async fn close(self) {
        self.store.close().await;
    }
}

/// Options for opening the store of a configuration.
pub(crate) fn options(embedded: &Embedded) -> StoreOptions {
    let options = match embedded.data() {
        Data::Memory => StoreOptions::memory(),
        Data::Directory(dir) => StoreOptions::directory(dir),
    };
    let history = embedded.history();
    let options = match history.revisions {
        Some(revisions) => options.keep_revisions(Some(revisions)),
        None => options,
    };
    match history.bytes {
        Some(bytes) => options.keep_bytes(bytes),
        None => options,
    }
}

fn describe(data: &Data) -> String {
    match data {
        Data::Memory => "data in memory".into(),
        Data::Directory(dir) => format!("data in {}", dir.display()),
    }
}

/// Error for a store that is part of a host when no host has it open.
pub(crate) fn not_running(file: &Path, embedded: &Embedded) -> Failure {
    let socket = embedded.socket().unwrap_or(Path::new("its socket"));
    let alone = match embedded.data() {
        Data::Directory(dir) => format!(
            "\n  = help: or the store by itself: leasehold store serve --dir {}",
            dir.display()
        ),
        Data::Memory => String::new(),
    };
    let message = format!(
        "no host is running with this store: no process answers at {}\n  \
         = help: the store is embedded, so there is nothing to see without a host; start one: leasehold run -c {}{alone}",
        socket.display(),
        file.display(),
    );
    Failure::new(Exit::Store, message)
}

/// Remedy for an address that cannot be listened on.
fn remedy(place: &ListenAddress) -> &'static str {
    match place {
        ListenAddress::Unix(path) if path.as_os_str().len() > LONGEST_SOCKET => {
            "a socket's path has at most 107 bytes: choose a directory with a shorter one"
        }
        ListenAddress::Unix(_) => {
            "stop the process that uses the path, or choose another directory"
        }
        ListenAddress::Tcp(_) => {
            "stop the process that uses the address (an etcd?), or choose another: `--listen`, or `listen` in [store]"
        }
    }
}

/// Creates the socket's directory, as private as the socket. An existing one stays unchanged.
fn make_private(folder: &Path) -> Result<(), Failure> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(folder);
    made.map_err(|error| {
        let message = format!(
            "the directory {} cannot be made: {error}; set `data_dir` in [host], or `dir` in [store]",
            folder.display()
        );
        Failure::new(Exit::Store, message)
    })
}

fn refused(embedded: &Embedded, error: &OpenError) -> Failure {
    let mut message = format!("the embedded store cannot be opened: {error}");
    if let (OpenError::Disk(DiskError::InUse { .. }), Data::Directory(dir), Some(socket)) =
        (error, embedded.data(), embedded.socket())
    {
        let _ = write!(
            message,
            "\n  = help: to join the process that has it, write `endpoints = [\"unix://{}\"]` in [store] instead of `embedded`\n  \
             = help: or stop that process, run `leasehold store serve --dir {}`, and write the endpoint it prints in every [store]",
            socket.display(),
            dir.display(),
        );
    }
    Failure::new(Exit::Store, message)
}
