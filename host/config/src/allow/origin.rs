//! Origins: scheme, host and port, in a normal form, so that equal origins are equal values.
//!
//! Hosts that a resolver would read in ways of its own (`127.1`, `0x7f.1`, a dot at the end) are
//! refused, in configurations and requests alike. An error never repeats the text that it refuses,
//! which may hold a password.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The longest name that DNS can carry, in bytes.
const LONGEST_HOST: usize = 253;
/// The longest part of a name, in bytes.
const LONGEST_LABEL: usize = 63;

/// Destination of requests: `https://api.example.com`, `http://127.0.0.1:8080`.
///
/// `Display` gives the form above; the scheme's default port is left out.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Origin {
    secure: bool,
    host: String,
    port: u16,
}

/// Error parsing an origin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OriginError {
    /// The scheme is neither http nor https.
    #[error("the scheme must be http:// or https://")]
    Scheme,
    /// The text has a user, and perhaps a password.
    #[error("a user before `@` is not taken: give credentials as a secret")]
    User,
    /// The text has a path after the port.
    #[error("an origin ends after the host or its port: paths are not told apart")]
    Path,
    /// The text has a `*`.
    #[error("a wildcard is not taken: name each host")]
    Wildcard,
    /// The host is neither a name nor an address.
    #[error(
        "the host must be a name of letters, digits, `-` and `_`, or an address such as 127.0.0.1 or [::1]"
    )]
    Host,
    /// The host is a number or a short form of an address, or ends with a dot.
    #[error(
        "an address has its full form, as in 127.0.0.1 or [::1], and a name does not end with a dot"
    )]
    Form,
    /// The port is missing or out of range.
    #[error("the port must be a number from 1 to 65535")]
    Port,
}

impl Origin {
    /// Reads an origin; one `/` at its end is accepted.
    ///
    /// # Errors
    ///
    /// The fault, in a sentence that does not repeat the text.
    pub fn parse(text: &str) -> Result<Self, OriginError> {
        let (scheme, rest) = text.split_once("://").ok_or(OriginError::Scheme)?;
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        if rest.contains(['/', '?', '#', '\\']) {
            return Err(OriginError::Path);
        }
        Self::of(&scheme.to_ascii_lowercase(), rest)
    }

    /// Builds the origin of a request from its scheme, in lower case, and its authority.
    ///
    /// # Errors
    ///
    /// As [`Origin::parse`].
    pub fn of(scheme: &str, authority: &str) -> Result<Self, OriginError> {
        let secure = match scheme {
            "http" => false,
            "https" => true,
            _ => return Err(OriginError::Scheme),
        };
        if authority.contains('@') {
            return Err(OriginError::User);
        }
        if authority.contains('*') {
            return Err(OriginError::Wildcard);
        }
        let (host, port) = match authority.rfind(']') {
            Some(end) => match &authority[end + 1..] {
                "" => (authority, None),
                rest => (
                    &authority[..=end],
                    Some(rest.strip_prefix(':').ok_or(OriginError::Host)?),
                ),
            },
            None => match authority.split_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (authority, None),
            },
        };
        let port = match port {
            Some(digits) => parse_port(digits)?,
            None => own_port(secure),
        };
        let host = parse_host(host)?;
        Ok(Self { secure, host, port })
    }

    /// Returns true if the connection is encrypted.
    pub const fn is_secure(&self) -> bool {
        self.secure
    }

    /// A name in lower case, or an address without brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The TCP port.
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// The address, if the host is one.
    pub fn address(&self) -> Option<IpAddr> {
        self.host.parse().ok()
    }

    /// Host and port as a request's `Host` header names them.
    pub fn authority(&self) -> String {
        let host = if self.host.contains(':') {
            format!("[{}]", self.host)
        } else {
            self.host.clone()
        };
        if self.port == own_port(self.secure) {
            host
        } else {
            format!("{host}:{}", self.port)
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.secure { "https" } else { "http" };
        write!(f, "{scheme}://{}", self.authority())
    }
}

const fn own_port(secure: bool) -> u16 {
    if secure { 443 } else { 80 }
}

