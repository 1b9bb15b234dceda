//! Media that hold something else, something newer, or something broken.

use fastrand::Rng;

use super::model::{self, Model};
use crate::disk::faulty::FaultyDisk;
use crate::disk::tables::{FORMAT, META, meta};
use crate::disk::{Disk, DiskError, FileDisk};

fn refusal(disk: &FaultyDisk) -> DiskError {
    FileDisk::on(disk.media()).map(|_| ()).unwrap_err()
}

fn filled() -> (FaultyDisk, Model) {
    let disk = FaultyDisk::new();
    let (mut file, image) = FileDisk::on(disk.media()).unwrap();
    let mut model = Model::of(&image);
    let mut rng = Rng::with_seed(9);
    for _ in 0..30 {
        let batch = model::random(&model, &mut rng);
        file.commit(&batch).unwrap();
        model = model.after(&batch);
    }
    (disk, model)
}

fn edit(disk: &FaultyDisk, work: impl FnOnce(&redb::WriteTransaction)) {
    let database = redb::Database::builder()
        .create_with_backend(disk.clone())
        .unwrap();
    let transaction = database.begin_write().unwrap();
    work(&transaction);
    transaction.commit().unwrap();
}

#[test]
fn what_is_not_a_store_is_refused_and_not_a_byte_of_it_changed() {
    let mut nearly_blank = vec![0; 1 << 20];
    nearly_blank[9_000] = 1;
    let mut begins_otherwise = vec![0; 1 << 20];
    begins_otherwise[3] = b'x';
    for bytes in [
        b"x".to_vec(),
        b"some text that somebody wrote".repeat(500),
        vec![0; 100],
        nearly_blank,
        begins_otherwise,
    ] {
        let disk = FaultyDisk::holding(bytes.clone());
        let error = refusal(&disk);
        assert!(matches!(error, DiskError::NotAStore { .. }), "{error}");
        assert!(disk.content() == bytes);
        assert_eq!(disk.calls(), 0);
    }
}

#[test]
fn a_database_of_another_kind_is_refused_and_keeps_what_it_has() {
    let other = redb::TableDefinition::<u64, u64>::new("accounts");
    let disk = FaultyDisk::new();
    edit(&disk, |transaction| {
        transaction.open_table(other).unwrap().insert(1, 2).unwrap();
    });
    let error = refusal(&disk);
    assert!(matches!(error, DiskError::NotAStore { .. }), "{error}");
    edit(&disk, |transaction| {
        let table = transaction.open_table(other).unwrap();
        assert_eq!(
            redb::ReadableTable::get(&table, 1)
                .unwrap()
                .unwrap()
                .value(),
            2
        );
        assert_eq!(transaction.list_tables().unwrap().count(), 1);
    });
}

#[test]
fn a_newer_format_is_refused_before_anything_else_is_read_and_left_as_it_is() {
    let (disk, model) = filled();
    let set = |format| {
        edit(&disk, |transaction| {
            let mut numbers = transaction.open_table(META).unwrap();
            numbers.insert(meta::FORMAT, format).unwrap();
        });
    };
    set(FORMAT + 1);
    for _ in 0..2 {
        let error = refusal(&disk);
        assert!(matches!(error, DiskError::NewerFormat { .. }), "{error}");
    }
    set(FORMAT);
    let (_, image) = FileDisk::on(disk.media()).unwrap();
    assert_eq!(Model::of(&image), model);
    assert_eq!(image.term, 2, "a refused opening counts for nothing");
}

#[test]
fn numbers_that_cannot_be_true_are_damage() {
    for (name, number) in [(meta::CLUSTER, 0), (meta::REVISION, 0), (meta::REVISION, 2)] {
        let (disk, _) = filled();
        edit(&disk, |transaction| {
            let mut numbers = transaction.open_table(META).unwrap();
            numbers.insert(name, number).unwrap();
        });
        let before = meta_of(&disk);
        let error = refusal(&disk);
        assert!(matches!(error, DiskError::Corrupt { .. }), "{error}");
        assert_eq!(meta_of(&disk), before, "a refused opening writes nothing");
    }
}

/// The numbers that an opening writes.
fn meta_of(disk: &FaultyDisk) -> [u64; 2] {
    let mut found = [0; 2];
    edit(disk, |transaction| {
        let numbers = transaction.open_table(META).unwrap();
        found = [meta::TERM, meta::OPEN].map(|name| {
            let number = redb::ReadableTable::get(&numbers, name).unwrap();
            number.unwrap().value()
        });
    });
    found
}

#[test]
fn a_medium_cut_short_anywhere_is_refused_or_still_right_and_never_ends_the_process() {
    let (disk, model) = filled();
    let whole = disk.content();
    let mut rng = Rng::with_seed(1);
    let mut refused = 0;
    for round in 0..60 {
        let mut length = rng.usize(4096..whole.len());
        if round % 2 == 0 {
            length -= length % 4096;
        }
        let cut = FaultyDisk::holding(whole[..length].to_vec());
        match FileDisk::on(cut.media()) {
            Ok((_, image)) => assert_eq!(Model::of(&image), model),
            Err(DiskError::Corrupt { .. } | DiskError::NotAStore { .. }) => refused += 1,
            Err(error) => panic!("{error}"),
        }
    }
    assert!(refused > 30, "{refused}");
}

