//! One address of the store.
//!
//! Text in, parts out. An error never repeats the address that it refuses, which may hold a
//! password.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::PathBuf;

/// Longest name that DNS can carry, in bytes.
const LONGEST_HOST: usize = 253;

/// An address of the store, explicit in every part.
///
/// `Display` gives the URL, such as `http://127.0.0.1:2379` or `unix:///run/leasehold/store.sock`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Endpoint {
    /// Over TCP.
    Net {
        /// True if the connection is encrypted.
        secure: bool,
        /// A name or an address, without brackets.
        host: String,
        /// The TCP port.
        port: u16,
    },
    /// A socket on this machine: its path, in full.
    Unix(PathBuf),
}

/// An address as the file spells it, before it is known if TLS is on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Address {
    /// Scheme (`Some(true)` for `https://`, `Some(false)` for `http://`), host and port.
    Net(Option<bool>, String, u16),
    /// `unix://` and a path in full.
    Unix(PathBuf),
}

impl Endpoint {
    /// Returns true if the connection is encrypted.
    pub const fn is_secure(&self) -> bool {
        matches!(self, Self::Net { secure: true, .. })
    }

    /// Returns true if it is a socket in the file system.
    pub const fn is_socket(&self) -> bool {
        matches!(self, Self::Unix(_))
    }

    /// Returns true if data sent to it stays on this machine.
    pub fn is_loopback(&self) -> bool {
        match self {
            Self::Net { host, .. } => {
                host == "localhost"
                    || host
                        .parse::<IpAddr>()
                        .is_ok_and(|address| address.is_loopback())
            }
            Self::Unix(_) => true,
        }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Net { secure, host, port } => {
                let scheme = if *secure { "https" } else { "http" };
                if host.contains(':') {
                    write!(f, "{scheme}://[{host}]:{port}")
                } else {
                    write!(f, "{scheme}://{host}:{port}")
                }
            }
            Self::Unix(path) => write!(f, "unix://{}", path.display()),
        }
    }
}

impl Address {
    /// Reads `http://host:port`, `https://host:port`, `host:port` or `unix:///path`; the error is a
    /// remedy.
    pub(super) fn parse(text: &str) -> Result<Self, &'static str> {
        let (secure, rest) = match text.split_once("://") {
            None => (None, text),
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("http") => (Some(false), rest),
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("https") => (Some(true), rest),
            Some((scheme, path)) if scheme.eq_ignore_ascii_case("unix") => return socket(path),
            Some(_) => return Err("only http://, https:// and unix:// are known"),
        };
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        if rest.contains('@') {
            return Err("name the user with `user` and `password_file` in [store], not here");
        }
        if rest.contains(['/', '?', '#']) {
            return Err("end the address after the port; a prefix for keys is `root` in [store]");
        }
        let no_port = "add the port; etcd's is 2379, as in \"http://127.0.0.1:2379\"";
        let (host, port) = match rest.rfind(']') {
            Some(end) => (&rest[..=end], rest[end + 1..].strip_prefix(':')),
            None => rest
                .split_once(':')
                .map_or((rest, None), |(h, p)| (h, Some(p))),
        };
        // The port first: its remedy about IPv6 explains the host, too.
        let port = parse_port(port.filter(|port| !port.is_empty()).ok_or(no_port)?)?;
        let host = parse_host(host)?;
        Ok(Self::Net(secure, host, port))
    }

    /// Returns the address with a definite scheme.
    pub(super) fn settle(self, tls: bool) -> Endpoint {
        match self {
            Self::Net(secure, host, port) => Endpoint::Net {
                secure: secure.unwrap_or(tls),
                host,
                port,
            },
            Self::Unix(path) => Endpoint::Unix(path),
        }
    }
}

fn socket(path: &str) -> Result<Address, &'static str> {
    if !path.starts_with('/') || path.ends_with('/') {
        return Err("write the socket's path in full, as in \"unix:///run/leasehold/store.sock\"");
    }
    if path.contains(char::is_control) {
        return Err("remove the control character");
    }
    Ok(Address::Unix(path.into()))
}

