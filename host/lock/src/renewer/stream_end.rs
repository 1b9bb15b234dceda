//! [`StreamEnd`]: the end of a renewal stream.

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
