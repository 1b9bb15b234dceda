//! Connections for the commands that write orders: the operator, the reason, and names that are known.

use std::path::PathBuf;

use clap::Args;
use leasehold_orders::{OrderDesk, OrderError, OrderReport};

use crate::config_place;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::known_hosts::unknown_host;
use crate::known_jobs::unknown_job;
use crate::record_reader::{RecordReader, unread};
use crate::show_format::print;
use crate::sink;

/// Arguments of every command that writes an order.
#[derive(Args)]
pub(crate) struct OrderArgs {
    /// The reason, for the record and for those who ask later.
    #[arg(
        long,
        value_name = "TEXT",
        default_value = "",
        hide_default_value = true
    )]
    pub(crate) why: String,
    /// The configuration, a file or a folder, for its [store]. [default: as for `status`]
    #[arg(short, long, visible_alias = "config-file", value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
}

/// Arguments of every command that ends a run.
#[derive(Args)]
pub(crate) struct RunEndArgs {
    /// The job.
    pub(crate) job: String,
    /// Only the run on this host.
    #[arg(long, value_name = "HOST")]
    pub(crate) host: Option<String>,
    #[command(flatten)]
    pub(crate) order: OrderArgs,
}

/// A desk for orders on the store of a configuration.
pub(crate) struct OpenDesk {
    reader: RecordReader,
    pub(crate) desk: OrderDesk,
}

impl OpenDesk {
    /// Reads the configuration and connects.
    pub(crate) async fn open(args: &OrderArgs) -> Result<Self, Failure> {
        let reader = RecordReader::open(&config_place::find(args.config.as_deref())?).await?;
        let (locks, root) = (reader.locks.clone(), reader.root.clone());
        let desk = OrderDesk::new(locks, root, leasehold_tui::operator(), &args.why);
        Ok(Self { reader, desk })
    }

    /// Fails if neither the configuration nor the store has this job.
    pub(crate) async fn know_job(&self, job: &str) -> Result<(), Failure> {
        let configured = self.reader.config.jobs();
        let unknown = unknown_job(&self.desk.kv(), self.desk.root(), configured, job).await;
        match unknown.map_err(|error| unread(&error))? {
            Some(failure) => Err(failure),
            None => Ok(()),
        }
    }

    /// Fails if the store has no trace of this host.
    pub(crate) async fn know_host(&self, host: &str) -> Result<(), Failure> {
        let unknown = unknown_host(&self.desk.kv(), self.desk.root(), host).await;
        unknown.map_err(|error| unread(&error))?.map_or(Ok(()), Err)
    }

    /// Fails unless the job and the host of a run to end are known.
    pub(crate) async fn know_run(&self, args: &RunEndArgs) -> Result<(), Failure> {
        self.know_job(&args.job).await?;
        match &args.host {
            Some(host) => self.know_host(host).await,
            None => Ok(()),
        }
    }

    /// Closes the connection, whatever the result.
    pub(crate) async fn close<T>(self, result: Result<T, Failure>) -> Result<T, Failure> {
        self.reader.locks.close().await;
        result
    }
}

impl From<OrderError> for Failure {
    fn from(error: OrderError) -> Self {
        let exit = match error {
            OrderError::Refused(_) => Exit::NotAcquired,
            OrderError::Store(_) => Exit::Store,
        };
        Self::of_line(exit, &error.to_string())
    }
}

/// Prints the result of an order.
pub(crate) fn print_report(report: &OrderReport) -> Result<Exit, Failure> {
    let printed = print(&format!("{}\n", report.sentence));
    if let Some(warning) = &report.warning {
        sink::print_warning(&format!("warning: {warning}\n"));
    }
    printed
}
