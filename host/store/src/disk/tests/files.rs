//! Real files: their permissions, their creation, and foreign files left alone.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::model::{self, Model};
use crate::disk::{Disk, DiskError, FileDisk};

fn refusal(directory: &Path) -> DiskError {
    FileDisk::open(directory).map(|_| ()).unwrap_err()
}

/// A message without the directory's name, which differs from run to run.
fn said(error: &DiskError, directory: &Path) -> String {
    error
        .to_string()
        .replace(&directory.display().to_string(), "<directory>")
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn a_missing_directory_is_created_private_and_reopened() {
    let root = tempfile::tempdir().unwrap();
    let directory = root.path().join("a/b/store");
    let (mut file, first) = FileDisk::open(&directory).unwrap();
    assert_eq!(mode(&directory), 0o700);
    assert_eq!(mode(&root.path().join("a")), 0o700);
    let files = ["store.redb", "store.log"].map(|name| directory.join(name));
    for file in &files {
        assert_eq!(mode(file), 0o600);
    }
    let batch = model::batch(vec![model::revision(
        2,
        [model::put("key", 2, 0, b"value")],
    )]);
    file.commit(&batch).unwrap();
    let (length, used) = file.size();
    let on_disk = files.map(|file| fs::metadata(file).unwrap().len());
    assert_eq!(length, on_disk.iter().sum::<u64>());
    assert!(used > 0 && used < length);
    drop(file);

    let (_, again) = FileDisk::open(&directory).unwrap();
    assert_eq!(Model::of(&again), Model::of(&first).after(&batch));
    assert_eq!((again.cluster, again.member), (first.cluster, first.member));
    assert_eq!((first.term, again.term), (1, 2));
}

#[test]
fn a_second_opening_is_refused_until_the_first_is_closed() {
    let root = tempfile::tempdir().unwrap();
    let (mut file, _) = FileDisk::open(root.path()).unwrap();
    let error = refusal(root.path());
    assert!(matches!(error, DiskError::InUse { .. }));
    insta::assert_snapshot!(said(&error, root.path()));
    let batch = model::batch(vec![model::revision(
        2,
        [model::put("key", 2, 0, b"value")],
    )]);
    file.commit(&batch).unwrap();
    drop(file);
    let (_, image) = FileDisk::open(root.path()).unwrap();
    assert_eq!((image.term, image.revision), (2, 2));
}

#[test]
fn the_error_for_an_impossible_directory_names_it() {
    let root = tempfile::tempdir().unwrap();
    fs::write(root.path().join("file"), "").unwrap();
    let error = refusal(&root.path().join("file/store"));
    insta::assert_snapshot!(said(&error, root.path()));
    let error = refusal(&root.path().join("file"));
    insta::assert_snapshot!(said(&error, root.path()));
}

#[test]
fn a_foreign_file_is_refused_and_left_alone() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("store.redb");
    let text = "not a database\n".repeat(1000);
    fs::write(&path, &text).unwrap();
    let error = refusal(root.path());
    insta::assert_snapshot!(said(&error, root.path()));
    assert_eq!(fs::read_to_string(&path).unwrap(), text);
}

#[test]
fn an_empty_file_becomes_a_new_store() {
    let root = tempfile::tempdir().unwrap();
    fs::write(root.path().join("store.redb"), "").unwrap();
    let (_, image) = FileDisk::open(root.path()).unwrap();
    assert_eq!(Model::of(&image), Model::new());
}

#[test]
fn the_error_for_a_directory_in_place_of_the_file_names_it() {
    let root = tempfile::tempdir().unwrap();
    fs::create_dir(root.path().join("store.redb")).unwrap();
    let error = refusal(root.path());
    insta::assert_snapshot!(said(&error, root.path()));
}

#[test]
fn a_file_cut_in_half_is_damaged_and_keeps_what_it_has() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("store.redb");
    let (mut file, _) = FileDisk::open(root.path()).unwrap();
    let revisions = (2..500)
        .map(|number| {
            let change = model::put(&format!("{number}"), number, 0, &[1; 4000]);
            model::revision(number, [change])
        })
        .collect();
    file.commit(&model::batch(revisions)).unwrap();
    drop(file);
    let half = fs::metadata(&path).unwrap().len() / 2;
    let cut = fs::OpenOptions::new().write(true).open(&path).unwrap();
    cut.set_len(half).unwrap();
    let before = fs::read(&path).unwrap();
    let error = refusal(root.path());
    assert!(matches!(error, DiskError::Corrupt { .. }), "{error}");
    assert!(
        error.to_string().contains("store.redb is damaged"),
        "{error}"
    );
    assert!(fs::read(&path).unwrap() == before);
}
