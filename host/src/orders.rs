//! Connections for the commands that write orders: the operator, the reason, and names that are known.

use std::collections::BTreeSet;
use std::path::PathBuf;

use clap::Args;
use leasehold_orders::{OrderDesk, OrderError, OrderReport};
use leasehold_records::RunRecord;

use crate::config_place;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::known_jobs::unknown_job;
use crate::known_names::{KnownNames, describe};
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
        let (kv, root) = (self.desk.kv(), self.desk.root());
        let control = root.host_control("");
        let mut known = BTreeSet::new();
        for prefix in [root.hosts(), root.ids(), control] {
            let keys = kv.keys(&prefix).await;
            let keys = keys.map_err(|error| OrderError::unread(root, &error))?;
            known.extend(keys.iter().filter_map(|key| {
                let name = key.strip_prefix(&prefix)?;
                Some(name.to_owned())
            }));
        }
        if !known.contains(host) {
            let prefix = root.runs();
            let runs = kv.scan(&prefix, BTreeSet::new, |hosts, key| {
                hosts.extend(RunRecord::from_json(&key.value).map(|run| run.host));
            });
            known.extend(runs.await.map_err(|error| unread(&error))?.found);
        }
        if known.contains(host) {
            return Ok(());
        }
        Err(Failure::new(Exit::Usage, unknown_host(host, &known)))
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

fn unknown_host(host: &str, known: &BTreeSet<String>) -> String {
    let names = KnownNames {
        noun: "host",
        none: "the store has no trace of any host",
        known,
    };
    describe(host, &names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_host_is_refused_with_near_names() {
        let known: BTreeSet<String> = ["web1", "web2"].map(Into::into).into();
        insta::assert_snapshot!(unknown_host("wbe1", &known), @r"
        there is no host `wbe1`
          = help: did you mean `web1`?
          = help: the hosts are: web1, web2
        ");
        insta::assert_snapshot!(unknown_host("x", &BTreeSet::new()), @r"
        there is no host `x`
          = help: the store has no trace of any host
        ");
    }
}
