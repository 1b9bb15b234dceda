//! [`StreamEnd`]: the end of a renewal stream, and the search for another endpoint that may cause it.

use futures_util::future::BoxFuture;

use crate::error::StoreError;

/// The end of a renewal stream.
pub(super) enum StreamEnd {
    /// The session has ended.
    SessionOver,
    /// The stream must be opened again.
    Broken(StoreError),
}

impl From<StoreError> for StreamEnd {
    fn from(error: StoreError) -> Self {
        Self::Broken(error)
    }
}

impl StreamEnd {
    /// Another endpoint has answered sooner, and the link has moved to it.
    pub(super) fn moved() -> Self {
        StoreError::Unknown("another endpoint answers sooner".into()).into()
    }
}

/// Waits for the search for another endpoint, if one is under way.
pub(super) async fn finish(elsewhere: &mut Option<BoxFuture<'_, bool>>) -> bool {
    match elsewhere {
        Some(search) => search.await,
        None => std::future::pending().await,
    }
}
