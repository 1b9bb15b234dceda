//! [`HttpUrl`]: the parts of an address that requests are sent to.

/// Longest address, in bytes.
const LONGEST: usize = 2048;

/// The parts of an address with `http://` or `https://`. The authority has no user, and is not judged further.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct HttpUrl<'a> {
    pub(super) is_secure: bool,
    /// Host and port, as written.
    pub(super) authority: &'a str,
    /// Path and query: empty, or from the first `/` or `?` on.
    pub(super) target: &'a str,
}

impl<'a> HttpUrl<'a> {
    /// Splits an address; the error is a remedy. `example` and `schemes` are those for another form and scheme.
    pub(super) fn split(
        text: &'a str,
        example: &'static str,
        schemes: &'static str,
    ) -> Result<Self, &'static str> {
        let (scheme, rest) = text.split_once("://").ok_or(example)?;
        let is_secure = scheme.eq_ignore_ascii_case("https");
        if !is_secure && !scheme.eq_ignore_ascii_case("http") {
            return Err(schemes);
        }
        if text.len() > LONGEST {
            return Err("write an address of at most 2048 bytes");
        }
        if !rest.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err("encode blanks and special characters, as in %20");
        }
        if rest.contains('#') {
            return Err("remove the part from `#` on: it is not sent");
        }
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, target) = rest.split_at(end);
        if authority.contains('@') {
            return Err(
                "remove the part before `@`, and write an Authorization header into `headers_file`",
            );
        }
        Ok(Self {
            is_secure,
            authority,
            target,
        })
    }

    /// Returns the address of the server, with `port` where none is written.
    pub(super) fn server(&self, port: &str) -> String {
        let scheme = if self.is_secure { "https" } else { "http" };
        let port = if self.has_port() { "" } else { port };
        format!("{scheme}://{}{port}", self.authority)
    }

    /// True if a port is written. An IPv6 address is in brackets.
    pub(super) fn has_port(&self) -> bool {
        let host = self.authority.rsplit(']').next().unwrap_or_default();
        host.contains(':')
    }
}
