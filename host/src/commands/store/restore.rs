//! `leasehold store restore`: a new embedded store made of a backup.

use std::path::PathBuf;
use std::time::SystemTime;

use leasehold_store::{RestoredStore, RevisionFloor, restore_backup};

use crate::exit::Exit;
use crate::failure::Failure;
use crate::show_format::print;

/// Arguments of `leasehold store restore`.
#[derive(clap::Args)]
pub(crate) struct RestoreArgs {
    /// The backup, as `store backup` or `etcdctl snapshot save` wrote it.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Directory of the new store: missing, or empty.
    #[arg(long, value_name = "DIR")]
    data_dir: PathBuf,
    /// Begin above this revision instead of the clock's: the last one of the old store, or any above it. A lower one
    /// brings tokens back, which the store cannot notice.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i64).range(1..))]
    above_revision: Option<i64>,
}

/// Restores the backup.
pub(crate) async fn run(args: RestoreArgs) -> Result<Exit, Failure> {
    let dir = args.data_dir.clone();
    let floor = match args.above_revision {
        Some(above) => RevisionFloor::Above(above),
        None => RevisionFloor::Clock,
    };
    // Reading and writing a large store takes seconds.
    let restoring = tokio::task::spawn_blocking(move || {
        restore_backup(&args.file, &args.data_dir, floor, SystemTime::now())
    });
    let restored = restoring.await.map_err(|error| Failure::internal(&error))?;
    let restored = restored.map_err(|error| Failure::of_line(Exit::Store, &error.to_string()))?;
    print(&report(&restored, &dir.display().to_string()))
}

fn report(restored: &RestoredStore, dir: &str) -> String {
    let backup = &restored.backup;
    format!(
        "restored revision {} into {dir}; keys: {}, and {} under leases were left out\n\
         the store goes on after revision {}: all its tokens are larger\n\
         before you serve it (leasehold store serve --dir {dir}): stop the hosts of the old store, or wait out the TTL of \
         their locks\n",
        backup.revision,
        backup.keys - backup.leased_keys,
        backup.leased_keys,
        restored.revision,
    )
}
