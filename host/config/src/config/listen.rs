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

#[cfg(test)]
mod tests {
    use std::path::Path;

    use crate::Config;

    fn parse(listen: &str) -> Result<Config, crate::Report> {
        let text = format!(
            "[host]\nid = \"web1\"\nlisten = \"{listen}\"\n[store]\nendpoints = [\"http://127.0.0.1:1\"]\n[jobs.j]\nplugin = \"x.wasm\"\n"
        );
        Config::parse(&text, Path::new("test.toml"))
    }

    #[test]
    fn address_is_kept_with_its_line() {
        for (text, address) in [
            ("127.0.0.1:9184", "127.0.0.1:9184"),
            ("localhost:0", "127.0.0.1:0"),
            ("0.0.0.0:9184", "0.0.0.0:9184"),
            ("[::1]:9184", "[::1]:9184"),
        ] {
            let config = parse(text).expect(text);
            let listen = config.host().listen().expect("an address");
            assert_eq!(listen.address().to_string(), address);
            assert_eq!(listen.place(), ("test.toml", 3));
        }
    }

    #[test]
    fn text_that_is_no_address_is_refused_with_an_example() {
        for text in ["9184", "127.0.0.1", "web1:9184", ":9184", "127.0.0.1:70000"] {
            let report = parse(text).expect_err(text).to_string();
            let message = "error: `listen` in [host] is not an address with a port";
            assert!(report.starts_with(message), "{report}");
            assert!(
                report.contains("write it as in \"127.0.0.1:9184\""),
                "{report}"
            );
        }
    }
}
