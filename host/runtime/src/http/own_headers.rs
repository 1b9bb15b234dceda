//! Headers that only the host sets: those that a guest may not send, and those of the fencing token. The host also names
//! the run's trace, where the guest does not.

use http::{HeaderMap, HeaderName, HeaderValue};
use wasmtime_wasi_http::DEFAULT_FORBIDDEN_HEADERS;

/// Returns true for a header of the host, also in a spelling that a server may treat as the same.
pub(super) fn is_ours(tokens: &[HeaderName], name: &HeaderName) -> bool {
    let is_like = |ours: &HeaderName| fold_alike(ours.as_str(), name.as_str());
    DEFAULT_FORBIDDEN_HEADERS.iter().any(is_like) || tokens.iter().any(is_like)
}

/// Removes every header that only the host sets.
pub(super) fn remove_ours(headers: &mut HeaderMap, tokens: &[HeaderName]) {
    let ours = headers.keys().filter(|name| is_ours(tokens, name));
    for name in ours.cloned().collect::<Vec<_>>() {
        headers.remove(name);
    }
}

/// Adds the header of the run's trace, unless the request has one.
pub(super) fn name_trace(headers: &mut HeaderMap, traceparent: Option<&HeaderValue>) {
    const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
    if let Some(traceparent) = traceparent
        && !headers.contains_key(TRACEPARENT)
    {
        headers.insert(TRACEPARENT, traceparent.clone());
    }
}

/// Returns true if two names become one variable where CGI, WSGI or PHP turn headers into variables. Letters and
/// digits are kept there, and every other byte becomes `_`.
fn fold_alike(one: &str, other: &str) -> bool {
    let fold = |byte: u8| {
        if byte.is_ascii_alphanumeric() {
            byte
        } else {
            b'_'
        }
    };
    one.len() == other.len() && one.bytes().map(fold).eq(other.bytes().map(fold))
}
