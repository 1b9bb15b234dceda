//! One address of the store.
//!
//! Text in, parts out. This file must never repeat an address it refused: it may hold a password.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The longest name that DNS can carry, in bytes.
const LONGEST_HOST: usize = 253;

/// An address of the store: scheme, host and port, all explicit.
///
/// `Display` gives the URL, such as `http://127.0.0.1:2379`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    secure: bool,
    host: String,
    port: u16,
}

/// How the file spelled an address before it is known whether TLS is on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Address {
    /// `Some(true)` for `https://`, `Some(false)` for `http://`.
    pub(super) secure: Option<bool>,
    host: String,
    port: u16,
}

impl Endpoint {
    /// Whether the connection is encrypted.
    pub const fn is_secure(&self) -> bool {
        self.secure
    }

    /// A name or an address, without brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The TCP port.
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// Whether packets to it stay on this machine.
    pub fn is_loopback(&self) -> bool {
        self.host == "localhost"
            || self
                .host
                .parse::<IpAddr>()
                .is_ok_and(|address| address.is_loopback())
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.secure { "https" } else { "http" };
        if self.host.contains(':') {
            write!(f, "{scheme}://[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{scheme}://{}:{}", self.host, self.port)
        }
    }
}

impl Address {
    /// Reads `http://host:port`, `https://host:port` or `host:port`; the error is a remedy.
    pub(super) fn parse(text: &str) -> Result<Self, &'static str> {
        let (secure, rest) = match text.split_once("://") {
            None => (None, text),
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("http") => (Some(false), rest),
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("https") => (Some(true), rest),
            Some(_) => return Err("only http:// and https:// are known"),
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
        // The port first: what it says about IPv6 explains the host, too.
        let port = parse_port(port.filter(|port| !port.is_empty()).ok_or(no_port)?)?;
        let host = parse_host(host)?;
        Ok(Self { secure, host, port })
    }

    /// The address with its scheme settled.
    pub(super) fn settle(self, tls: bool) -> Endpoint {
        Endpoint {
            secure: self.secure.unwrap_or(tls),
            host: self.host,
            port: self.port,
        }
    }
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
    // Resolvers read 127.1 and 0x7f.1 in ways of their own; such a host must not slip through as a name.
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
            "unix:///run/etcd",
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
        for text in ["localhost:1", "127.0.0.1:1", "127.9.9.9:1", "[::1]:1"] {
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
