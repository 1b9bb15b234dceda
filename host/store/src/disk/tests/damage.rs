//! Media with foreign, newer or damaged content.

use fastrand::Rng;

use super::model::{self, Model};
use crate::disk::faulty::{CrashOutcome, FaultyDisk};
use crate::disk::tables::{FORMAT, META, meta};
use crate::disk::{CommitBatch, Disk, DiskError, FileDisk};

fn refusal(disk: &FaultyDisk) -> DiskError {
    FileDisk::open_media(disk.media()).map(|_| ()).unwrap_err()
}

fn filled() -> (FaultyDisk, Model) {
    let disk = FaultyDisk::new();
    let (mut file, image) = FileDisk::open_media(disk.media()).unwrap();
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
fn a_file_that_is_not_a_store_is_refused_unchanged() {
    let mut nearly_blank = vec![0; 1 << 20];
    nearly_blank[9_000] = 1;
    let mut begins_otherwise = vec![0; 1 << 20];
    begins_otherwise[3] = b'x';
    for bytes in [
        b"x".to_vec(),
        b"some text of another program!".repeat(500),
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
fn a_newer_format_is_refused_first_and_left_unchanged() {
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
    let (_, image) = FileDisk::open_media(disk.media()).unwrap();
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
fn a_medium_cut_anywhere_is_refused_or_correct_without_panic() {
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
        match FileDisk::open_media(cut.media()) {
            Ok((_, image)) => assert_eq!(Model::of(&image), model),
            Err(DiskError::Corrupt { .. } | DiskError::NotAStore { .. }) => refused += 1,
            Err(error) => panic!("{error}"),
        }
    }
    assert!(refused > 30, "{refused}");
}

#[test]
fn rotten_bytes_are_refused_or_harmless_without_panic() {
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
        if FileDisk::open_media(FaultyDisk::holding(bytes).media()).is_err() {
            refused += 1;
        }
    }
    assert!(refused > 50, "{refused}");
}

/// The disk after a crash: the last batches are in the log alone.
fn crashed() -> (FaultyDisk, Model) {
    let disk = FaultyDisk::new();
    let (mut file, image) = FileDisk::open_media(disk.media()).unwrap();
    let mut model = Model::of(&image);
    for number in 2..50 {
        let change = model::put("key", number, 0, &[7; 600]);
        let batch = model::batch(vec![model::revision(number, [change])]);
        file.commit(&batch).unwrap();
        model = model.after(&batch);
    }
    (disk.copy(), model)
}

/// Fails if a bad record counts as the end of the log while good records follow it.
#[test]
fn a_rotten_log_record_is_damage_unless_it_is_the_last() {
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
        match FileDisk::open_media(rotten.media()) {
            Ok((_, image)) => {
                let found = Model::of(&image);
                let last = at >= 47 * 1024;
                let harmless = before == rotten.log().content()[at] || found == model;
                assert!(harmless || last && found.revision == 48, "byte {at}");
            }
            Err(DiskError::LogCorrupt { location, .. }) => {
                assert_eq!(location, "the store's log");
                refused += 1;
            }
            Err(error) => panic!("{error}"),
        }
    }
    assert!(refused > 60, "{refused}");
}

#[test]
fn a_missing_log_is_damage_only_after_a_crash() {
    let (disk, model) = crashed();
    let log = disk.log().content();
    for bytes in [Vec::new(), log[..4096].to_vec()] {
        disk.log().replace(bytes);
        let error = refusal(&disk);
        assert!(matches!(error, DiskError::LogCorrupt { .. }), "{error}");
        insta::allow_duplicates!(insta::assert_snapshot!(error.to_string()));
    }
    disk.log().replace(log);
    drop(FileDisk::open_media(disk.media()).unwrap());
    let (_, image) = FileDisk::open_media(FaultyDisk::holding(disk.content()).media()).unwrap();
    assert!(Model::of(&image) == model);
}

/// The state after a backup of one of the two files was put beside the other.
#[test]
fn a_file_and_a_log_of_different_times_are_refused() {
    let disk = FaultyDisk::new();
    let (mut file, _) = FileDisk::open_media(disk.media()).unwrap();
    let old = disk.content();
    for number in 2..80 {
        let change = model::put("key", number, 0, &vec![7; 20_000]);
        file.commit(&model::batch(vec![model::revision(number, [change])]))
            .unwrap();
    }
    let mixed = disk.copy();
    mixed.replace(old);
    let older_file = refusal(&mixed);

    // The log of another store, beside a file that was closed in order.
    let (other, model) = crashed();
    drop(FileDisk::open_media(other.media()).unwrap());
    let whole = other.content();
    other.log().replace(disk.log().content());
    let other_log = refusal(&other);

    // No file at all beside a log.
    let lone = disk.copy();
    lone.replace(Vec::new());
    let no_file = refusal(&lone);

    let errors = [older_file, other_log, no_file];
    for error in &errors {
        assert!(matches!(error, DiskError::Mismatch { .. }), "{error}");
    }
    insta::assert_snapshot!(errors.map(|error| error.to_string()).join("\n"));

    // The remedy of the second error.
    let (_, image) = FileDisk::open_media(FaultyDisk::holding(whole).media()).unwrap();
    assert!(Model::of(&image) == model);
}

/// The two files and the acknowledged batches, at one moment.
struct Moment {
    file: Vec<u8>,
    log: Vec<u8>,
    model: Model,
}

impl Moment {
    fn of(disk: &FaultyDisk, model: &Model) -> Self {
        Self {
            file: disk.content(),
            log: disk.log().content(),
            model: model.clone(),
        }
    }
}

/// Moments of a life with three openings, small and large batches, a compaction and a log that was full twice.
fn moments() -> Vec<Moment> {
    let disk = FaultyDisk::new();
    let mut moments = Vec::new();
    let mut model = Model::new();
    for life in 0..3 {
        let (mut file, image) = FileDisk::open_media(disk.media()).unwrap();
        assert!(Model::of(&image) == model);
        moments.push(Moment::of(&disk, &model));
        let sizes: &[usize] = match life {
            0 => &[10, 10, 300_000, 300_000, 10, 600_000, 10],
            1 => &[10, 600_000, 600_000],
            _ => &[300_000, 300_000],
        };
        for size in sizes {
            let number = model.revision + 1;
            let change = model::put("key", number, 0, &vec![7; *size]);
            let batch = model::batch(vec![model::revision(number, [change])]);
            file.commit(&batch).unwrap();
            model = model.after(&batch);
            moments.push(Moment::of(&disk, &model));
        }
        let batch = CommitBatch {
            compacted: Some(model.revision),
            dropped: model.superfluous(model.revision),
            ..CommitBatch::default()
        };
        file.commit(&batch).unwrap();
        model = model.after(&batch);
        moments.push(Moment::of(&disk, &model));
        if life < 2 {
            drop(file);
            moments.push(Moment::of(&disk, &model));
        }
    }
    moments
}

/// Fails if the log is not compared with the file, or is marked only before or only after the file.
#[test]
fn a_file_and_a_log_of_two_moments_are_refused_or_lose_nothing() {
    let moments = moments();
    let (mut older_log, mut older_file) = (0, 0);
    for (at, file) in moments.iter().enumerate() {
        for (log_at, log) in moments.iter().enumerate() {
            let disk = FaultyDisk::holding(file.file.clone());
            disk.log().replace(log.log.clone());
            let newest = &moments[at.max(log_at)].model;
            match FileDisk::open_media(disk.media()) {
                Ok((_, image)) => {
                    // An older log beside the same file is the state of both at that moment.
                    let is_whole_backup = file.file == moments[log_at].file;
                    let found = Model::of(&image);
                    assert!(
                        found == *newest || is_whole_backup && found == log.model,
                        "file of moment {at} and log of moment {log_at}: {}",
                        found.summary()
                    );
                }
                Err(DiskError::Mismatch { .. }) if at > log_at => older_log += 1,
                Err(DiskError::Mismatch { .. }) if at < log_at => older_file += 1,
                Err(error) => panic!("file of {at}, log of {log_at}: {error}"),
            }
        }
    }
    let pairs = moments.len() * (moments.len() - 1) / 2;
    assert!(older_log > pairs / 2, "{older_log} of {pairs}");
    assert!(older_file > pairs / 2, "{older_file} of {pairs}");
}

/// Fails if the generation is only a number.
#[test]
fn two_lives_after_one_backup_are_refused() {
    let (disk, model) = crashed();
    let [one, two] = [disk.copy(), disk.copy()].map(|disk| {
        let (mut file, _) = FileDisk::open_media(disk.media()).unwrap();
        let number = model.revision + 1;
        let change = model::put("key", number, 0, b"one of two lives");
        file.commit(&model::batch(vec![model::revision(number, [change])]))
            .unwrap();
        disk.copy()
    });
    one.log().replace(two.log().content());
    let error = refusal(&one);
    assert!(matches!(error, DiskError::Mismatch { .. }), "{error}");
    insta::assert_snapshot!(error.to_string());
}

/// Format 2: no generation in the file, no stamps in the log.
fn of_format_2((disk, model): (FaultyDisk, Model)) -> (FaultyDisk, Model) {
    edit(&disk, |transaction| {
        let mut numbers = transaction.open_table(META).unwrap();
        numbers.insert(meta::FORMAT, 2).unwrap();
        numbers.remove(meta::GENERATION).unwrap();
    });
    let mut log = disk.log().content();
    log.truncate(512 << 10);
    disk.log().replace(log);
    (disk.copy(), model)
}

#[test]
fn a_store_of_the_second_format_is_upgraded_with_its_log() {
    let mut stopped = 0;
    for call in 1.. {
        let (disk, model) = of_format_2(crashed());
        disk.stop_at(call);
        let opened = FileDisk::open_media(disk.media()).map(|_| ());
        if !disk.has_stopped() {
            opened.unwrap();
            break;
        }
        stopped += 1;
        for seed in 0..4 {
            let mut rng = Rng::with_seed(seed);
            let again = disk.crash(CrashOutcome::any(&mut rng), &mut rng);
            let (_, image) = FileDisk::open_media(again.media()).unwrap();
            assert!(Model::of(&image) == model, "stopped in call {call}");
        }
    }
    assert!(stopped > 10, "{stopped}");

    // An older file of that format beside the log as it is now.
    let (disk, _) = of_format_2(crashed());
    let old = disk.content();
    drop(FileDisk::open_media(disk.media()).unwrap());
    disk.replace(old);
    let error = refusal(&disk);
    assert!(matches!(error, DiskError::Mismatch { .. }), "{error}");
}

#[test]
fn a_store_of_the_first_format_is_read_and_gets_a_log() {
    let (disk, model) = filled();
    edit(&disk, |transaction| {
        let mut numbers = transaction.open_table(META).unwrap();
        numbers.insert(meta::FORMAT, 1).unwrap();
        for name in [meta::LOG, meta::GENERATION, meta::LOGGED, meta::OPEN] {
            numbers.remove(name).unwrap();
        }
    });
    let disk = FaultyDisk::holding(disk.content());
    let (mut file, image) = FileDisk::open_media(disk.media()).unwrap();
    assert!(Model::of(&image) == model);
    let batch = model::random(&model, &mut Rng::with_seed(3));
    file.commit(&batch).unwrap();
    let (_, image) = FileDisk::open_media(disk.copy().media()).unwrap();
    assert!(Model::of(&image) == model.after(&batch));
}
