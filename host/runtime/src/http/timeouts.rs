//! Time limits of one request.

use std::time::Duration;

use wasmtime_wasi_http::RequestOptions;

/// Time limits of the parts of a request.
pub(super) struct RequestTimeouts {
    pub(super) connect: Duration,
    pub(super) first_byte: Duration,
    pub(super) between_bytes: Duration,
}

impl RequestTimeouts {
    /// Takes the guest's time limits, capped at `most`. The run's own end is up to the leash.
    pub(super) fn of(options: Option<RequestOptions>, most: Duration) -> Self {
        let options = options.unwrap_or_default();
        let within = |asked: Option<Duration>| asked.map_or(most, |asked| asked.min(most));
        Self {
            connect: within(options.connect_timeout),
            first_byte: within(options.first_byte_timeout),
            between_bytes: within(options.between_bytes_timeout),
        }
    }
}
