//! `leasehold store backup`: a checked copy of a running embedded store in a file.

use std::io;
use std::path::{Path, PathBuf};

use leasehold_lock::{Locks, SnapshotReader};
use leasehold_store::{BackupSummary, inspect_backup, is_backup};
use leasehold_supervisor::shutdown::Signals;

use super::part_file::PartFile;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::show_format::print;
use crate::size_text::about_size;
use crate::store_target::TargetArgs;

/// Arguments of `leasehold store backup`.
#[derive(clap::Args)]
pub(crate) struct BackupArgs {
    /// The file to write. Only its owner can read it: it holds everything that the store holds.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Replace the file if it exists.
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    target: TargetArgs,
}

/// Writes the backup, unless a signal ends it before.
pub(crate) async fn run(args: BackupArgs) -> Result<Exit, Failure> {
    if !args.force && args.file.symlink_metadata().is_ok() {
        return Err(exists(&args.file));
    }
    let mut signals = Signals::new().map_err(|error| Failure::internal(&error))?;
    tokio::select! {
        written = write(&args) => written,
        _ = signals.next() => Err(Failure::new(
            Exit::Aborted,
            format!("stopped by a signal: {} was not written", args.file.display()),
        )),
    }
}

async fn write(args: &BackupArgs) -> Result<Exit, Failure> {
    let locks = args.target.connect().await?;
    let written = copy(&locks, &args.file, args.force).await;
    locks.close().await;
    let summary = written?;
    print(&report(&summary, &args.file))
}

async fn copy(locks: &Locks, file: &Path, force: bool) -> Result<BackupSummary, Failure> {
    let mut snapshot = locks.snapshot().await.map_err(|error| not_sent(&error))?;
    let unwritten = |error: io::Error| not_written(file, &error);
    let mut part = PartFile::create(file).map_err(unwritten)?;
    if !receive(&mut snapshot, &mut part, file).await? {
        return Err(real_etcd(locks.endpoints(), file));
    }
    part.sync().map_err(unwritten)?;
    let summary = inspect_backup(part.path()).map_err(|error| {
        Failure::of_line(Exit::Store, &format!("the backup arrived, and {error}"))
    })?;
    match part.put_in_place(force) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(exists(file)),
        placed => placed.map(|()| summary).map_err(unwritten),
    }
}

/// Writes all pieces. Returns false, and reads no further, if they are not of an embedded store.
async fn receive(
    snapshot: &mut SnapshotReader,
    part: &mut PartFile,
    file: &Path,
) -> Result<bool, Failure> {
    let mut is_first = true;
    while let Some(piece) = snapshot.next().await.map_err(|error| not_sent(&error))? {
        if std::mem::take(&mut is_first) && !is_backup(&piece.bytes) {
            return Ok(false);
        }
        // A few milliseconds at most, and this process does nothing else.
        part.write(&piece.bytes)
            .map_err(|error| not_written(file, &error))?;
    }
    Ok(true)
}

fn report(summary: &BackupSummary, file: &Path) -> String {
    format!(
        "backed up revision {} into {}; keys: {}, {} of them under leases ({}); {}\n",
        summary.revision,
        file.display(),
        summary.keys,
        summary.leased_keys,
        summary.leases,
        about_size(summary.bytes),
    )
}

fn exists(file: &Path) -> Failure {
    let message = format!(
        "{} exists, and is left alone\n  = help: choose another name, or replace it with --force",
        file.display()
    );
    Failure::new(Exit::Store, message)
}

fn not_written(file: &Path, error: &io::Error) -> Failure {
    let message = format!("cannot write the backup {}: {error}", file.display());
    Failure::of_line(Exit::Store, &message)
}

fn not_sent(error: &leasehold_lock::StoreError) -> Failure {
    Failure::of_line(Exit::Store, &format!("no backup was written: {error}"))
}

/// The failure for a store that is not an embedded one, with the command that backs it up.
fn real_etcd(endpoints: &[String], file: &Path) -> Failure {
    // A snapshot is of one member.
    let endpoint = endpoints.first().map_or("URL", String::as_str);
    let mut message = format!(
        "this is a real etcd, not an embedded store; no backup was written\n  \
         = help: back it up with `etcdctl --endpoints {endpoint} snapshot save {}`",
        file.display()
    );
    if endpoint.starts_with("https:") {
        message.push_str(
            "\n  = help: with the files of [store.tls] as --cacert, --cert and --key, and --user if it has users",
        );
    }
    Failure::new(Exit::Store, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_for_a_real_etcd_is_complete() {
        let failure = |endpoint: &str| {
            let endpoints = [endpoint.to_owned(), "https://etcd2:2379".to_owned()];
            real_etcd(&endpoints, Path::new("night.backup")).message
        };
        insta::assert_snapshot!(failure("http://127.0.0.1:2379"));
        insta::assert_snapshot!(failure("https://etcd1:2379"));
    }
}
