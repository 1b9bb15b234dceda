//! The whole output of a run, from the files that a host on this machine keeps.

use std::fs;
use std::io::{self, BufRead as _, BufReader};
use std::path::{Path, PathBuf};

use leasehold_follow::OutputItem;
use leasehold_lock::open_regular;
use leasehold_records::{OutputLine, OutputStream, RunKey, RunRecord, UnixMs};

/// Returns the folder with the output of the record's job, if this host keeps it. The path in the record is not used:
/// another client may have written it.
pub(super) fn folder_of(run: &RunRecord, host: &str, data_dir: &Path) -> Option<PathBuf> {
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    let is_safe = !run.job.starts_with('.') && run.job.bytes().all(is_name);
    let folder = data_dir.join("logs").join(&run.job);
    (run.host == host && is_safe && folder.is_dir()).then_some(folder)
}

/// Passes the lines of a run to `each` until that returns false. Returns the number of lines.
///
/// # Errors
///
/// A file cannot be read, or `each` fails.
pub(super) fn read_lines(
    folder: &Path,
    run: &RunKey,
    mut each: impl FnMut(OutputItem) -> io::Result<bool>,
) -> io::Result<u64> {
    let mut files: Vec<PathBuf> = fs::read_dir(folder)?
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|end| end == "log"))
        .collect();
    files.sort();
    let name = match run.sequence {
        0 => run.token.to_string(),
        sequence => format!("{}.{sequence}", run.token),
    };
    let mut count = 0;
    for file in files {
        for line in BufReader::new(open_regular(&file)?).split(b'\n') {
            let line = line?;
            let line = String::from_utf8_lossy(&line);
            if let Some(line) = parse(&line, &name) {
                count += 1;
                let run = run.clone();
                if !each(OutputItem::Line { run, line })? {
                    return Ok(count);
                }
            }
        }
    }
    Ok(count)
}

/// Parses a line of the run of this name: time, run, stream and text. Notes are left out.
fn parse(line: &str, name: &str) -> Option<OutputLine> {
    let mut parts = line.splitn(4, ' ');
    let (at, run, stream) = (parts.next()?, parts.next()?, parts.next()?);
    let at = humantime::parse_rfc3339(at).ok().filter(|_| run == name)?;
    Some(OutputLine {
        at_unix_ms: UnixMs::from_system(at),
        stream: OutputStream::parse(stream)?,
        level: None,
        text: parts.next().unwrap_or_default().to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use leasehold_lock::Token;

    use super::*;

    #[test]
    fn lines_of_one_run_are_found_over_several_files() {
        let dir = tempfile::tempdir().unwrap();
        let old = "1970-01-01T00:00:01Z 7 -- run began on web1 (attempt 1)\n\
                   1970-01-01T00:00:01.500Z 7 stdout a  b\n\
                   1970-01-01T00:00:02Z 8 stdout other\ntorn";
        let new = "\n1970-01-01T00:00:03Z 7.1 stdout other\n1970-01-01T00:00:03Z 7 stderr \n";
        fs::write(dir.path().join("000000000001000.log"), old).unwrap();
        fs::write(dir.path().join("current.log"), new).unwrap();
        let run = RunKey {
            job: "j".into(),
            token: Token::new(7),
            sequence: 0,
        };
        let mut found = Vec::new();
        let count = read_lines(dir.path(), &run, |item| {
            if let OutputItem::Line { line, .. } = item {
                found.push((line.at_unix_ms.as_u64(), line.stream.as_str(), line.text));
            }
            Ok(true)
        });
        assert_eq!(count.unwrap(), 2);
        assert_eq!(
            found,
            [
                (1_500, "stdout", "a  b".to_owned()),
                (3_000, "stderr", String::new())
            ]
        );
    }

    #[test]
    fn folder_is_of_this_host_and_never_elsewhere() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("logs/j")).unwrap();
        let run = |job: &str, host: &str| {
            let json = format!(
                r#"{{"job":{job:?},"host":{host:?},"lock":"l","token":7,"sequence":0,"attempt":1,
                    "plugin_sha256":"00","started_unix_ms":1,"outcome":"done"}}"#
            );
            RunRecord::from_json(json.as_bytes()).unwrap()
        };
        let folder = |job, host| folder_of(&run(job, host), "web1", dir.path());
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
}
