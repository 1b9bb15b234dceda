//! The store that a command is about: that of a configuration, or one at an address.

use std::path::PathBuf;

use leasehold_lock::Locks;
use leasehold_tui::{StoreArgs, TopError};

use crate::commands::top::USUAL_FILE;
use crate::failure::Failure;
use crate::record_reader::RecordReader;

/// Arguments that name a store.
#[derive(clap::Args)]
pub(crate) struct TargetArgs {
    /// The configuration, a file or a folder, for its [store]. [default: leasehold.toml, if it
    /// exists]
    #[arg(short, long, value_name = "FILE", conflicts_with = "endpoint")]
    config: Option<PathBuf>,
    #[command(flatten)]
    store: StoreArgs,
}

impl TargetArgs {
    /// Connects to the store.
    pub(crate) async fn connect(&self) -> Result<Locks, Failure> {
        let usual = || Some(PathBuf::from(USUAL_FILE)).filter(|file| file.exists());
        let file = match &self.config {
            None if self.store.is_given() => None,
            Some(file) => Some(file.clone()),
            None => usual(),
        };
        if let Some(file) = file {
            return Ok(RecordReader::open(&file).await?.locks);
        }
        let options = self.store.options()?;
        let locks = Locks::connect(options);
        Ok(locks.await.map_err(TopError::Connect)?)
    }
}
