//! Backups of stores, restored: the same content, no token twice, and no damaged file.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use etcd_client::{Client, GetResponse, KeyValue};
use tempfile::TempDir;

use super::*;
use crate::core::StoreCore;
use crate::disk::DiskImage;
use crate::options::StoreOptions;
use crate::serve::tests::in_process;
use crate::serve::{Server, ServerLimits};

/// The time at which the backups here are taken.
const TAKEN: Duration = Duration::from_secs(1_790_000_000);

fn at(seconds_later: u64) -> SystemTime {
    UNIX_EPOCH + TAKEN + Duration::from_secs(seconds_later)
}

/// An open store and a client of it.
struct Opened {
    core: Arc<StoreCore>,
    server: Server,
    client: Client,
}

impl Opened {
    async fn at(options: StoreOptions) -> Self {
        let core = StoreCore::open(options).await.unwrap();
        let server = Server::with_limits(Arc::clone(&core), ServerLimits::default());
        let client = in_process(&server.connector()).await;
        Self {
            core,
            server,
            client,
        }
    }

    async fn put(&mut self, key: &str, value: &str) -> i64 {
        let reply = self.client.put(key, value, None).await.unwrap();
        reply.header().unwrap().revision()
    }

    async fn close(self) {
        self.server.close().await;
        self.core.close().await;
    }

    fn back_up(&self, to: &Path) -> PathBuf {
        let millis = u64::try_from(TAKEN.as_millis()).unwrap();
        let chunks = BackupChunks::new(self.core.capture(), millis);
        let length = chunks.remaining();
        let mut bytes = Vec::new();
        let mut remaining = 0;
        for chunk in chunks {
            bytes.extend_from_slice(&chunk.bytes);
            remaining = chunk.remaining;
            assert_eq!(bytes.len() as u64 + remaining, length);
        }
        assert_eq!(remaining, 0);
        assert_eq!(length % 512, 32);
        let path = to.join("backup");
        fs::write(&path, bytes).unwrap();
        path
    }
}

/// A store with plain, deleted, leased, empty and large keys.
async fn filled() -> Opened {
    let mut store = Opened::at(StoreOptions::memory()).await;
    store.put("a", "1").await;
    store.put("a", "2").await;
    store.put("gone", "1").await;
    store.client.delete("gone", None).await.unwrap();
    store.put("empty", "").await;
    store.put("large", &"x".repeat(300_000)).await;
    let lease = store.client.lease_grant(60, None).await.unwrap().id();
    let leased = etcd_client::PutOptions::new().with_lease(lease);
    store.client.put("leased", "1", Some(leased)).await.unwrap();
    store
}

/// The keys of a reading, with their values and revisions.
fn facts(reading: &GetResponse) -> impl Iterator<Item = (&[u8], &[u8], [i64; 3])> {
    let revisions = |kv: &KeyValue| [kv.create_revision(), kv.mod_revision(), kv.version()];
    let keys = reading.kvs().iter();
    keys.map(move |kv| (kv.key(), kv.value(), revisions(kv)))
}

/// Restores by the clock, a minute after the backup.
fn restore(backup: &Path, directory: &Path) -> Result<RestoredStore, BackupError> {
    restore_backup(backup, directory, RevisionFloor::Clock, at(60))
}

