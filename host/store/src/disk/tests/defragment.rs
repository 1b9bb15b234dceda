//! Defragmenting: the file shrinks, and a crash at any point of it loses nothing.

use fastrand::Rng;

use super::model::{self, Model};
use crate::disk::faulty::{CrashOutcome, FaultyDisk};
use crate::disk::{CommitBatch, Disk, FileDisk};

/// A store that held much more once, with something in its log.
fn emptied(disk: &FaultyDisk) -> (FileDisk, Model) {
    let (mut file, image) = FileDisk::open_media(disk.media()).unwrap();
    let mut model = Model::of(&image);
    for key in ["a", "b", "c", "d", "e", "f"] {
        let number = model.revision + 1;
        let put = model::put(key, number, 0, &vec![7; 600_000]);
        let batch = model::batch(vec![model::revision(number, [put])]);
        file.commit(&batch).unwrap();
        model = model.after(&batch);
    }
    let number = model.revision + 1;
    let keys = (0..).zip(["a", "b", "c", "d", "e", "f"]);
    let puts: Vec<_> = keys
        .map(|(sub, key)| model::put(key, number, sub, b"small"))
        .collect();
    let batch = CommitBatch {
        compacted: Some(number),
        dropped: (2..number).map(|revision| (revision, 0)).collect(),
        ..model::batch(vec![model::revision(number, puts)])
    };
    file.commit(&batch).unwrap();
    model = model.after(&batch);
    let number = model.revision + 1;
    let last = model::batch(vec![model::revision(
        number,
        [model::put("g", number, 0, b"in the log")],
    )]);
    file.commit(&last).unwrap();
    (file, model.after(&last))
}

#[test]
fn a_file_that_held_much_more_shrinks_and_goes_on() {
    let disk = FaultyDisk::new();
    let (mut file, model) = emptied(&disk);
    let (before, _) = file.size();
    file.defragment().unwrap();
    let (after, used) = file.size();
    assert!(after < before / 2, "{before} before, {after} after");
    assert!(used < after);
    let batch = model::random(&model, &mut Rng::with_seed(1));
    file.commit(&batch).unwrap();
    let survivor = disk.crash(CrashOutcome::LosesAll, &mut Rng::with_seed(2));
    let (_, image) = FileDisk::open_media(survivor.media()).unwrap();
    assert!(Model::of(&image) == model.after(&batch));
}

#[test]
fn a_crash_while_it_is_defragmented_loses_nothing() {
    let mut rng = Rng::with_seed(3);
    let mut crashes = 0;
    for call in (1..).step_by(3) {
        let disk = FaultyDisk::new();
        let (mut file, model) = emptied(&disk);
        disk.stop_at(call);
        let done = file.defragment().is_ok();
        if done {
            break;
        }
        crashes += 1;
        assert!(
            file.commit(&CommitBatch::default()).is_err(),
            "it is closed"
        );
        let survivor = disk.crash(CrashOutcome::any(&mut rng), &mut rng);
        let (_, image) = FileDisk::open_media(survivor.media()).unwrap();
        assert!(Model::of(&image) == model, "stopped at call {call}");
    }
    assert!(crashes > 5, "{crashes}");
}
