//! Requests into a watch stream.

use std::time::Duration;

use tokio::time::timeout;

/// Limit for opening a stream, or for pushing one request into it.
pub(crate) const STREAM_PATIENCE: Duration = Duration::from_secs(3);

/// The reason for abandoning a stream.
pub(crate) struct BrokenStream(pub(crate) String);

pub(crate) async fn push(
    request: impl Future<Output = Result<(), etcd_client::Error>>,
) -> Result<(), BrokenStream> {
    match timeout(STREAM_PATIENCE, request).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => Err(BrokenStream(error.to_string())),
        Err(_) => Err(BrokenStream("the store takes no watch requests".into())),
    }
}
