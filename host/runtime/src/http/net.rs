//! Where a job's requests may go: the list of origins, and the addresses behind them.
//!
//! A name is resolved here and nowhere else, and what is returned is what is connected to: between the
//! check and the use there is no second question. This file must never open a connection.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use http::HeaderName;
use tokio_rustls::rustls::ClientConfig;
use wasmtime_wasi_http::Error;

use super::resolve::Resolve;
use super::tls;
use leasehold_config::allow::{Allow, Network, Origin, OriginError, not_public};

/// What one job may reach, and how.
pub(crate) struct Net {
    origins: Vec<Origin>,
    networks: Vec<Network>,
    /// The headers that carry the fencing token.
    pub(super) tokens: Arc<[HeaderName]>,
    /// There when an origin is encrypted.
    pub(super) tls: Option<Arc<ClientConfig>>,
    resolver: Arc<dyn Resolve>,
}

/// Why a request does not leave.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refusal {
    /// Its scheme and authority are no origin.
    #[error("its address is no plain origin: {0}")]
    Odd(OriginError),
    /// Nobody granted its origin.
    #[error("it was not granted: add \"{origin}\" to `http` in [jobs.{job}.allow]")]
    NotGranted { origin: Origin, job: String },
    /// One of its addresses is not public.
    #[error(
        "it leads to {address}, which is not public ({why}): if that is meant, add \"{address}\" to `http_networks` in [jobs.{job}.allow]"
    )]
    NotPublic {
        address: IpAddr,
        why: &'static str,
        job: String,
    },
    /// It has no address.
    #[error("its name has no address: {0}")]
    NoAddress(String),
    /// Too many are open.
    #[error(
        "{most} requests are open already: finish some, or raise `http_requests` in [jobs.{job}.limits]"
    )]
    TooMany { most: u32, job: String },
    /// It would turn the connection into a tunnel.
    #[error("the method CONNECT opens a tunnel, which is not offered")]
    Tunnel,
}

impl Refusal {
    /// What the guest is told.
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

impl Net {
    /// What these grants come to; the error says which certificates cannot be used.
    pub(crate) fn of(grants: &Allow, resolver: &Arc<dyn Resolve>) -> Result<Self, String> {
        let tls = grants
            .http
            .iter()
            .any(Origin::is_secure)
            .then(|| tls::client(grants.http_ca.as_deref()))
            .transpose()?;
        let tokens = grants.token_headers().map(|name| {
            let header: Result<HeaderName, _> = name.parse();
            header.map_err(|_| format!("`{name}` names no header"))
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

    /// The origin of a request of `job`, if it is on the list.
    pub(super) fn origin(&self, uri: &http::Uri, job: &str) -> Result<Origin, Refusal> {
        let scheme = uri.scheme_str().unwrap_or_default();
        let authority = uri.authority().map_or("", |authority| authority.as_str());
        let origin = Origin::of(scheme, authority).map_err(Refusal::Odd)?;
        if self.origins.contains(&origin) {
            return Ok(origin);
        }
        Err(Refusal::NotGranted {
            origin,
            job: job.to_owned(),
        })
    }

    /// The addresses of `origin`, each of which may be reached.
    ///
    /// All must be: a name with one address outside and one inside is how a rebinding begins. An origin
    /// that is an address was granted as such.
    pub(super) async fn addresses(
        &self,
        origin: &Origin,
        job: &str,
    ) -> Result<Vec<SocketAddr>, Refusal> {
        if let Some(address) = origin.address() {
            return Ok(vec![SocketAddr::new(address, origin.port())]);
        }
        let found = self.resolver.resolve(origin.host()).await;
        let found = found.map_err(|error| Refusal::NoAddress(error.to_string()))?;
        let mut addresses = Vec::new();
        for address in found {
            let address = address.to_canonical();
            if let Some(why) = not_public(address)
                && !self.networks.iter().any(|net| net.contains(address))
            {
                return Err(Refusal::NotPublic {
                    address,
                    why,
                    job: job.to_owned(),
                });
            }
            addresses.push(SocketAddr::new(address, origin.port()));
        }
        if addresses.is_empty() {
            return Err(Refusal::NoAddress("none was found".to_owned()));
        }
        Ok(addresses)
    }
}
