//! `[otlp]`: traces of runs, and the collector that gets them.

use std::path::{Path, PathBuf};
use std::time::Duration;

use leasehold_diagnostics::{ConfigError, shown};
use toml::de::DeValue;

use super::endpoint::{Address, Endpoint};
use super::file_claim::FileKind;
use super::files;
use super::http_url::HttpUrl;
use super::node::Node;
use super::read;
use super::schema;
use super::section::{InvalidField, Section};

/// Bounds of the time for one request.
const TIMEOUTS: (Duration, Duration) = (Duration::from_secs(1), Duration::from_mins(1));
/// Time for one request, unless set.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Path of requests over HTTP, unless the address has one.
const TRACES_PATH: &str = "/v1/traces";

/// Form in which traces are sent. Both carry protobuf.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OtlpProtocol {
    /// OTLP over gRPC: `"grpc"`.
    Grpc,
    /// OTLP over HTTP/1.1: `"http"`.
    Http,
}

impl OtlpProtocol {
    const ALL: [Self; 2] = [Self::Grpc, Self::Http];

    /// Returns the word, as in the configuration.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Grpc => "grpc",
            Self::Http => "http",
        }
    }
}

/// The collector of traces, and the part of all runs that is traced.
#[derive(Clone, Debug, PartialEq)]
pub struct Otlp {
    endpoint: Endpoint,
    target: String,
    protocol: OtlpProtocol,
    ratio: f64,
    headers_file: Option<PathBuf>,
    ca: Option<PathBuf>,
    timeout: Duration,
}

/// The ratio is a number, never NaN.
impl Eq for Otlp {}

impl Otlp {
    /// The collector.
    pub const fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// Path and query of requests over HTTP. Default `/v1/traces`.
    pub fn target(&self) -> &str {
        &self.target
    }

    /// The form in which traces are sent. Default gRPC, for an address with a path HTTP.
    pub const fn protocol(&self) -> OtlpProtocol {
        self.protocol
    }

    /// The part of all runs that is traced, from 0 to 1. Default 1.
    pub const fn ratio(&self) -> f64 {
        self.ratio
    }

    /// A file with further headers of the requests.
    pub fn headers_file(&self) -> Option<&Path> {
        self.headers_file.as_deref()
    }

    /// Certificates that are trusted. Default: those of this machine.
    pub fn ca(&self) -> Option<&Path> {
        self.ca.as_deref()
    }

    /// Time for one request. Default 10 s, from 1 s to 1 min.
    pub const fn timeout(&self) -> Duration {
        self.timeout
    }
}

/// An address as the file has it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct CollectorUrl {
    endpoint: Endpoint,
    /// Path and query; empty if there are none.
    target: String,
}

/// Reads `[otlp]`, if it is there.
pub(super) fn read(root: &Section<'_>) -> Result<Option<Otlp>, InvalidField> {
    let section = root.table("otlp", "otlp", schema::OTLP);
    let url = section.require(
        "endpoint",
        "add `endpoint = \"http://127.0.0.1:4317\"`, or remove the table to send no traces",
        url,
    );
    let protocol = section.take("protocol", protocol);
    let ratio = section.take("ratio", fraction);
    let headers_file = section.take("headers_file", |node| {
        files::claimed(node, FileKind::Headers)
    });
    let ca = section.take("ca", |node| files::claimed(node, FileKind::Authority));
    let timeout = section.take("timeout", |node| {
        read::duration(node, TIMEOUTS.0, TIMEOUTS.1)
    });
    let plaintext = section.take("allow_plaintext", read::boolean);
    let protocol = protocol.optional()?;
    let allow_plaintext = plaintext.or_default(false);
    let fits = url.as_ref().is_none_or(|url| {
        // After an invalid value, an unencrypted address cannot be judged yet.
        judge_transport(&section, url, allow_plaintext != Some(false))
            & judge_target(&section, url.get_ref(), protocol)
    });
    let (ratio, ca) = (ratio.or_default(1.0), ca.optional());
    let (headers_file, timeout) = (headers_file.optional(), timeout.or_default(TIMEOUT));
    if section.is_absent() {
        return Ok(None);
    }
    let url = url.filter(|_| fits && allow_plaintext.is_some());
    let url = url.ok_or(InvalidField)?.into_inner();
    let (protocol, target) = settle(protocol, url.target);
    Ok(Some(Otlp {
        endpoint: url.endpoint,
        target,
        protocol,
        ratio: ratio.ok_or(InvalidField)?,
        headers_file: headers_file?,
        ca: ca?,
        timeout: timeout.ok_or(InvalidField)?,
    }))
}