#[tokio::test]
async fn a_restored_store_has_all_keys_without_leases() {
    let root = TempDir::new().unwrap();
    let store = filled().await;
    let backup = store.back_up(root.path());
    let header = store.core.header();
    let keys = etcd_client::GetOptions::new().with_all_keys();
    let mut client = store.client.clone();
    let before = client.get("", Some(keys.clone())).await.unwrap();
    store.close().await;

    let directory = root.path().join("new");
    let restored = restore(&backup, &directory).unwrap();
    assert_eq!(restored.backup, inspect_backup(&backup).unwrap());
    assert_eq!(restored.backup.revision, header.revision);
    assert_eq!((restored.backup.keys, restored.backup.leased_keys), (4, 1));
    let mut names = fs::read_dir(&directory).unwrap();
    assert_eq!(names.next().unwrap().unwrap().file_name(), "store.redb");
    assert!(names.next().is_none());

    let mut store = Opened::at(StoreOptions::directory(&directory)).await;
    let after = store.client.get("", Some(keys)).await.unwrap();
    let kept: Vec<_> = facts(&before)
        .filter(|(key, ..)| *key != b"leased")
        .collect();
    assert_eq!(facts(&after).collect::<Vec<_>>(), kept);
    assert!(store.client.leases().await.unwrap().leases().is_empty());
    assert_eq!(store.core.header().cluster_id, header.cluster_id);
    assert!(store.core.header().raft_term > header.raft_term);
    // A watch from before the restore must not go on as if nothing had happened.
    let from = etcd_client::WatchOptions::new().with_start_revision(header.revision + 1);
    let mut watch = store.client.watch("a", Some(from)).await.unwrap();
    let ended = loop {
        let answer = watch.message().await.unwrap().unwrap();
        if answer.canceled() {
            break answer;
        }
    };
    assert_eq!(ended.compact_revision(), restored.revision);
    store.close().await;
}

/// Whatever happened after the backup, and however often it is restored, no token comes twice.
#[tokio::test]
async fn tokens_of_a_restored_store_are_above_all_before() {
    let root = TempDir::new().unwrap();
    let mut store = Opened::at(StoreOptions::memory()).await;
    store.put("first", "1").await;
    let backup = store.back_up(root.path());
    let mut last = store.put("after the backup", "1").await;
    store.close().await;
    for (number, later) in [0, 1, 60].into_iter().enumerate() {
        let directory = root.path().join(number.to_string());
        let restored =
            restore_backup(&backup, &directory, RevisionFloor::Clock, at(later)).unwrap();
        let mut store = Opened::at(StoreOptions::directory(&directory)).await;
        assert_eq!(store.core.revision(), restored.revision);
        for key in ["x", "y", "x"] {
            let token = store.put(key, "1").await;
            assert!(token > last, "{token} after {last}");
            last = token;
        }
        store.close().await;
    }
    let directory = root.path().join("above");
    let above = RevisionFloor::Above(last);
    restore_backup(&backup, &directory, above, at(61)).unwrap();
    let mut store = Opened::at(StoreOptions::directory(&directory)).await;
    assert_eq!(store.put("z", "1").await, last + 1);
    store.close().await;
}

