//! Answers: from the path of a request to its response.

use std::fmt::Write as _;

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{ACCEPT, ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};

use crate::metrics::{TextFormat, render};
use crate::status::ProcessStatus;
use crate::telemetry::Telemetry;

const TEXT: &str = "text/plain; charset=utf-8";
const PATHS: &str = "/metrics\n/livez\n/readyz\n/readyz?verbose\n/status\n";

/// Content of a response.
struct Answer {
    status: StatusCode,
    content_type: &'static str,
    body: Bytes,
}

impl Answer {
    fn text(status: StatusCode, body: impl Into<Bytes>) -> Self {
        Self {
            status,
            content_type: TEXT,
            body: body.into(),
        }
    }
}

/// Answers one request. Its body is not read.
pub(super) fn answer<B>(telemetry: &Telemetry, request: &Request<B>) -> Response<Full<Bytes>> {
    let is_read = matches!(*request.method(), Method::GET | Method::HEAD);
    let answer = if is_read {
        answer_path(telemetry, request)
    } else {
        let body = "only GET and HEAD are answered here\n";
        Answer::text(StatusCode::METHOD_NOT_ALLOWED, body)
    };
    let mut response = Response::new(Full::new(answer.body));
    *response.status_mut() = answer.status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(answer.content_type));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if !is_read {
        headers.insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
    }
    response
}

fn answer_path<B>(telemetry: &Telemetry, request: &Request<B>) -> Answer {
    let uri = request.uri();
    let is_verbose = uri
        .query()
        .is_some_and(|query| query.split('&').any(|part| part.starts_with("verbose")));
    match uri.path() {
        "/metrics" => {
            let accept = request.headers().get(ACCEPT);
            let accept = accept.and_then(|value| value.to_str().ok()).unwrap_or("");
            answer_metrics(telemetry, TextFormat::accepted_by(accept))
        }
        "/livez" => answer_live(telemetry),
        "/readyz" => answer_ready(telemetry, is_verbose),
        "/status" => answer_status(telemetry),
        "/" => Answer::text(StatusCode::OK, PATHS),
        _ => Answer::text(
            StatusCode::NOT_FOUND,
            format!("there is nothing here; the paths are:\n{PATHS}"),
        ),
    }
}

fn answer_metrics(telemetry: &Telemetry, format: TextFormat) -> Answer {
    match render(telemetry, format) {
        Ok(body) => Answer {
            status: StatusCode::OK,
            content_type: format.content_type(),
            body,
        },
        Err(error) => broken(&error),
    }
}

fn answer_live(telemetry: &Telemetry) -> Answer {
    match telemetry.0.stuck_for() {
        None => Answer::text(StatusCode::OK, "ok\n"),
        Some(silent) => Answer::text(
            StatusCode::SERVICE_UNAVAILABLE,
            format!(
                "the process makes no progress since {} s: all of its workers are blocked\n",
                silent.as_secs()
            ),
        ),
    }
}

/// Lists the failing checks, or all of them. With several hosts in the process, each line names its host.
fn answer_ready(telemetry: &Telemetry, is_verbose: bool) -> Answer {
    let status = ProcessStatus::take(telemetry);
    let mut body = String::new();
    for host in &status.hosts {
        for check in &host.checks {
            if check.ok && !is_verbose {
                continue;
            }
            let mark = if check.ok { '+' } else { '-' };
            let fault = check.fault.as_deref().unwrap_or("ok");
            let _ = writeln!(body, "[{mark}] {} {}: {fault}", host.host, check.name);
        }
    }
    if status.hosts.is_empty() {
        body.push_str("[-] no host has started yet\n");
    }
    match (status.ready, is_verbose) {
        (true, false) => Answer::text(StatusCode::OK, "ok\n"),
        (true, true) => Answer::text(StatusCode::OK, body + "ready\n"),
        (false, _) => Answer::text(StatusCode::SERVICE_UNAVAILABLE, body + "not ready\n"),
    }
}

fn answer_status(telemetry: &Telemetry) -> Answer {
    match serde_json::to_vec(&ProcessStatus::take(telemetry)) {
        Ok(body) => Answer {
            status: StatusCode::OK,
            content_type: "application/json",
            body: body.into(),
        },
        Err(error) => broken(&error),
    }
}

fn broken(error: &dyn std::error::Error) -> Answer {
    let body = format!("internal error: {error}\n");
    Answer::text(StatusCode::INTERNAL_SERVER_ERROR, body)
}
