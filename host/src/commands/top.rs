//! `leasehold top`: the dashboard, on the store of a configuration or on any other.

use std::path::PathBuf;

use leasehold_lock::ConnectError;
use leasehold_records::Root;
use leasehold_tui::{DashboardArgs, StoreArgs, TopError};

use crate::embedded::not_running;
use crate::exit::Exit;
use crate::failure::Failure;
use leasehold_config::{Reading, StorePlace};
use leasehold_supervisor::connect::options;

/// File that is read if neither a file nor an address is given.
pub(crate) const USUAL_FILE: &str = "leasehold.toml";

/// Arguments of `leasehold top`.
#[derive(clap::Args)]
pub(crate) struct TopArgs {
    /// The configuration, a file or a folder, for its [store]. [default: leasehold.toml, if it
    /// exists]
    #[arg(short, long, value_name = "FILE", conflicts_with = "endpoint")]
    config: Option<PathBuf>,
    #[command(flatten)]
    store: StoreArgs,
    #[command(flatten)]
    look: DashboardArgs,
}

impl TopArgs {
    /// Returns true if the dashboard takes the terminal, so that no other output may go to it.
    pub(crate) const fn takes_terminal(&self) -> bool {
        self.look.needs_terminal()
    }

    fn file(&self) -> Option<PathBuf> {
        if self.store.is_given() {
            return None;
        }
        let usual = || Some(PathBuf::from(USUAL_FILE)).filter(|file| file.exists());
        self.config.clone().or_else(usual)
    }
}

/// Shows the dashboard until the user quits.
pub(crate) async fn run(args: TopArgs) -> Result<Exit, Failure> {
    if args.look.replay.is_some() {
        let anything = args.store.options()?;
        leasehold_tui::top(anything, args.store.root, args.look).await?;
        return Ok(Exit::Ok);
    }
    let Some(file) = args.file() else {
        let options = args.store.options()?;
        leasehold_tui::top(options, args.store.root, args.look).await?;
        return Ok(Exit::Ok);
    };
    let config = Reading::load(&file)?;
    if !args.takes_terminal() {
        crate::record_reader::warn(&config);
    }
    let root = Root::new(config.store().root()).map_err(|e| Failure::internal(&e))?;
    let options = options(config.store())?;
    let shown = leasehold_tui::top(options, root, args.look).await;
    match (shown, config.store().place()) {
        (Ok(()), _) => Ok(Exit::Ok),
        (
            Err(TopError::Connect(ConnectError::Unreachable { .. })),
            StorePlace::Embedded(embedded),
        ) => Err(not_running(&file, embedded)),
        (Err(error), _) => Err(error.into()),
    }
}

impl From<TopError> for Failure {
    fn from(error: TopError) -> Self {
        let exit = match error.exit_code() {
            2 => Exit::Usage,
            3 => Exit::Config,
            5 => Exit::Store,
            _ => Exit::Internal,
        };
        match error {
            TopError::Connect(_) | TopError::Store(_) | TopError::Recording(_) => {
                Self::of_line(exit, &error.to_string())
            }
            _ => Self::new(exit, error.to_string()),
        }
    }
}
