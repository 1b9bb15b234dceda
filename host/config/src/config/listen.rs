//! `listen` in `[host]`: the address of metrics and health checks.

use std::net::SocketAddr;

use super::ignored_in_eq::IgnoredInEq;
use super::node::Node;
use super::read;

/// An address to listen on, and the line that sets it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListenAt {
    address: SocketAddr,
    place: IgnoredInEq<(String, usize)>,
}

impl ListenAt {
    /// The address. Port 0 selects a free one.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// The file, and the line counted from 1.
    pub fn place(&self) -> (&str, usize) {
        (&self.place.0.0, self.place.0.1)
    }
}

/// Reads an address with its port.
pub(super) fn address(node: &Node<'_>) -> Option<ListenAt> {
    let text = read::text(node)?;
    let named = match text.strip_prefix("localhost:") {
        Some(port) => format!("127.0.0.1:{port}"),
        None => text,
    };
    let Ok(address) = named.parse() else {
        return node.reject(
            "is not an address with a port",
            "write it as in \"127.0.0.1:9184\"; \"0.0.0.0:9184\" is for all addresses of this machine",
        );
    };
    let place = node.context().texts().place(&node.span());
    Some(ListenAt {
        address,
        place: IgnoredInEq((place.file.to_string(), place.line)),
    })
}
