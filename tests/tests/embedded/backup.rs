//! `leasehold store backup`, `restore` and `status`: a store that is lost and comes back.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use anyhow::{Result, ensure};
use leasehold_tests::command::{CommandOutput, leasehold};
use leasehold_tests::etcd::{Etcd, Version};
use leasehold_tests::host::HostProcess;

use crate::{SLACK, beater, beats, end, first};

fn serve(dir: &Path) -> Result<HostProcess> {
    let dir = dir.to_string_lossy().into_owned();
    let args = ["store", "serve", "--listen", "127.0.0.1:0", "--dir", &dir];
    let store = HostProcess::start_command(&args, &"")?;
    first(&store, "store-opened")?;
    Ok(store)
}

fn back_up(file: &Path, endpoint: &str, more: &[&str]) -> Result<CommandOutput> {
    let file = file.to_string_lossy().into_owned();
    let args = ["store", "backup", &file, "--endpoint", endpoint];
    leasehold(&"", &[&args, more].concat())
}

fn restore(file: &Path, dir: &Path) -> Result<CommandOutput> {
    let (file, dir) = (file.to_string_lossy(), dir.to_string_lossy());
    leasehold(&"", &["store", "restore", &file, "--data-dir", &dir])
}

#[test]
fn a_host_goes_on_with_larger_tokens_on_a_restored_store() -> Result<()> {
    let files = tempfile::tempdir()?;
    let (dir, backup) = (files.path().join("store"), files.path().join("backup"));
    let socket = format!("unix://{}/store.sock", dir.display());
    let store = serve(&dir)?;
    let host_a = HostProcess::start(
        &beater("host-a", files.path())?.endpoints(std::slice::from_ref(&socket)),
    )?;
    let before = beats(&host_a)?;
    let taken = back_up(&backup, &socket, &[])?;
    ensure!(taken.code == Some(0), "{taken:?}");
    ensure!(taken.stdout.starts_with("backed up revision "), "{taken:?}");
    ensure!(fs::metadata(&backup)?.permissions().mode() & 0o777 == 0o600);
    end(host_a)?;
    // Further tokens, of which the backup has none.
    let host_b = HostProcess::start(
        &beater("host-b", files.path())?.endpoints(std::slice::from_ref(&socket)),
    )?;
    let last = beats(&host_b)?;
    ensure!(last > before);
    end(store)?;

    let refused = restore(&backup, &dir)?;
    ensure!(refused.code == Some(5), "{refused:?}");
    ensure!(refused.stderr.contains("is not empty"), "{refused:?}");
    fs::rename(&dir, files.path().join("lost"))?;
    let restored = restore(&backup, &dir)?;
    ensure!(restored.code == Some(0), "{restored:?}");
    let store = serve(&dir)?;
    // A host that was not stopped notices that its lock is gone, and takes it anew.
    let event = host_b.wait_for(SLACK, |event| {
        event.is("guest") && event.token().is_some_and(|token| token > last)
    });
    ensure!(event.is_ok(), "{:?}", host_b.events().last());
    let status = leasehold(&"", &["store", "status", "--endpoint", &socket])?;
    ensure!(status.code == Some(0), "{status:?}");
    for part in ["revision", "in use, 1GiB allowed", "leases", "leads"] {
        ensure!(status.stdout.contains(part), "{part} in {status:?}");
    }
    end(host_b)?;
    end(store).map(drop)
}

#[test]
fn a_backup_replaces_no_file_and_leaves_no_part() -> Result<()> {
    let files = tempfile::tempdir()?;
    let store = serve(&files.path().join("store"))?;
    let socket = format!("unix://{}/store/store.sock", files.path().display());
    let place = files.path().join("backups");
    fs::create_dir(&place)?;
    let backup = place.join("backup");
    fs::write(&backup, "mine")?;
    let refused = back_up(&backup, &socket, &[])?;
    ensure!(refused.code == Some(5), "{refused:?}");
    ensure!(refused.stderr.contains("--force"), "{refused:?}");
    ensure!(fs::read(&backup)? == b"mine");
    let forced = back_up(&backup, &socket, &["--force"])?;
    ensure!(forced.code == Some(0), "{forced:?}");
    ensure!(fs::read(&backup)?.starts_with(b"leasehold backup"));
    ensure!(fs::read_dir(&place)?.count() == 1, "a part was left");
    end(store).map(drop)
}

#[test]
fn a_real_etcd_is_not_backed_up() -> Result<()> {
    for version in Version::ETCD {
        let etcd = Etcd::start(version)?;
        let files = tempfile::tempdir()?;
        let refused = back_up(&files.path().join("backup"), &etcd.endpoints()[0], &[])?;
        ensure!(refused.code == Some(5), "{refused:?}");
        let command = format!("etcdctl --endpoints {} snapshot save", etcd.endpoints()[0]);
        ensure!(refused.stderr.contains(&command), "{refused:?}");
        ensure!(fs::read_dir(files.path())?.count() == 0, "a part was left");
        let status = leasehold(
            &"",
            &["store", "status", "--endpoint", &etcd.endpoints()[0]],
        )?;
        ensure!(status.stdout.contains("leads"), "{status:?}");
    }
    Ok(())
}
