//! The store's files and backups: the data of every earlier version is whole.

use std::sync::Arc;

use anyhow::{Result, ensure};
use leasehold_lock::{ConnectOptions, Locks};
use leasehold_store::{Store, StoreOptions, inspect_backup};

use crate::fixture::{self, StoredKey};

#[tokio::test]
async fn the_store_of_every_version_opens_with_all_keys() -> Result<()> {
    for fixture in fixture::all()? {
        let data = tempfile::tempdir()?;
        fixture::copy(&fixture.dir.join("store"), data.path())?;
        let store = Store::open(StoreOptions::directory(data.path())).await?;
        let options = ConnectOptions::in_process(Arc::new(store.connector()));
        let locks = Locks::connect(options).await?;
        let scan = locks.kv().scan("/", Vec::new, Vec::push).await?;
        let found: Vec<_> = scan
            .found
            .into_iter()
            .map(|kv| StoredKey {
                key: kv.key,
                value: kv.value,
                create_revision: kv.create_revision.get(),
                mod_revision: kv.mod_revision.get(),
            })
            .collect();
        ensure!(
            found == fixture.keys,
            "version {}: {found:?}",
            fixture.version
        );
        ensure!(scan.revision.get() >= fixture.revision);
        locks.close().await;
        store.close().await;
    }
    Ok(())
}

#[test]
fn backups_of_every_version_are_read() -> Result<()> {
    let mut read = 0;
    for fixture in fixture::all()? {
        let backup = fixture.dir.join("backup");
        if backup.exists() {
            let summary = inspect_backup(&backup)?;
            ensure!(summary.keys > 0 && summary.leased_keys > 0, "{summary:?}");
            read += 1;
        }
    }
    ensure!(read > 0, "no version has a backup");
    Ok(())
}
