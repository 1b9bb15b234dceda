//! Runs that files have in whole, in part, or not at all.

use leasehold_lock::Token;

use super::*;

/// A record that keeps the last bytes of `total`.
fn record(job: &str, host: &str, output: &str, total: u64) -> RunRecord {
    let before = total - output.len() as u64;
    let json = format!(
        r#"{{"job":{job:?},"host":{host:?},"lock":"l","token":7,"sequence":0,"attempt":1,"plugin_sha256":"00",
            "started_unix_ms":1,"outcome":"done","output":{output:?},"output_truncated_bytes":{before}}}"#
    );
    RunRecord::from_json(json.as_bytes()).unwrap()
}

fn key() -> RunKey {
    RunKey {
        job: "j".into(),
        token: Token::new(7),
        sequence: 0,
    }
}

/// Writes files, and returns the run's items in short form; `None` if the record has as much.
fn read(files: &[(&str, &str)], run: &RunRecord) -> Option<Vec<String>> {
    let dir = tempfile::tempdir().unwrap();
    for (name, text) in files {
        fs::write(dir.path().join(name), text).unwrap();
    }
    let mut kept = KeptRun::find(dir.path(), key()).unwrap();
    let mut found = Vec::new();
    kept.read(run, &mut |item| {
        found.push(match item {
            OutputItem::Line { line, .. } => {
                let level = line.level.unwrap_or_default();
                let at = line.at_unix_ms.as_u64();
                format!("{at} {} {level}|{}", line.stream.as_str(), line.text)
            }
            OutputItem::Gap { bytes, cause, .. } => format!("gap {bytes} {cause:?}"),
            _ => String::new(),
        });
        true
    })
    .unwrap();
    kept.completes(run).then_some(found)
}

#[test]
fn lines_of_one_run_are_found_over_several_files() {
    let old = "1970-01-01T00:00:01Z 7 -- run began on web1 (attempt 1)\n\
               1970-01-01T00:00:01.500Z 7 stdout a  b\n\
               1970-01-01T00:00:02Z 8 stdout other\ntorn";
    let new = "\n1970-01-01T00:00:03Z 7.1 stdout other\n1970-01-01T00:00:03Z 7 stderr \n\
               1970-01-01T00:00:03Z 7 log warn: disk: full\n\
               1970-01-01T00:00:03Z 7 -- run ended: done\n";
    let files = [("000000000001000.log", old), ("current.log", new)];
    let found = read(&files, &record("j", "web1", "disk: full\n", 17));
    let expected = [
        "1500 stdout |a  b",
        "3000 stderr |",
        "3000 log warn|disk: full",
    ];
    assert_eq!(found.unwrap(), expected);
}

/// Fails when bytes that the host could not write vanish from what is shown.
#[test]
fn bytes_that_were_not_written_are_a_gap() {
    let text = "1970-01-01T00:00:01Z 7 -- run began on web1 (attempt 1)\n\
                1970-01-01T00:00:01Z 7 stdout aa\n1970-01-01T00:00:01Z 7 std\n\
                1970-01-01T00:00:02Z - -- 30 bytes of output are missing here\n\
                1970-01-01T00:00:03Z 7 stdout bb\n1970-01-01T00:00:03Z 7 -- run ended: done\n\
                1970-01-01T00:00:04Z - -- 50 bytes of output are missing here\n\
                1970-01-01T00:00:05Z 8 stdout other\n";
    let found = read(&[("current.log", text)], &record("j", "web1", "bb\n", 20));
    let expected = ["1000 stdout |aa", "gap 30 Unkept", "3000 stdout |bb"];
    assert_eq!(found.unwrap(), expected);
}

/// Fails when files that were deleted, or an end that was not written, are passed over in silence.
#[test]
fn incomplete_files_are_shown_with_their_gap() {
    let (began, line) = (
        "1970-01-01T00:00:01Z 7 -- run began on web1 (attempt 1)\n",
        "1970-01-01T00:00:01Z 7 stdout aaaa\n",
    );
    let run = record("j", "web1", "b\n", 20);
    let without_beginning = read(&[("current.log", line)], &run).unwrap();
    assert_eq!(without_beginning, ["gap 15 Earlier", "1000 stdout |aaaa"]);
    let without_end = read(&[("current.log", &format!("{began}{line}"))], &run).unwrap();
    assert_eq!(without_end, ["1000 stdout |aaaa", "gap 15 Unkept"]);
}

/// Fails when files with less than the record take its place.
#[test]
fn record_with_more_output_than_the_files_is_preferred() {
    let line = "1970-01-01T00:00:01Z 7 stdout a\n";
    assert_eq!(
        read(&[("current.log", line)], &record("j", "web1", "bb\n", 20)),
        None
    );
    assert_eq!(read(&[], &record("j", "web1", "", 20)), None);
}

/// Fails when a file that cannot be read counts as one without the run.
#[test]
fn file_that_cannot_be_read_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("current.log")).unwrap();
    assert!(KeptRun::find(dir.path(), key()).is_err());
}

#[test]
fn folder_is_of_this_host_and_never_elsewhere() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir_all(dir.path().join("logs/j")).unwrap();
    let folder = |job, host| folder_of(&record(job, host, "", 0), "web1", dir.path());
    assert!(folder("j", "web1").is_some());
    for (job, host) in [
        ("j", "web2"),
        ("..", "web1"),
        ("../logs/j", "web1"),
        ("k", "web1"),
    ] {
        assert_eq!(folder(job, host), None, "{job} {host}");
    }
}
