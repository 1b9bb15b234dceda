//! `[store]` with `embedded = true`: the store that is part of the host, for one machine.
//!
//! It has no users and no encryption, so only loopback addresses and sockets are accepted here.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use leasehold_diagnostics::ConfigError;

use super::node::Node;
use super::read;
use super::section::{Field, Section};
use crate::limits::MIB;

/// The socket's name, beside the store's data.
const SOCKET: &str = "store.sock";
/// Keys of `[store]` for a remote store.
const REMOTE_KEYS: [&str; 5] = [
    "endpoints",
    "user",
    "password_file",
    "tls",
    "allow_plaintext",
];
/// Keys of `[store]` for the embedded one.
const EMBEDDED_KEYS: [&str; 5] = ["dir", "memory", "listen", "history", "history_size"];
/// Least history that can be configured: enough for a watcher that reconnects after a moment.
const LEAST_REVISIONS: u64 = 100;
const LEAST_SIZE: u64 = MIB;
/// More than any store holds.
const MOST_REVISIONS: u64 = 1_000_000_000_000;
const MOST_SIZE: u64 = 1 << 40;

/// The store inside the host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Embedded {
    data: Data,
    socket: Option<PathBuf>,
    listen: Option<SocketAddr>,
    history: History,
}

/// Amount of history that the embedded store keeps; absent values mean the store's own defaults.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct History {
    /// Revisions.
    pub revisions: Option<u64>,
    /// Bytes.
    pub bytes: Option<u64>,
}

/// Location of the embedded store's data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Data {
    /// Memory: lost when the process ends.
    Memory,
    /// A directory, which need not exist yet.
    Directory(PathBuf),
}

impl Embedded {
    /// Location of the data. Default: `store` in the host's `data_dir`.
    pub const fn data(&self) -> &Data {
        &self.data
    }

    /// The socket through which other processes of this user reach the store. It exists whenever a
    /// file gives the location of the store.
    pub fn socket(&self) -> Option<&Path> {
        self.socket.as_deref()
    }

    /// A loopback address to listen on in addition. Default: none.
    pub const fn listen(&self) -> Option<SocketAddr> {
        self.listen
    }

    /// Amount of history that it keeps.
    pub const fn history(&self) -> History {
        self.history
    }

    /// A store in memory that listens nowhere.
    pub const fn in_memory() -> Self {
        Self {
            data: Data::Memory,
            socket: None,
            listen: None,
            history: History {
                revisions: None,
                bytes: None,
            },
        }
    }

    /// A store in a directory that listens on no address.
    pub fn in_directory(dir: &Path) -> Self {
        let dir = in_full(dir);
        Self {
            socket: Some(dir.join(SOCKET)),
            data: Data::Directory(dir),
            ..Self::in_memory()
        }
    }
}

