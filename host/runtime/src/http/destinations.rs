//! Permitted destinations of a job's requests: the list of origins, and their addresses.
//!
//! Names are resolved here and nowhere else. The returned addresses are the ones connected to: no second
//! lookup happens between check and use. No connection is opened here.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use http::HeaderName;
use tokio_rustls::rustls::ClientConfig;
use wasmtime_wasi_http::Error;

use super::resolve::Resolve;
use super::tls;
use leasehold_config::allow::{Allow, Network, Origin, OriginError, not_public};
use leasehold_config::{JobSource, LimitKey, Remedy};

/// Destinations that one job may reach, and the settings of its connections.
pub(crate) struct HttpDestinations {
    origins: Vec<Origin>,
    networks: Vec<Network>,
    /// The headers that carry the fencing token.
    pub(super) tokens: Arc<[HeaderName]>,
    /// TLS settings. `None` if no origin is encrypted.
    pub(super) tls: Option<Arc<ClientConfig>>,
    resolver: Arc<dyn Resolve>,
}

/// Reason to refuse a request.
#[derive(Debug, thiserror::Error)]
pub(super) enum RequestRefusal {
    /// Its scheme and authority are not an origin.
    #[error("its address is not a plain origin: {0}")]
    Odd(OriginError),
    /// Its origin was not granted.
    #[error("it was not granted: {}", extend("http", .origin).for_source(.job))]
    NotGranted { origin: Origin, job: JobSource },
    /// One of its addresses is not public.
    #[error(
        "it leads to {address}, which is not public ({why}): if that is meant, {}",
        extend("http_networks", .address).for_source(.job)
    )]
    NotPublic {
        address: IpAddr,
        why: &'static str,
        job: JobSource,
    },
    /// Its name has no address.
    #[error("its name has no address: {0}")]
    NoAddress(String),
    /// Too many requests are open.
    #[error(
        "{most} requests are open already: finish some, or {}",
        Remedy::Raise(LimitKey::HttpRequests).for_source(.job)
    )]
    TooMany { most: u32, job: JobSource },
    /// It would turn the connection into a tunnel.
    #[error("the method CONNECT opens a tunnel, which is not offered")]
    Tunnel,
}

/// Remedy that adds a destination to a list of the job's grants.
fn extend(key: &'static str, destination: &impl fmt::Display) -> Remedy {
    Remedy::Extend {
        element: format!("\"{destination}\""),
        key,
    }
}

impl RequestRefusal {
    /// Returns the guest's error code.
    pub(super) fn code(&self) -> Error {
        match self {
            Self::Odd(_) | Self::NotGranted { .. } => Error::HttpRequestDenied,
            Self::NotPublic { .. } => Error::DestinationIpProhibited,
            Self::NoAddress(_) => Error::DnsError {
                rcode: None,
                info_code: None,
            },
            Self::TooMany { .. } => Error::ConnectionLimitReached,
            Self::Tunnel => Error::HttpRequestMethodInvalid,
        }
    }
}

impl HttpDestinations {
    /// Makes the destinations of these grants. The error names the certificates or the header that cannot be used.
    pub(crate) fn of(grants: &Allow, resolver: &Arc<dyn Resolve>) -> Result<Self, String> {
        let tls = grants
            .http
            .iter()
            .any(Origin::is_secure)
            .then(|| tls::client(grants.http_ca.as_deref()))
            .transpose()?;
        let tokens = grants.token_headers().map(|name| {
            let header: Result<HeaderName, _> = name.parse();
            header.map_err(|_| format!("`{name}` is not the name of a header"))
        });
        let tokens = tokens.collect::<Result<Vec<_>, _>>()?;
        Ok(Self {
            origins: grants.http.clone(),
            networks: grants.http_networks.clone(),
            tokens: tokens.into(),
            tls,
            resolver: resolver.clone(),
        })
    }

    /// Returns the origin of a request of `job`, if it is on the list.
    pub(super) fn origin(
        &self,
        uri: &http::Uri,
        job: &JobSource,
    ) -> Result<Origin, RequestRefusal> {
        let scheme = uri.scheme_str().unwrap_or_default();
        let authority = uri.authority().map_or("", |authority| authority.as_str());
        let origin = Origin::of(scheme, authority).map_err(RequestRefusal::Odd)?;
        if self.origins.contains(&origin) {
            return Ok(origin);
        }
        Err(RequestRefusal::NotGranted {
            origin,
            job: job.clone(),
        })
    }

    /// Returns the addresses of `origin`, each of which may be reached.
    ///
    /// If any address is not permitted, all are refused: a DNS rebinding attack begins with a name that has
    /// one public and one private address. An origin that is an address was granted as such.
    pub(super) async fn addresses(
        &self,
        origin: &Origin,
        job: &JobSource,
    ) -> Result<Vec<SocketAddr>, RequestRefusal> {
        if let Some(address) = origin.address() {
            return Ok(vec![SocketAddr::new(address, origin.port())]);
        }
        let found = self.resolver.resolve(origin.host()).await;
        let found = found.map_err(|error| RequestRefusal::NoAddress(error.to_string()))?;
        let mut addresses = Vec::new();
        for address in found {
            let address = address.to_canonical();
            if let Some(why) = not_public(address)
                && !self.networks.iter().any(|net| net.contains(address))
            {
                return Err(RequestRefusal::NotPublic {
                    address,
                    why,
                    job: job.clone(),
                });
            }
            addresses.push(SocketAddr::new(address, origin.port()));
        }
        if addresses.is_empty() {
            return Err(RequestRefusal::NoAddress("none was found".to_owned()));
        }
        Ok(addresses)
    }
}