fn parse_port(text: &str) -> Result<u16, &'static str> {
    let digits = text.bytes().all(|b| b.is_ascii_digit());
    match text.parse() {
        Ok(port) if digits && port > 0 => Ok(port),
        _ if text.contains(':') => {
            Err("put an IPv6 address in brackets, as in \"http://[::1]:2379\"")
        }
        _ => Err("the port must be a number from 1 to 65535"),
    }
}

fn parse_host(text: &str) -> Result<String, &'static str> {
    if let Some(inner) = text.strip_prefix('[').and_then(|t| t.strip_suffix(']')) {
        return match inner.parse::<Ipv6Addr>() {
            Ok(address) => Ok(address.to_string()),
            Err(_) => {
                Err("what is in brackets must be an IPv6 address, as in \"http://[::1]:2379\"")
            }
        };
    }
    let host = text.to_ascii_lowercase();
    let label = |label: &str| {
        !label.is_empty()
            && label
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'))
    };
    if host.len() > LONGEST_HOST || !host.split('.').all(label) {
        return Err(
            "write it as in \"http://127.0.0.1:2379\" or \"https://etcd-1.example.com:2379\"",
        );
    }
    // Resolvers read 127.1 and 0x7f.1 in ways of their own; such a host must not be accepted as a
    // name.
    let last = host.rsplit('.').next().unwrap_or_default();
    let numeric = last.starts_with(|c: char| c.is_ascii_digit());
    let only_digits = last.chars().all(|c| c.is_ascii_digit()) || last.starts_with("0x");
    if numeric && only_digits && host.parse::<Ipv4Addr>().is_err() {
        return Err(
            "an IPv4 address has four numbers from 0 to 255, as in \"http://127.0.0.1:2379\"",
        );
    }
    Ok(host)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_come_out_with_scheme_host_and_port() {
        for (text, tls, url) in [
            ("http://127.0.0.1:2379", false, "http://127.0.0.1:2379"),
            (
                "https://Etcd-1.example.com:2379/",
                true,
                "https://etcd-1.example.com:2379",
            ),
            ("localhost:1", false, "http://localhost:1"),
            ("localhost:1", true, "https://localhost:1"),
            ("http://[::1]:65535", false, "http://[::1]:65535"),
            ("etcd_0:2379", false, "http://etcd_0:2379"),
            ("unix:///run/s.sock", false, "unix:///run/s.sock"),
            ("Unix:///run/a b", true, "unix:///run/a b"),
        ] {
            let url_of = |address: Address| address.settle(tls).to_string();
            assert_eq!(Address::parse(text).map(url_of), Ok(url.to_owned()));
        }
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for text in [
            "",
            ":",
            "http://",
            "host",
            "http://host",
            "host:",
            "host:0",
            "host:65536",
            "host:+1",
            "ftp://host:1",
            "unix://run/etcd",
            "unix:/run/etcd",
            "unix://",
            "unix:///run/",
            "unix:///run/a\nb",
            "http://me:pw@host:1",
            "http://host:1/path",
            "http://host:1?x",
            "::1:2379",
            "http://[::1]",
            "http://[x]:1",
            "http://[::1]x:1",
            "http://127.1:1",
            "http://0x7f.1:1",
            "http://2130706433:1",
            "http://256.0.0.1:1",
            "http://a b:1",
            "http://a..b:1",
            "http://é:1",
            "http://host:1:2",
            "http://]:1",
        ] {
            assert!(Address::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn only_this_machine_is_loopback() {
        let loopback = |text| Address::parse(text).map(|a| a.settle(false).is_loopback());
        for text in [
            "localhost:1",
            "127.0.0.1:1",
            "127.9.9.9:1",
            "[::1]:1",
            "unix:///s",
        ] {
            assert_eq!(loopback(text), Ok(true), "{text}");
        }
        for text in [
            "0.0.0.0:1",
            "10.0.0.1:1",
            "[::]:1",
            "localhost.example.com:1",
        ] {
            assert_eq!(loopback(text), Ok(false), "{text}");
        }
    }
}
