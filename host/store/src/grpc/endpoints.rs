//! Endpoints of the store, for the list of members.

use std::sync::{Mutex, PoisonError};

use crate::peer::ClientReach;

/// The scheme of a socket's endpoint.
const SOCKET_SCHEME: &str = "unix://";

/// The endpoints at which the store can be reached at the moment.
#[derive(Debug, Default)]
pub(crate) struct EndpointList(Mutex<Vec<String>>);

impl EndpointList {
    pub(crate) fn add(&self, endpoint: &str) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.push(endpoint.to_owned());
    }

    /// Returns the endpoints that a client can use, by how it reached the store. A socket is private to its owner: a
    /// client that came over one can use all, any other only addresses.
    pub(super) fn usable(&self, reach: Option<ClientReach>) -> Vec<String> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let usable = |endpoint: &&String| {
            reach != Some(ClientReach::Address) || !endpoint.starts_with(SOCKET_SCHEME)
        };
        all.iter().filter(usable).cloned().collect()
    }
}
