//! Files of the quarantine in the data directory: notes of first runs, digests that have proven themselves, and
//! digests in quarantine.
//!
//! ```text
//! first-runs/LIFE.N      a run under way: a byte that shows whether its guest is polled, and its record
//! first-runs/proven      digests, one a line
//! quarantine/SHA256      since when, and of which run; removing it lifts the quarantine
//! ```

use std::collections::VecDeque;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use leasehold_records::RunRecord;
use serde::{Deserialize, Serialize};

use leasehold_config::wall::UnixMs;
use leasehold_runtime::PollMark;

/// Directory of notes, and its file of proven digests.
const NOTES: &str = "first-runs";
const PROVEN: &str = "proven";
/// Directory with one file for each digest in quarantine.
const HELD: &str = "quarantine";
/// Most bytes read of a file: a record without output is far smaller, and so are all digests.
const LARGEST: u64 = 1 << 20;

/// The directories of one data directory, and the text that names this process.
#[derive(Debug)]
pub(super) struct Files {
    notes: PathBuf,
    held: PathBuf,
    life: String,
    boot: String,
}

/// A note that a process left behind.
#[derive(Debug)]
pub(super) struct Note {
    pub(super) path: PathBuf,
    /// True if the guest was being polled.
    pub(super) was_polled: bool,
    pub(super) record: RunRecord,
}

/// Content of a note after its first byte.
#[derive(Serialize, Deserialize)]
struct Written {
    /// The machine's boot after which the note was written.
    boot: String,
    record: RunRecord,
}

/// The content of a digest's file in quarantine.
#[derive(Serialize, Deserialize)]
struct Sentence {
    since_unix_ms: UnixMs,
    run: String,
}

impl Files {
    pub(super) fn open(data_dir: &Path, life: &str) -> io::Result<Self> {
        let (notes, held) = (data_dir.join(NOTES), data_dir.join(HELD));
        for directory in [&notes, &held] {
            DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(directory)?;
        }
        let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        Ok(Self {
            notes,
            held,
            life: life.to_owned(),
            boot: boot.trim().to_owned(),
        })
    }

    /// Returns the file whose removal lifts the quarantine of a digest.
    pub(super) fn file_of(&self, sha256: &str) -> PathBuf {
        self.held.join(sha256)
    }

    /// Writes the note of a run that is about to begin.
    pub(super) fn note(&self, number: u64, record: &RunRecord) -> io::Result<(PathBuf, PollMark)> {
        let path = self.notes.join(format!("{}.{number}", self.life));
        let written = Written {
            boot: self.boot.clone(),
            record: record.clone(),
        };
        let mut file = private().create_new(true).open(&path)?;
        let mut bytes = vec![PollMark::OUTSIDE];
        serde_json::to_writer(&mut bytes, &written)?;
        file.write_all(&bytes)?;
        Ok((path, PollMark::new(file)))
    }

    /// Returns the notes of ended processes from this boot of the machine. Notes of ended processes from earlier
    /// boots are removed.
    pub(super) fn notes_of(&self, has_ended: impl Fn(&str) -> bool) -> Vec<Note> {
        let mut found = Vec::new();
        for entry in fs::read_dir(&self.notes).into_iter().flatten().flatten() {
            let name = entry.file_name();
            let Some((life, _)) = name.to_str().and_then(|name| name.split_once('.')) else {
                continue;
            };
            if !has_ended(life) {
                continue;
            }
            let path = entry.path();
            match self.read(&path) {
                Some((was_polled, record)) => found.push(Note {
                    path,
                    was_polled,
                    record,
                }),
                None => drop(fs::remove_file(path)),
            }
        }
        found
    }

    fn read(&self, path: &Path) -> Option<(bool, RunRecord)> {
        let bytes = read(path).ok()?;
        let (first, rest) = bytes.split_first()?;
        let written: Written = serde_json::from_slice(rest).ok()?;
        let is_ours = written.boot == self.boot && is_digest(&written.record.plugin_sha256);
        is_ours.then_some((*first == PollMark::INSIDE, written.record))
    }

    /// Returns the digests that have proven themselves, oldest first.
    pub(super) fn proven(&self) -> Vec<String> {
        let text = read(&self.notes.join(PROVEN)).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let digests = text.lines().filter(|line| is_digest(line));
        digests.map(str::to_owned).collect()
    }

    pub(super) fn write_proven(&self, digests: &VecDeque<String>) {
        let mut text = String::new();
        for digest in digests {
            text.push_str(digest);
            text.push('\n');
        }
        let beside = self.notes.join(format!("{PROVEN}.{}", self.life));
        let written = private()
            .create(true)
            .truncate(true)
            .open(&beside)
            .and_then(|mut file| file.write_all(text.as_bytes()))
            .and_then(|()| fs::rename(&beside, self.notes.join(PROVEN)));
        if let Err(error) = written {
            // The plugins get notes once more after the next start.
            tracing::debug!(%error, "digests that have proven themselves were not written down");
        }
    }

    /// Puts a digest in quarantine.
    pub(super) fn hold(&self, sha256: &str, since: UnixMs, run: &str) -> io::Result<()> {
        let sentence = Sentence {
            since_unix_ms: since,
            run: run.to_owned(),
        };
        let file = private()
            .create(true)
            .truncate(true)
            .open(self.file_of(sha256))?;
        Ok(serde_json::to_writer(file, &sentence)?)
    }

    /// Returns the digests in quarantine, with their start times and the runs that caused them.
    pub(super) fn held(&self) -> Vec<(String, UnixMs, String)> {
        let entries = fs::read_dir(&self.held).into_iter().flatten().flatten();
        let held = entries.filter_map(|entry| {
            let name = entry.file_name().into_string().ok()?;
            let bytes = read(&entry.path()).ok().filter(|_| is_digest(&name))?;
            let sentence: Sentence = serde_json::from_slice(&bytes).ok()?;
            let run = leasehold_records::printable::line(&sentence.run);
            Some((name, sentence.since_unix_ms, run))
        });
        held.collect()
    }
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(LARGEST).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true).mode(0o600);
    options
}

/// True if the text can be the name of a file: a digest in hexadecimal.
fn is_digest(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}
