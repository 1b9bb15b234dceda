//! Disks that are full, and disks that fail, while the process lives on.

use fastrand::Rng;

use super::model::{self, Model};
use crate::disk::faulty::{CrashOutcome, FaultyDisk};
use crate::disk::{CommitBatch, Disk, DiskError, FileDisk};

/// A disk with some batches on it, open.
fn used(rng: &mut Rng) -> (FaultyDisk, FileDisk, Model) {
    let disk = FaultyDisk::new();
    let (mut file, image) = FileDisk::open_media(disk.media()).unwrap();
    let mut model = Model::of(&image);
    for _ in 0..5 {
        let batch = model::random(&model, rng);
        file.commit(&batch).unwrap();
        model = model.after(&batch);
    }
    (disk, file, model)
}

fn one_more(model: &Model) -> CommitBatch {
    let number = model.revision + 1;
    model::batch(vec![model::revision(
        number,
        [model::put("more", number, 0, &[1; 20_000])],
    )])
}

/// Checks that the disk holds the acknowledged batches, and the interrupted batch as a whole or not at all.
fn expect(disk: &FaultyDisk, model: &Model, under_way: &CommitBatch) -> FileDisk {
    let (file, image) = FileDisk::open_media(disk.media()).unwrap();
    let found = Model::of(&image);
    assert!(found == *model || found == model.after(under_way));
    file
}

#[test]
fn a_commit_out_of_space_reports_it_and_loses_nothing() {
    let mut failures = 0;
    for step in 0.. {
        let mut rng = Rng::with_seed(step);
        let (disk, mut file, model) = used(&mut rng);
        disk.leave_space(Some(usize::try_from(step).unwrap() * 2_000));
        let batch = one_more(&model);
        let Err(error) = file.commit(&batch) else {
            break;
        };
        failures += 1;
        assert!(error.is_out_of_space(), "{error}");
        // Space alone does not help: the content after the failed commit is unknown.
        disk.leave_space(None);
        for next in [&batch, &CommitBatch::default()] {
            let error = file.commit(next).unwrap_err();
            assert!(matches!(error, DiskError::Stopped { .. }), "{error}");
        }
        drop(file);
        drop(expect(&disk, &model, &batch));
        // The content that the opening used was on the disk, and not only in its cache.
        expect(
            &disk.crash(CrashOutcome::LosesAll, &mut rng),
            &model,
            &batch,
        );
    }
    assert!(failures > 10, "{failures}");
}

#[test]
fn a_full_disk_refuses_a_new_store_until_space_is_freed() {
    let whole = FaultyDisk::new();
    drop(FileDisk::open_media(whole.media()).unwrap());
    let zeros = whole.log().content().len();
    let mut room = 0;
    loop {
        let disk = FaultyDisk::new();
        disk.leave_space(Some(room));
        match FileDisk::open_media(disk.media()) {
            Ok(_) => break,
            Err(error) => assert!(error.is_out_of_space(), "{error}"),
        }
        disk.leave_space(None);
        let (_, image) = FileDisk::open_media(disk.media()).unwrap();
        assert_eq!(Model::of(&image), Model::new());
        // Most of the written bytes are the log's zeros.
        room += if room < zeros { 20_000 } else { 300 };
    }
    assert!(room > zeros + 1000, "{room}");
}

#[test]
fn a_full_disk_that_cannot_be_opened_loses_nothing() {
    let mut rng = Rng::with_seed(11);
    let (disk, file, model) = used(&mut rng);
    drop(file);
    for room in (0..100_000).step_by(500) {
        disk.leave_space(Some(room));
        match FileDisk::open_media(disk.media()) {
            Ok(_) => break,
            Err(error) => assert!(error.is_out_of_space(), "{error}"),
        }
        assert!(room < 90_000);
    }
    disk.leave_space(None);
    let (_, image) = FileDisk::open_media(disk.media()).unwrap();
    assert_eq!(Model::of(&image), model);
}

#[test]
fn a_failed_sync_fails_its_commit_and_all_later_ones() {
    for seed in 0..40 {
        let mut rng = Rng::with_seed(seed);
        let (disk, mut file, model) = used(&mut rng);
        disk.fail_syncs(true);
        let batch = one_more(&model);
        let error = file.commit(&batch).unwrap_err();
        assert!(matches!(error, DiskError::Io { .. }), "{error}");
        // The next sync may succeed, though the bytes of the first one are lost.
        disk.fail_syncs(false);
        let error = file.commit(&batch).unwrap_err();
        assert!(matches!(error, DiskError::Stopped { .. }), "{error}");
        drop(file);
        let disk = disk.crash(CrashOutcome::any(&mut rng), &mut rng);
        expect(&disk, &model, &batch);
    }
}

#[test]
fn after_an_error_closing_writes_nothing() {
    let (disk, mut file, model) = used(&mut Rng::with_seed(2));
    disk.fail_syncs(true);
    file.commit(&one_more(&model)).unwrap_err();
    disk.fail_syncs(false);
    let calls = disk.calls();
    drop(file);
    assert_eq!(disk.calls(), calls);
}

#[test]
fn a_failed_read_is_reported_as_a_read_error() {
    let (disk, file, _) = used(&mut Rng::with_seed(4));
    drop(file);
    let full = disk.content();
    disk.fail_reads(true);
    let error = FileDisk::open_media(disk.media()).map(|_| ()).unwrap_err();
    assert!(matches!(error, DiskError::Io { .. }), "{error}");
    assert!(disk.content() == full);
    disk.fail_reads(false);
    FileDisk::open_media(disk.media()).unwrap();
}

#[test]
fn an_open_disk_that_fails_to_read_does_not_panic() {
    let (disk, mut file, mut model) = used(&mut Rng::with_seed(6));
    disk.fail_reads(true);
    // redb may have the pages it needs in its cache, for a while.
    for _ in 0..20 {
        let batch = one_more(&model);
        if file.commit(&batch).is_ok() {
            model = model.after(&batch);
        }
    }
    drop(file);
    disk.fail_reads(false);
    expect(&disk, &model, &one_more(&model));
}
