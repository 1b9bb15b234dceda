//! One request and its status, over `wasi:http`.
//!
//! Small on purpose: follows no redirect, keeps no connection and reads only the status of an answer.

use wasip2::http::outgoing_handler::handle;
use wasip2::http::types::{Fields, Method, OutgoingBody, OutgoingRequest, Scheme};

/// Most bytes of one write to a body.
const WRITE_AT_ONCE: usize = 4096;

/// The parts of an address, as `wasi:http` takes them.
#[derive(Debug)]
pub(crate) struct Url {
    scheme: Scheme,
    authority: String,
    path: String,
}

impl Url {
    /// Splits an address into its parts; the host checks each part.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (scheme, rest) = text.split_once("://")?;
        let scheme = match scheme {
            "http" => Scheme::Http,
            "https" => Scheme::Https,
            _ => return None,
        };
        let (authority, path) = match rest.find('/') {
            Some(at) => rest.split_at(at),
            None => (rest, "/"),
        };
        Some(Self {
            scheme,
            authority: authority.to_owned(),
            path: path.to_owned(),
        })
    }
}

/// Sends `body` and waits for the status of the answer; the error names the failed step.
pub(crate) fn post(url: &Url, key: Option<&str>, body: &[u8]) -> Result<u16, String> {
    let headers = Fields::new();
    let set = |name: &str, value: String| {
        headers
            .set(name, &[value.into_bytes()])
            .map_err(|error| format!("header {name}: {error}"))
    };
    set("content-type", "text/plain".to_owned())?;
    if let Some(key) = key {
        set("authorization", format!("Bearer {key}"))?;
    }
    let request = OutgoingRequest::new(headers);
    request
        .set_method(&Method::Post)
        .and_then(|()| request.set_scheme(Some(&url.scheme)))
        .and_then(|()| request.set_authority(Some(&url.authority)))
        .and_then(|()| request.set_path_with_query(Some(&url.path)))
        .map_err(|()| "the address cannot be requested".to_owned())?;
    let sending = request.body().map_err(|()| "no body".to_owned())?;
    let pending = handle(request, None).map_err(|code| format!("not sent: {code}"))?;
    {
        let stream = sending.write().map_err(|()| "no stream".to_owned())?;
        for part in body.chunks(WRITE_AT_ONCE) {
            // A refused request takes no body; its error is returned below.
            if stream.blocking_write_and_flush(part).is_err() {
                break;
            }
        }
    }
    // A refused request, as above.
    let _ = OutgoingBody::finish(sending, None);
    pending.subscribe().block();
    match pending.get() {
        Some(Ok(Ok(answer))) => Ok(answer.status()),
        Some(Ok(Err(code))) => Err(format!("no answer: {code}")),
        Some(Err(())) | None => Err("no answer".to_owned()),
    }
}
