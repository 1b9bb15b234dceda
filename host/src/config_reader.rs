//! Reading the configuration of a command on a thread that may block: the file may be a pipe.

use leasehold_config::{Config, Report};

use crate::failure::Failure;

/// Reads a configuration with `read`.
pub(crate) async fn read_config(
    read: impl FnOnce() -> Result<Config, Report> + Send + 'static,
) -> Result<Config, Failure> {
    match tokio::task::spawn_blocking(read).await {
        Ok(read) => Ok(read?),
        Err(error) => Err(Failure::internal(&error)),
    }
}