fn parse_port(digits: &str) -> Result<u16, OriginError> {
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return Err(OriginError::Port);
    }
    match digits.parse() {
        Ok(port) if port > 0 => Ok(port),
        _ => Err(OriginError::Port),
    }
}

fn parse_host(text: &str) -> Result<String, OriginError> {
    if let Some(inner) = text.strip_prefix('[').and_then(|t| t.strip_suffix(']')) {
        let address: Ipv6Addr = inner.parse().map_err(|_| OriginError::Host)?;
        // An IPv4 address has one normal form, its own.
        return match address.to_ipv4_mapped() {
            Some(_) => Err(OriginError::Form),
            None => Ok(address.to_string()),
        };
    }
    let host = text.to_ascii_lowercase();
    if host.ends_with('.') {
        return Err(OriginError::Form);
    }
    let label = |label: &str| {
        !label.is_empty()
            && label.len() <= LONGEST_LABEL
            && label
                .bytes()
                .all(|c| c.is_ascii_alphanumeric() || matches!(c, b'-' | b'_'))
    };
    if host.len() > LONGEST_HOST || !host.split('.').all(label) {
        return Err(OriginError::Host);
    }
    // No top-level domain begins with a digit, but every short form of an address does.
    let last = host.rsplit('.').next().unwrap_or_default();
    if last.starts_with(|c: char| c.is_ascii_digit()) && host.parse::<Ipv4Addr>().is_err() {
        return Err(OriginError::Form);
    }
    Ok(host)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_come_out_in_one_form() {
        for (text, form) in [
            ("https://api.example.com", "https://api.example.com"),
            ("HTTPS://API.Example.com:443/", "https://api.example.com"),
            ("http://api.example.com:80", "http://api.example.com"),
            ("https://api.example.com:80", "https://api.example.com:80"),
            ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
            ("http://[::1]:8080", "http://[::1]:8080"),
            ("http://[0:0:0:0:0:0:0:1]", "http://[::1]"),
            (
                "https://xn--bcher-kva.example",
                "https://xn--bcher-kva.example",
            ),
            ("http://localhost:1", "http://localhost:1"),
            ("http://a-b_c.d1", "http://a-b_c.d1"),
        ] {
            assert_eq!(Origin::parse(text).unwrap().to_string(), form);
            assert_eq!(Origin::parse(form).unwrap().to_string(), form);
        }
    }

    #[test]
    fn what_two_readers_could_take_for_two_hosts_is_no_origin() {
        use OriginError as E;
        for (text, error) in [
            ("api.example.com", E::Scheme),
            ("ftp://api.example.com", E::Scheme),
            ("https://me:pw@api.example.com", E::User),
            ("https://api.example.com@evil.example", E::User),
            ("https://api.example.com/path", E::Path),
            ("https://api.example.com\\@evil.example", E::Path),
            ("https://api.example.com?x", E::Path),
            ("https://api.example.com#x", E::Path),
            ("https://*.example.com", E::Wildcard),
            ("https://", E::Host),
            ("https://:443", E::Host),
            ("https://a..b", E::Host),
            ("https://a b", E::Host),
            ("https://bücher.example", E::Host),
            ("https://a%2eb", E::Host),
            ("https://[::1", E::Port),
            ("https://[::1]x", E::Host),
            ("https://[fe80::1%25eth0]", E::Host),
            ("https://::1", E::Port),
            ("https://api.example.com.", E::Form),
            ("http://2130706433", E::Form),
            ("http://0x7f000001", E::Form),
            ("http://0x7f.1", E::Form),
            ("http://127.1", E::Form),
            ("http://0177.0.0.1", E::Form),
            ("http://127.0.0.0x1", E::Form),
            ("http://127.0.0.1.", E::Form),
            ("http://[::ffff:127.0.0.1]", E::Form),
            ("http://a:0", E::Port),
            ("http://a:", E::Port),
            ("http://a:+80", E::Port),
            ("http://a:65536", E::Port),
            ("http://a:80:80", E::Port),
        ] {
            assert_eq!(Origin::parse(text), Err(error), "{text}");
        }
    }
}