/// The path in full, for processes with another working directory.
fn in_full(path: &Path) -> PathBuf {
    // Without a working directory there is nothing to add.
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

/// Default location of the embedded store's data, for a host's `data_dir`.
pub(super) fn default_dir(data_dir: &Path) -> PathBuf {
    data_dir.join("store")
}

/// Reads the keys of an embedded store, and reports those of a remote one.
pub(super) fn read(section: &Section<'_>, data_dir: Option<&Path>) -> Option<Embedded> {
    for key in REMOTE_KEYS {
        if let Some(place) = section.key_place(key) {
            let message = format!("`{key}` in [store] is for etcd, but the store is embedded");
            let mut finding = ConfigError::at(place, message).help(format!(
                "remove `{key}` to use the store in this host, or remove `embedded` to use etcd"
            ));
            if let Some(embedded) = section.key_place("embedded") {
                finding = finding.note(embedded, "embedded here");
            }
            section.context().report(finding);
        }
    }
    let dir = section.take("dir", read::path);
    let memory = section.take("memory", read::boolean);
    let listen = section.take("listen", loopback);
    let revisions = section.take("history", |node| {
        read::integer(node, LEAST_REVISIONS, MOST_REVISIONS)
    });
    let bytes = section.take("history_size", |node| {
        read::size(node, LEAST_SIZE, MOST_SIZE)
    });
    if let (Field::Value(dir), Field::Value(memory)) = (&dir, &memory)
        && *memory.get_ref()
    {
        section.context().report(
            ConfigError::at(dir.span(), "`dir` in [store] has no use: `memory` is true")
                .note(memory.span(), "nothing is kept")
                .help("remove `memory` to keep the data, or remove `dir`"),
        );
    }
    let in_memory = memory.or_default(false)?;
    let dir = dir.optional().ok()?;
    let listen = listen.optional().ok()?;
    let history = History {
        revisions: revisions.optional().ok()?,
        bytes: bytes.optional().ok()?,
    };
    let place = if in_memory {
        Embedded {
            socket: Some(in_full(data_dir?).join(SOCKET)),
            ..Embedded::in_memory()
        }
    } else {
        Embedded::in_directory(&match dir {
            Some(dir) => dir,
            None => default_dir(data_dir?),
        })
    };
    Some(Embedded {
        listen,
        history,
        ..place
    })
}

/// Reports the keys of an embedded store in a table without one.
pub(super) fn refuse_keys(section: &Section<'_>) {
    for key in EMBEDDED_KEYS {
        if let Some(place) = section.key_place(key) {
            let message =
                format!("`{key}` in [store] is for the embedded store, and `embedded` is not true");
            let finding = ConfigError::at(place, message)
                .help(format!("add `embedded = true`, or remove `{key}`"));
            section.context().report(finding);
        }
    }
}

/// An address that only this machine can reach.
fn loopback(node: &Node<'_>) -> Option<SocketAddr> {
    let text = read::text(node)?;
    match parse_loopback(&text) {
        Ok(address) => Some(address),
        Err(LoopbackError::NoAddress) => node.reject(
            "is not an address with a port",
            "write it as in \"127.0.0.1:2379\"",
        ),
        Err(LoopbackError::Reachable) => {
            let message = format!("{} can be reached by other machines", node.name());
            node.context().report(
                ConfigError::at(node.span(), message)
                    .help("the embedded store has no users and no encryption: write a loopback address, as in \"127.0.0.1:2379\"")
                    .help("for hosts on several machines, use etcd and its `endpoints`"),
            );
            None
        }
    }
}

/// Error parsing an address for the embedded store to listen on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LoopbackError {
    /// The text is not an address with a port.
    NoAddress,
    /// Other machines could reach it.
    Reachable,
}

/// Reads a loopback address with its port, such as `127.0.0.1:2379`; port 0 selects a free one.
pub fn parse_loopback(text: &str) -> Result<SocketAddr, LoopbackError> {
    let bare = text.strip_prefix("http://").unwrap_or(text);
    let named = match bare.strip_prefix("localhost:") {
        Some(port) => format!("127.0.0.1:{port}"),
        None => bare.to_owned(),
    };
    let address: SocketAddr = named.parse().map_err(|_| LoopbackError::NoAddress)?;
    if address.ip().is_loopback() {
        Ok(address)
    } else {
        Err(LoopbackError::Reachable)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_loopback_addresses_are_listened_on() {
        for (text, address) in [
            ("127.0.0.1:2379", "127.0.0.1:2379"),
            ("localhost:0", "127.0.0.1:0"),
            ("http://127.0.0.1:1", "127.0.0.1:1"),
            ("[::1]:5", "[::1]:5"),
        ] {
            let parsed = parse_loopback(text).map(|address| address.to_string());
            assert_eq!(parsed, Ok(address.to_owned()), "{text}");
        }
        for text in ["0.0.0.0:1", "10.0.0.1:1", "[::]:1"] {
            assert_eq!(
                parse_loopback(text),
                Err(LoopbackError::Reachable),
                "{text}"
            );
        }
        for text in [
            "",
            "2379",
            "127.0.0.1",
            "::1:5",
            "unix:///s",
            "etcd:1",
            "localhost:x",
        ] {
            assert_eq!(
                parse_loopback(text),
                Err(LoopbackError::NoAddress),
                "{text}"
            );
        }
    }
}
