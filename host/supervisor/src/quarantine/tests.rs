//! Quarantine over restarts. A process that dies is an identity that is dropped with its notes left in place.

use std::fs;

use tempfile::TempDir;

use super::*;

const HOUR: u64 = 3_600_000;
const SHA: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
const OTHER: &str = "ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff";

fn at(ms: u64) -> UnixMs {
    UnixMs::new(1_790_000_000_000 + ms)
}

/// Starts a host on this directory.
fn start(dir: &TempDir, now: UnixMs) -> (HostIdentity, Arc<Quarantine>, Vec<CrashedRun>) {
    let identity = HostIdentity::take(dir.path());
    let (quarantine, crashes) = Quarantine::open(dir.path(), &identity, now);
    (identity, Arc::new(quarantine), crashes)
}

fn record(sha256: &str) -> RunRecord {
    RunRecord {
        plugin_sha256: sha256.into(),
        ..crate::record_writer::sample(7)
    }
}

/// Lets a process die while it runs these digests, each of which is polled or not.
async fn die(dir: &TempDir, runs: &[(&str, bool)]) {
    let (identity, quarantine, _) = start(dir, at(0));
    for (sha256, is_polled) in runs {
        let first = quarantine.begin(record(sha256)).await.unwrap();
        if *is_polled {
            first.mark().enter();
        } else {
            first.mark().enter();
            first.mark().leave();
        }
        std::mem::forget(first);
    }
    drop(identity);
}

#[tokio::test]
async fn polled_plugin_is_quarantined_and_its_run_recorded() {
    let dir = tempfile::tempdir().unwrap();
    die(&dir, &[(SHA, true), (OTHER, false)]).await;
    let (_identity, quarantine, crashes) = start(&dir, at(5));
    let [crash] = &crashes[..] else {
        panic!("{crashes:?}");
    };
    assert_eq!(crash.record.outcome, Outcome::Crashed);
    assert_eq!(crash.record.run_id, record(SHA).run_id);
    assert_eq!(crash.record.ended_unix_ms, Some(at(5)));
    assert_eq!(crash.until, at(5 + HOUR));
    let reason = quarantine.reason(SHA, at(6)).await.unwrap();
    assert!(
        reason.contains(&crash.file.display().to_string()),
        "{reason}"
    );
    assert_eq!(quarantine.reason(OTHER, at(6)).await, None);
}

#[tokio::test]
async fn a_quarantine_outlives_restarts_and_is_lifted_by_an_hour() {
    let dir = tempfile::tempdir().unwrap();
    die(&dir, &[(SHA, true)]).await;
    drop(start(&dir, at(0)));
    let (_identity, quarantine, crashes) = start(&dir, at(HOUR / 2));
    assert_eq!(crashes, []);
    assert!(quarantine.reason(SHA, at(HOUR - 1)).await.is_some());
    assert_eq!(quarantine.reason(SHA, at(HOUR)).await, None);
    // Lifted for good: it is run and noted like a new one.
    assert_eq!(quarantine.reason(SHA, at(HOUR / 2)).await, None);
    assert!(quarantine.begin(record(SHA)).await.is_some());
}

#[tokio::test]
async fn quarantine_ends_with_its_file_or_a_clock_set_back_far() {
    let dir = tempfile::tempdir().unwrap();
    die(&dir, &[(SHA, true)]).await;
    let (_identity, quarantine, crashes) = start(&dir, at(2 * HOUR));
    assert!(quarantine.reason(SHA, at(2 * HOUR)).await.is_some());
    fs::remove_file(&crashes[0].file).unwrap();
    assert_eq!(quarantine.reason(SHA, at(2 * HOUR)).await, None);

    let dir = tempfile::tempdir().unwrap();
    die(&dir, &[(SHA, true)]).await;
    let (_identity, quarantine, _) = start(&dir, at(2 * HOUR));
    assert_eq!(quarantine.reason(SHA, at(0)).await, None);
}

#[tokio::test]
async fn a_plugin_that_has_proven_itself_is_never_noted_again() {
    let dir = tempfile::tempdir().unwrap();
    let (identity, quarantine, _) = start(&dir, at(0));
    let first = quarantine.begin(record(SHA)).await.unwrap();
    first.mark().enter();
    first.prove().await;
    assert!(quarantine.begin(record(SHA)).await.is_none());
    // A poll that ends later writes nothing more to the note.
    first.mark().leave();
    std::mem::forget(first);
    drop(identity);
    let (_identity, quarantine, crashes) = start(&dir, at(1));
    assert_eq!(crashes, []);
    assert!(quarantine.begin(record(SHA)).await.is_none());
}

#[tokio::test]
async fn a_run_that_is_dropped_in_good_order_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (identity, quarantine, _) = start(&dir, at(0));
    let first = quarantine.begin(record(SHA)).await.unwrap();
    first.mark().enter();
    drop(first);
    drop(identity);
    assert_eq!(start(&dir, at(1)).2, []);
}

#[tokio::test]
async fn notes_of_living_processes_and_earlier_boots_are_ignored() {
    let dir = tempfile::tempdir().unwrap();
    let (_living, quarantine, _) = start(&dir, at(0));
    let first = quarantine.begin(record(SHA)).await.unwrap();
    first.mark().enter();
    assert_eq!(start(&dir, at(1)).2, []);
    drop(first);

    let dir = tempfile::tempdir().unwrap();
    die(&dir, &[(SHA, true)]).await;
    let notes = fs::read_dir(dir.path().join("first-runs")).unwrap();
    for note in notes.flatten() {
        let text = fs::read_to_string(note.path()).unwrap();
        let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap();
        fs::write(note.path(), text.replace(boot.trim(), "another")).unwrap();
    }
    assert_eq!(start(&dir, at(1)).2, []);
}

#[test]
fn the_list_of_the_proven_is_bounded() {
    let mut digests = Digests::default();
    for n in 0..MOST_PROVEN + 5 {
        assert!(digests.prove(&format!("{n:064x}")));
    }
    assert_eq!(
        (digests.proven.len(), digests.order.len()),
        (MOST_PROVEN, MOST_PROVEN)
    );
    assert!(digests.prove(&format!("{:064x}", 0)));
    assert!(!digests.prove(&format!("{MOST_PROVEN:064x}")));
}

#[tokio::test]
async fn a_directory_that_takes_no_files_holds_nothing_up() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    fs::write(&file, "").unwrap();
    let identity = HostIdentity::take(&file);
    let (quarantine, crashes) = Quarantine::open(&file, &identity, at(0));
    let quarantine = Arc::new(quarantine);
    assert_eq!(crashes, []);
    assert!(quarantine.begin(record(SHA)).await.is_none());
    assert_eq!(quarantine.reason(SHA, at(0)).await, None);
}
