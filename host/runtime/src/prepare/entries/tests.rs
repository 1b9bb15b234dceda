//! Entries of the compile cache: kept, found, changed by other programs, and removed.

use std::os::unix::fs::PermissionsExt as _;

use super::*;
use crate::survey::{BinaryKind, Survey};

const DIGEST: [u8; 32] = [7; 32];

fn plugin(is_componentized: bool) -> PreparedPlugin {
    PreparedPlugin {
        survey: Survey {
            kind: BinaryKind::Core,
            imports: vec!["wasi_snapshot_preview1".to_owned()],
            exports: vec!["_start".to_owned()],
            carries_component_type: false,
            start: None,
            exports_memory: false,
            memory_minimum: 65_536,
        },
        is_componentized,
    }
}

/// Makes a directory with the files that a compiler writes.
fn worked(store: &EntryStore, code: &str) -> WorkDir {
    let work = store.work_dir().unwrap();
    let dir = work.path().join("engine/modules/wasmtime-1.2.3");
    fs::create_dir_all(&dir).unwrap();
    fs::write(dir.join("HASH"), code).unwrap();
    fs::write(dir.join("HASH.stats"), "used = 1").unwrap();
    fs::write(work.path().join(COMPONENT), "a component").unwrap();
    work
}

struct Root(tempfile::TempDir);

impl Root {
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        fs::set_permissions(root.path(), fs::Permissions::from_mode(0o700)).unwrap();
        Self(root)
    }

    fn open(&self) -> EntryStore {
        EntryStore::open(self.0.path()).unwrap()
    }

    fn code(&self) -> PathBuf {
        self.0.path().join("code/modules/wasmtime-1.2.3/HASH")
    }
}

fn is_sealed(state: &EntryState) -> bool {
    matches!(state, EntryState::Sealed(_))
}

#[test]
fn an_entry_is_found_by_the_next_process_as_it_was_left() {
    let root = Root::new();
    let store = root.open();
    assert!(store.find(&DIGEST).is_none());
    let work = worked(&store, "code");
    let at = work.path().to_owned();
    store.keep(&DIGEST, plugin(true), &work).unwrap();
    drop(work);
    assert!(!at.exists());
    let store = root.open();
    let entry = store.find(&DIGEST).unwrap();
    assert_eq!(entry.plugin.survey.exports, ["_start"]);
    match store.state(&DIGEST, &entry) {
        EntryState::Sealed(component) => assert_eq!(component.unwrap(), b"a component"),
        EntryState::Missing | EntryState::Broken => panic!("it is as it was left"),
    }
    assert_eq!(fs::read(root.code()).unwrap(), b"code");
    assert!(store.find(&[8; 32]).is_none());
    assert_eq!(store.hits(), 1);
}

#[test]
fn code_that_was_changed_is_removed_and_its_record_too() {
    let root = Root::new();
    let store = root.open();
    let entry = store
        .keep(&DIGEST, plugin(false), &worked(&store, "code"))
        .unwrap();
    fs::write(root.code(), "evil").unwrap();
    assert!(matches!(store.state(&DIGEST, &entry), EntryState::Broken));
    assert!(!root.code().exists());
    assert!(store.find(&DIGEST).is_none());
    // The entry is made again like any other.
    let entry = store
        .keep(&DIGEST, plugin(false), &worked(&store, "code"))
        .unwrap();
    assert!(is_sealed(&store.state(&DIGEST, &entry)));
}

#[test]
fn an_entry_of_another_plugin_key_or_file_is_refused() {
    let root = Root::new();
    let store = root.open();
    let entry = store
        .keep(&DIGEST, plugin(false), &worked(&store, "code"))
        .unwrap();
    let record = store.record(&id(&DIGEST));
    // Record of one plugin under the name of another.
    fs::copy(&record, store.record(&id(&[8; 32]))).unwrap();
    assert!(store.find(&[8; 32]).is_none());
    assert!(!store.record(&id(&[8; 32])).exists());
    // Record that was changed.
    let text = fs::read_to_string(&record).unwrap();
    fs::write(&record, text.replace("_start", "_stark")).unwrap();
    assert!(store.find(&DIGEST).is_none());
    assert!(!record.exists());
    // Link in place of the code.
    fs::rename(root.code(), root.0.path().join("elsewhere")).unwrap();
    std::os::unix::fs::symlink(root.0.path().join("elsewhere"), root.code()).unwrap();
    assert!(matches!(store.state(&DIGEST, &entry), EntryState::Broken));
    // Entry that was made with another key.
    let entry = store
        .keep(&DIGEST, plugin(false), &worked(&store, "code"))
        .unwrap();
    assert!(is_sealed(&store.state(&DIGEST, &entry)));
    fs::remove_file(root.0.path().join("key")).unwrap();
    assert!(root.open().find(&DIGEST).is_none());
}

#[test]
fn code_that_was_swept_away_is_missing_and_no_alarm() {
    let root = Root::new();
    let store = root.open();
    let entry = store
        .keep(&DIGEST, plugin(false), &worked(&store, "code"))
        .unwrap();
    store.sweep(1_000_000);
    assert!(is_sealed(&store.state(&DIGEST, &entry)));
    store.sweep(3);
    assert!(matches!(store.state(&DIGEST, &entry), EntryState::Missing));
    assert!(store.find(&DIGEST).is_none());
}

/// Sets the times of a file's last access and change.
fn age(path: &Path, age: Duration) {
    let at = SystemTime::now() - age;
    let times = fs::FileTimes::new().set_accessed(at).set_modified(at);
    File::options()
        .write(true)
        .open(path)
        .and_then(|file| file.set_times(times))
        .unwrap();
}

#[test]
fn unused_code_is_swept_away_and_code_in_use_is_not() {
    let root = Root::new();
    let store = root.open();
    let entry = store
        .keep(&DIGEST, plugin(false), &worked(&store, "code"))
        .unwrap();
    age(&root.code(), UNUSED);
    // The use is noted.
    assert!(is_sealed(&store.state(&DIGEST, &entry)));
    store.sweep(MOST_BYTES);
    assert!(is_sealed(&store.state(&DIGEST, &entry)));
    age(&root.code(), UNUSED);
    store.sweep(MOST_BYTES);
    assert!(matches!(store.state(&DIGEST, &entry), EntryState::Missing));
}

#[test]
fn a_compiler_that_left_nothing_or_too_much_is_not_believed() {
    let root = Root::new();
    let store = root.open();
    let nothing = store.work_dir().unwrap();
    assert!(store.keep(&DIGEST, plugin(false), &nothing).is_err());
    let work = worked(&store, "code");
    fs::write(work.path().join("engine/modules/wasmtime-1.2.3/OTHER"), "x").unwrap();
    assert!(store.keep(&DIGEST, plugin(false), &work).is_err());
    let link = worked(&store, "code");
    let code = link.path().join("engine/modules/wasmtime-1.2.3/HASH");
    fs::remove_file(&code).unwrap();
    std::os::unix::fs::symlink("/etc/passwd", &code).unwrap();
    assert!(store.keep(&DIGEST, plugin(false), &link).is_err());
    assert!(store.find(&DIGEST).is_none());
}
