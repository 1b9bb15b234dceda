//! The store that a command is about: that of a configuration, or one at an address.

use std::path::PathBuf;

use leasehold_lock::Locks;
use leasehold_records::Root;
use leasehold_tui::{StoreArgs, TopError};

use crate::config_place;
use crate::failure::Failure;
use crate::record_reader::RecordReader;

/// Arguments that name a store.
#[derive(clap::Args)]
pub(crate) struct TargetArgs {
    /// The configuration, a file or a folder, for its [store]. [default: as for `status`, if
    /// there is one]
    #[arg(short, long, value_name = "FILE", conflicts_with = "endpoint")]
    config: Option<PathBuf>,
    #[command(flatten)]
    store: StoreArgs,
}

impl TargetArgs {
    /// Connects to the store.
    pub(crate) async fn connect(&self) -> Result<Locks, Failure> {
        Ok(self.open().await?.0)
    }

    /// Connects to the store, and returns also the prefix of the installation in it.
    pub(crate) async fn open(&self) -> Result<(Locks, Root), Failure> {
        let file = match &self.config {
            None if self.store.is_given() => None,
            given => config_place::find_if_any(given.as_deref()),
        };
        if let Some(file) = file {
            let reader = RecordReader::open(&file).await?;
            return Ok((reader.locks, reader.root));
        }
        let options = self.store.options()?;
        let locks = Locks::connect(options).await.map_err(TopError::Connect)?;
        Ok((locks, self.store.root.clone()))
    }
}