#[tokio::test]
async fn what_would_bring_tokens_back_is_refused() {
    let root = TempDir::new().unwrap();
    let store = filled().await;
    let backup = store.back_up(root.path());
    store.close().await;
    let directory = root.path().join("new");
    let refusal = |floor, now| {
        let refused = restore_backup(&backup, &directory, floor, now);
        assert!(!directory.exists(), "something was made");
        refused.unwrap_err().to_string()
    };
    let before = UNIX_EPOCH + TAKEN - Duration::from_millis(1);
    let refusals = [
        refusal(RevisionFloor::Clock, before),
        refusal(RevisionFloor::Above(7), at(60)),
        refusal(RevisionFloor::Above(i64::MAX), at(60)),
    ];
    insta::assert_snapshot!(refusals.join("\n"), @"
    the clock of this machine shows 1789999999999 (Unix milliseconds), and the backup was taken at 1790000000000: a restored store begins at a revision made from the clock, and this one may bring tokens back; set the clock right, or give the old store's last revision with --above-revision
    --above-revision 7 is below the backup's own revision 8: the old store went on from there, so its last revision was 8 or more, and tokens up to it would come back
    --above-revision 9223372036854775807 is above the revision that the clock gives (1790000060000000), which no store has come to by now: a later restore would begin below it and bring tokens back; set the clock right, or give a lower one
    ");
}

#[tokio::test]
async fn a_directory_that_is_not_empty_is_left_alone() {
    let root = TempDir::new().unwrap();
    let store = filled().await;
    let backup = store.back_up(root.path());
    store.close().await;
    let directory = root.path().join("new");
    restore(&backup, &directory).unwrap();
    let content = fs::read(directory.join("store.redb")).unwrap();
    let refused = restore(&backup, &directory).unwrap_err();
    assert!(matches!(refused, BackupError::NotEmpty { ref entry, .. } if entry == "store.redb"));
    assert_eq!(fs::read(directory.join("store.redb")).unwrap(), content);
    // The rest of a restore that was cut off is replaced.
    let cut_off = root.path().join("cut off");
    fs::create_dir_all(cut_off.join("restoring")).unwrap();
    fs::write(cut_off.join("restoring/store.redb"), "half").unwrap();
    restore(&backup, &cut_off).unwrap();
    assert!(!cut_off.join("restoring").exists());
}

/// The backup was read, and another process has made a store meanwhile.
#[tokio::test]
async fn a_store_made_during_a_restore_is_not_replaced() {
    let root = TempDir::new().unwrap();
    let directory = root.path().join("new");
    let mut store = Opened::at(StoreOptions::directory(&directory)).await;
    store.put("theirs", "1").await;
    store.close().await;
    let content = fs::read(directory.join("store.redb")).unwrap();
    let refused = restore::write_claimed(&directory, &DiskImage::default()).unwrap_err();
    assert!(matches!(refused, BackupError::NotEmpty { .. }), "{refused}");
    assert_eq!(fs::read(directory.join("store.redb")).unwrap(), content);
    assert!(!directory.join("restoring").exists());
}

#[tokio::test]
async fn a_backup_with_any_byte_changed_or_cut_is_refused() {
    let root = TempDir::new().unwrap();
    let mut store = Opened::at(StoreOptions::memory()).await;
    store.put("a", "1").await;
    let backup = store.back_up(root.path());
    store.close().await;
    let whole = fs::read(&backup).unwrap();
    let directory = root.path().join("new");
    for place in 0..whole.len() {
        let mut damaged = whole.clone();
        damaged[place] ^= 0x20;
        fs::write(&backup, &damaged).unwrap();
        assert!(restore(&backup, &directory).is_err(), "byte {place}");
        fs::write(&backup, &whole[..place]).unwrap();
        assert!(restore(&backup, &directory).is_err(), "cut at {place}");
    }
    fs::write(&backup, [&whole[..], &[0; 512]].concat()).unwrap();
    assert!(restore(&backup, &directory).is_err());
    assert!(!directory.exists());
    fs::write(&backup, &whole).unwrap();
    restore(&backup, &directory).unwrap();
}

#[test]
fn files_of_other_kinds_are_named() {
    let root = TempDir::new().unwrap();
    let path = root.path().join("file");
    let refusal = |bytes: &[u8]| {
        fs::write(&path, bytes).unwrap();
        let text = inspect_backup(&path).unwrap_err().to_string();
        text.replace(&path.display().to_string(), "FILE")
    };
    let mut bbolt = vec![0; 4096];
    bbolt[16..20].copy_from_slice(&0xED0C_DAED_u32.to_le_bytes());
    let later = [
        b"leasehold backup".as_slice(),
        &[9, 0, 0, 0, 0, 0, 0, 0],
        &[0; 600],
    ]
    .concat();
    let refusals = [
        refusal(b""),
        refusal(b"[store]\n"),
        refusal(&bbolt),
        refusal(&later),
        refusal(b"leasehold backup"),
    ];
    insta::assert_snapshot!(refusals.join("\n"), @"
    FILE is not a backup of an embedded store: it is empty
    FILE is not a backup of an embedded store: it does not begin as one does
    FILE is not a backup of an embedded store: it is a snapshot of an etcd; restore it with `etcdutl snapshot restore` (3.4: `etcdctl snapshot restore`)
    the backup FILE has format 9, and this version of leasehold reads format 1; use a later version
    the backup FILE is damaged: it is cut short; nothing of it is used
    ");
}
