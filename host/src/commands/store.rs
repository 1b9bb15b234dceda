//! `leasehold store`: commands of the store by itself.

mod serve;

use clap::Subcommand;
use leasehold_supervisor::event_level::EventLevel;

use crate::exit::Exit;
use crate::failure::Failure;
use crate::log_format::LogFormat;
use serve::ServeArgs;
pub(crate) use serve::loopback;

/// Commands of `leasehold store`.
#[derive(Subcommand)]
pub(crate) enum StoreCommand {
    /// Serve etcd's API on this machine, for several hosts, `etcdctl` and others.
    ///
    /// One node, without users and without encryption, so it listens on this machine only: beyond it,
    /// use etcd. Every acknowledged write survives a crash, unless --memory. SIGTERM or SIGINT ends it.
    Serve(ServeArgs),
}

impl StoreCommand {
    /// Format of the log beside the events.
    pub(crate) const fn log_format(&self) -> LogFormat {
        match self {
            Self::Serve(args) => args.log_format(),
        }
    }
}

/// Runs one of the commands.
pub(crate) async fn run(command: StoreCommand, level: EventLevel) -> Result<Exit, Failure> {
    match command {
        StoreCommand::Serve(args) => serve::run(args, level).await,
    }
}