#[test]
fn bytes_that_rot_are_refused_or_harmless_and_never_end_the_process() {
    let (disk, _) = filled();
    let whole = disk.content();
    let mut refused = 0;
    for seed in 0..400 {
        let mut rng = Rng::with_seed(seed);
        let mut bytes = whole.clone();
        let near = if seed % 2 == 0 { 400 } else { 400_000 };
        for _ in 0..rng.usize(1..20) {
            let at = rng.usize(9..near.min(bytes.len()));
            bytes[at] = rng.u8(..);
        }
        if FileDisk::on(FaultyDisk::holding(bytes).media()).is_err() {
            refused += 1;
        }
    }
    assert!(refused > 50, "{refused}");
}

/// What a crash left: the last batches are in the log alone.
fn crashed() -> (FaultyDisk, Model) {
    let disk = FaultyDisk::new();
    let (mut file, image) = FileDisk::on(disk.media()).unwrap();
    let mut model = Model::of(&image);
    for number in 2..50 {
        let change = model::put("key", number, 0, &[7; 600]);
        let batch = model::batch(vec![model::revision(number, [change])]);
        file.commit(&batch).unwrap();
        model = model.after(&batch);
    }
    (disk.copy(), model)
}

/// Fails when a bad record is taken for the end of the log whatever follows it.
#[test]
fn a_record_of_the_log_that_rots_is_damage_unless_it_is_the_last() {
    let (disk, model) = crashed();
    let log = disk.log().content();
    let mut refused = 0;
    for seed in 0..200 {
        let mut rng = Rng::with_seed(seed);
        let mut bytes = log.clone();
        let at = rng.usize(..60_000);
        let before = bytes[at];
        bytes[at] = rng.u8(..);
        let rotten = disk.copy();
        rotten.log().replace(bytes);
        match FileDisk::on(rotten.media()) {
            Ok((_, image)) => {
                let found = Model::of(&image);
                let last = at >= 47 * 1024;
                let harmless = before == rotten.log().content()[at] || found == model;
                assert!(harmless || last && found.revision == 48, "byte {at}");
            }
            Err(DiskError::LogCorrupt { place, .. }) => {
                assert_eq!(place, "the store's log");
                refused += 1;
            }
            Err(error) => panic!("{error}"),
        }
    }
    assert!(refused > 60, "{refused}");
}

#[test]
fn a_log_that_is_missing_after_a_crash_is_damage_and_after_closing_it_is_not() {
    let (disk, model) = crashed();
    let log = disk.log().content();
    for bytes in [Vec::new(), log[..4096].to_vec()] {
        disk.log().replace(bytes);
        let error = refusal(&disk);
        assert!(matches!(error, DiskError::LogCorrupt { .. }), "{error}");
        insta::allow_duplicates!(insta::assert_snapshot!(error.to_string()));
    }
    disk.log().replace(log);
    drop(FileDisk::on(disk.media()).unwrap());
    let (_, image) = FileDisk::on(FaultyDisk::holding(disk.content()).media()).unwrap();
    assert!(Model::of(&image) == model);
}

/// As when a backup of one of the two files is put beside the other.
#[test]
fn a_file_and_a_log_of_different_times_or_stores_are_not_put_together() {
    let disk = FaultyDisk::new();
    let (mut file, _) = FileDisk::on(disk.media()).unwrap();
    let old = disk.content();
    for number in 2..80 {
        let change = model::put("key", number, 0, &vec![7; 20_000]);
        file.commit(&model::batch(vec![model::revision(number, [change])]))
            .unwrap();
    }
    let mixed = disk.copy();
    mixed.replace(old);
    let error = refusal(&mixed);
    assert!(matches!(error, DiskError::LogCorrupt { .. }), "{error}");
    insta::assert_snapshot!(error.to_string());

    // Of another store's log not a record is taken.
    let (other, model) = crashed();
    drop(FileDisk::on(other.media()).unwrap());
    other.log().replace(disk.log().content());
    let (_, image) = FileDisk::on(other.media()).unwrap();
    assert!(Model::of(&image) == model);
}

#[test]
fn a_store_of_the_first_format_is_read_and_gets_a_log() {
    let (disk, model) = filled();
    edit(&disk, |transaction| {
        let mut numbers = transaction.open_table(META).unwrap();
        numbers.insert(meta::FORMAT, 1).unwrap();
        for name in [meta::LOG, meta::LOGGED, meta::OPEN] {
            numbers.remove(name).unwrap();
        }
    });
    let disk = FaultyDisk::holding(disk.content());
    let (mut file, image) = FileDisk::on(disk.media()).unwrap();
    assert!(Model::of(&image) == model);
    let batch = model::random(&model, &mut Rng::with_seed(3));
    file.commit(&batch).unwrap();
    let (_, image) = FileDisk::on(disk.copy().media()).unwrap();
    assert!(Model::of(&image) == model.after(&batch));
}
