//! Files on a disk: their rights, their sizes, their ages, and lines that could not be written.

use std::os::unix::fs::PermissionsExt as _;

use super::*;

const DAY: Duration = Duration::from_hours(24);

fn keep(size: u64) -> KeepOutput {
    KeepOutput { size, age: DAY }
}

/// Sum of the sizes of a job's files, and their number.
fn sizes(data_dir: &Path, job: &str) -> (u64, usize) {
    let files = files_of(&data_dir.join(FOLDER).join(job));
    let bytes = files.iter().map(|file| fs::metadata(file).unwrap().len());
    (bytes.sum(), files.len())
}

#[test]
fn files_are_private_and_rotated_within_their_size() {
    let dir = tempfile::tempdir().unwrap();
    let mut files = KeptFiles::new(dir.path(), keep(64 << 10));
    let now = SystemTime::now();
    let text = format!("{}\n", "x".repeat(999));
    for second in 0..500 {
        let now = now + Duration::from_secs(second);
        if files.append("talker", &text, 0, now) {
            files.tidy(now);
        }
        if second % 100 == 0 {
            files.append("quiet", &text, 0, now);
        }
    }
    let (bytes, count) = sizes(dir.path(), "talker");
    assert!(bytes <= (64 << 10) + SMALLEST, "{bytes}");
    assert!(count >= 3, "{count}");
    assert_eq!(sizes(dir.path(), "quiet"), (5_000, 1));
    let folder = dir.path().join(FOLDER).join("talker");
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&folder), 0o700);
    assert_eq!(mode(&folder.join(CURRENT)), 0o600);
}

#[test]
fn old_files_are_deleted_whole() {
    let dir = tempfile::tempdir().unwrap();
    let mut files = KeptFiles::new(dir.path(), keep(1 << 20));
    let now = SystemTime::now();
    files.append("j", "old\n", 0, now);
    files.append("j", "new\n", 0, now + DAY / 2);
    assert_eq!(sizes(dir.path(), "j").1, 2);
    files.tidy(now + DAY / 2);
    assert_eq!(sizes(dir.path(), "j").1, 2);
    files.tidy(now + DAY * 2);
    assert_eq!(sizes(dir.path(), "j").1, 0);
}

/// Fails when a name of a job leads out of its folder, or through a link.
#[test]
fn no_name_and_no_link_leads_elsewhere() {
    let dir = tempfile::tempdir().unwrap();
    let mut files = KeptFiles::new(dir.path(), keep(1 << 20));
    let now = SystemTime::now();
    for name in ["", ".", "..", "../x", "a/b", ".hidden", "a\0b", "ä"] {
        files.append(name, "text\n", 0, now);
    }
    assert!(!dir.path().join(FOLDER).exists());
    let folder = dir.path().join(FOLDER).join("j");
    fs::create_dir_all(&folder).unwrap();
    let target = dir.path().join("target");
    std::os::unix::fs::symlink(&target, folder.join(CURRENT)).unwrap();
    files.append("j", "text\n", 0, now);
    assert!(!target.exists());
}

#[test]
fn bytes_that_were_not_written_are_noted_later() {
    let dir = tempfile::tempdir().unwrap();
    let mut files = KeptFiles::new(dir.path(), keep(1 << 20));
    let now = SystemTime::UNIX_EPOCH;
    fs::write(dir.path().join(FOLDER), "a file in the way").unwrap();
    files.append("j", "lost\n", 3, now);
    fs::remove_file(dir.path().join(FOLDER)).unwrap();
    files.append("j", "lost too\n", 0, now);
    assert!(!dir.path().join(FOLDER).exists(), "tried again at once");
    files.jobs.get_mut("j").unwrap().state = FileState::Failed {
        again_at: Instant::now(),
    };
    files.append("j", "kept\n", 0, now);
    let text = fs::read_to_string(dir.path().join(FOLDER).join("j").join(CURRENT)).unwrap();
    let expected = "\n1970-01-01T00:00:00Z - -- 17 bytes of output are missing here\nkept\n";
    assert_eq!(text, expected);
}

/// Fails when a restart makes the lines of the process before it young again.
#[test]
fn lines_of_an_earlier_process_age_on() {
    let dir = tempfile::tempdir().unwrap();
    let start = SystemTime::now();
    KeptFiles::new(dir.path(), keep(1 << 20)).append("j", "old\n", 0, start);
    for hour in [7, 8] {
        let mut files = KeptFiles::new(dir.path(), keep(1 << 20));
        let now = start + Duration::from_hours(hour);
        files.append("j", "new\n", 0, now);
        files.append("j", "newer\n", 0, now);
    }
    assert!(sizes(dir.path(), "j").1 >= 2);
}

#[test]
fn file_of_a_silent_job_is_closed() {
    let dir = tempfile::tempdir().unwrap();
    let mut files = KeptFiles::new(dir.path(), keep(1 << 20));
    let now = SystemTime::now();
    files.append("j", "one\n", 0, now);
    files.tidy(now);
    assert_eq!(files.jobs.len(), 1);
    files.tidy(now);
    assert!(files.jobs.is_empty());
    files.append("j", "two\n", 0, now);
    assert_eq!(sizes(dir.path(), "j"), (8, 1));
}
