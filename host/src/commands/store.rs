//! `leasehold store`: commands of the store by itself.

mod backup;
mod part_file;
mod restore;
mod serve;
mod status;

use clap::Subcommand;
use leasehold_supervisor::event_level::EventLevel;

use crate::exit::Exit;
use crate::failure::Failure;
use crate::log_format::LogFormat;
use backup::BackupArgs;
use restore::RestoreArgs;
use serve::ServeArgs;
pub(crate) use serve::loopback;
use status::StoreStatusArgs;

/// Commands of `leasehold store`.
#[derive(Subcommand)]
pub(crate) enum StoreCommand {
    /// Serve etcd's API on this machine, for several hosts, `etcdctl` and others.
    ///
    /// One node, without users and without encryption, so it listens on this machine only: beyond it,
    /// use etcd. Every acknowledged write survives a crash, unless --memory. SIGTERM or SIGINT ends it.
    Serve(Box<ServeArgs>),
    /// Write a backup of a running embedded store to a file.
    ///
    /// The store goes on meanwhile; the file has all keys of one revision. It is checked, and appears as a whole or
    /// not at all. For a real etcd, use `etcdctl snapshot save`.
    Backup(Box<BackupArgs>),
    /// Make a new embedded store of a backup.
    ///
    /// Sessions, and the locks and records that belong to them, are left out. The new store begins at a revision above
    /// all that the old one gave, so no token is granted twice: at the microseconds of this machine's clock, which must
    /// be right. A tick that ran after the backup may run again. Stop the hosts before, or wait out the TTL of their
    /// locks: a host that lost its store goes on until its deadline.
    Restore(RestoreArgs),
    /// Show a store's size, revision, leases and members.
    Status(Box<StoreStatusArgs>),
}

impl StoreCommand {
    /// Format of the log beside the events.
    pub(crate) const fn log_format(&self) -> LogFormat {
        match self {
            Self::Serve(args) => args.log_format(),
            Self::Backup(_) | Self::Restore(_) | Self::Status(_) => LogFormat::Text,
        }
    }

    /// Returns true for a command that runs until a signal ends it.
    pub(crate) const fn goes_on(&self) -> bool {
        matches!(self, Self::Serve(_))
    }
}

/// Runs one of the commands.
pub(crate) async fn run(command: StoreCommand, level: EventLevel) -> Result<Exit, Failure> {
    match command {
        StoreCommand::Serve(args) => serve::run(*args, level).await,
        StoreCommand::Backup(args) => backup::run(*args).await,
        StoreCommand::Restore(args) => restore::run(args).await,
        StoreCommand::Status(args) => status::run(*args).await,
    }
}