/// Returns the protocol and the path of requests.
fn settle(protocol: Option<OtlpProtocol>, target: String) -> (OtlpProtocol, String) {
    match (protocol, target.is_empty()) {
        (Some(protocol), true) => (protocol, TRACES_PATH.to_owned()),
        (None, true) => (OtlpProtocol::Grpc, TRACES_PATH.to_owned()),
        (_, false) => (OtlpProtocol::Http, target),
    }
}

/// Reports an address without encryption to another machine, and a certificate file without encryption.
fn judge_transport(
    section: &Section<'_>,
    url: &toml::Spanned<CollectorUrl>,
    may_be_plain: bool,
) -> bool {
    let endpoint = &url.get_ref().endpoint;
    if endpoint.is_secure() {
        return true;
    }
    if let Some(place) = section.key_place("ca") {
        let message = format!("`ca` in [otlp] is for https://, but `{endpoint}` is not encrypted");
        let finding = ConfigError::at(place, message);
        section
            .context()
            .report(finding.help("write https:// in `endpoint`, or remove `ca`"));
        return false;
    }
    if endpoint.is_loopback() || may_be_plain {
        return true;
    }
    let message = format!("`{endpoint}` is another machine and the connection is not encrypted");
    section.context().report(
        ConfigError::at(url.span(), message)
            .help("write https://, with `ca = \"ca.pem\"` in [otlp] for certificates of your own")
            .help("or set `allow_plaintext = true` in [otlp]: names and errors of jobs then travel openly"),
    );
    false
}

/// Reports a path in an address for gRPC.
fn judge_target(section: &Section<'_>, url: &CollectorUrl, protocol: Option<OtlpProtocol>) -> bool {
    let is_grpc = protocol == Some(OtlpProtocol::Grpc);
    if let (true, false, Some(place)) = (
        is_grpc,
        url.target.is_empty(),
        section.key_place("protocol"),
    ) {
        let message = "`protocol` in [otlp] is \"grpc\", but `endpoint` has a path";
        section.context().report(
            ConfigError::at(place, message)
                .help("end the address after the port, or write \"http\""),
        );
        return false;
    }
    true
}

fn protocol(node: &Node<'_>) -> Option<OtlpProtocol> {
    let word = read::text(node)?;
    let mut all = OtlpProtocol::ALL.into_iter();
    all.find(|one| one.as_str() == word).or_else(|| {
        node.reject(
            &format!("is not a protocol: \"{}\"", shown(&word)),
            "write \"grpc\", or \"http\" for protobuf over HTTP/1.1",
        )
    })
}

/// Reads a number from 0 to 1.
fn fraction(node: &Node<'_>) -> Option<f64> {
    let number: Option<f64> = match node.value() {
        DeValue::Float(number) => number.as_str().parse().ok(),
        DeValue::Integer(number) => number.as_str().parse().ok(),
        _ => return node.wrong_kind("a number", "0.1"),
    };
    let number = number.filter(|number| (0.0..=1.0).contains(number));
    number.or_else(|| {
        node.reject(
            "is out of range",
            "write a number from 0.0 (no run) to 1.0 (every run)",
        )
    })
}

fn url(node: &Node<'_>) -> Option<CollectorUrl> {
    let text = read::words(node)?;
    match parse_url(&text) {
        Ok(url) => Some(url),
        Err(remedy) => node.reject("is not the address of a collector", remedy),
    }
}

/// Parses `http://host:port` or `https://host:port/path`; the error is a remedy.
fn parse_url(text: &str) -> Result<CollectorUrl, &'static str> {
    let example = "write it as in \"http://127.0.0.1:4317\"";
    let url = HttpUrl::split(text, example, "only http:// and https:// are known")?;
    if !url.has_port() {
        return Err(
            "add the port: collectors take gRPC at 4317 and HTTP at 4318, hosted ones mostly both at 443",
        );
    }
    let address = Address::parse(&url.server("")).map_err(|_| example)?;
    Ok(CollectorUrl {
        endpoint: address.settle(false),
        target: match url.target {
            "" | "/" => String::new(),
            path if path.starts_with('/') => path.to_owned(),
            query => format!("/{query}"),
        },
    })
}

#[cfg(test)]
mod tests;
