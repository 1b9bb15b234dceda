//! The output of a run in the files that a host on this machine keeps.
//!
//! The files are read twice: once to see how much of the run they have, and once to print it. Nothing of a run is
//! printed from files that cannot be read.

use std::fs::{self, File};
use std::io::{self, BufRead as _, BufReader, Seek as _};
use std::path::{Path, PathBuf};

use leasehold_follow::{GapCause, OutputItem};
use leasehold_lock::open_regular;
use leasehold_records::{OutputLine, OutputStream, RunKey, RunRecord, UnixMs};

/// Levels of lines from the log interface, which stand before their text.
const LEVELS: [&str; 5] = ["trace", "debug", "info", "warn", "error"];

/// The output of one run in files.
#[derive(Debug)]
pub(super) struct KeptRun {
    key: RunKey,
    files: Vec<File>,
    /// True if the files have its beginning.
    has_beginning: bool,
    /// Bytes of its lines, as they count in its record.
    bytes: u64,
    /// True if notes in the files count bytes that were not written.
    has_notes: bool,
}

/// An entry of a file, about one run or about none.
#[derive(Debug, PartialEq, Eq)]
enum FileEntry {
    /// A line of the run.
    Line(OutputLine),
    Began,
    Ended,
    /// A line or a note of another run.
    Other,
    /// So many bytes of the file were not written here.
    Missing(u64),
    /// Not an entry: the rest of a line that a full disk cut.
    Torn,
}

/// Returns the folder with the output of the record's job, if this host keeps it. The path in the record is not used:
/// another client may have written it.
pub(super) fn folder_of(run: &RunRecord, host: &str, data_dir: &Path) -> Option<PathBuf> {
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    let is_safe = !run.job.starts_with('.') && run.job.bytes().all(is_name);
    let folder = data_dir.join("logs").join(&run.job);
    (run.host == host && is_safe && folder.is_dir()).then_some(folder)
}

impl KeptRun {
    /// Looks for the run in the files of a folder.
    ///
    /// # Errors
    ///
    /// A file cannot be read.
    pub(super) fn find(folder: &Path, key: RunKey) -> io::Result<Self> {
        let mut paths: Vec<PathBuf> = fs::read_dir(folder)?
            .flatten()
            .map(|entry| entry.path())
            .filter(|path| path.extension().is_some_and(|end| end == "log"))
            .collect();
        paths.sort();
        let mut kept = Self {
            key,
            files: Vec::new(),
            has_beginning: false,
            bytes: 0,
            has_notes: false,
        };
        for path in paths {
            match open_regular(&path) {
                Ok(file) => kept.files.push(file),
                // Its host has deleted it meanwhile.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        let (mut has_beginning, mut bytes, mut has_notes) = (false, 0, false);
        kept.each_item(|item| {
            match item {
                None => has_beginning = true,
                Some(OutputItem::Line { line, .. }) => bytes += line.length(),
                Some(_) => has_notes = true,
            }
            true
        })?;
        Ok(Self {
            has_beginning,
            bytes,
            has_notes,
            ..kept
        })
    }

    /// Returns true if the files have more of the run's output than its record.
    pub(super) fn completes(&self, run: &RunRecord) -> bool {
        self.bytes > recorded_bytes(run)
    }

    /// Passes the run's lines to `each`, with the gaps between them, until that returns false.
    ///
    /// # Errors
    ///
    /// A file cannot be read.
    pub(super) fn read(
        &mut self,
        run: &RunRecord,
        each: &mut dyn FnMut(OutputItem) -> bool,
    ) -> io::Result<()> {
        let all = run
            .output_truncated_bytes
            .saturating_add(recorded_bytes(run));
        let missing = all.saturating_sub(self.bytes);
        let gap = |cause| OutputItem::Gap {
            run: run.key(),
            bytes: missing,
            cause,
        };
        let mut goes_on = true;
        if missing > 0 && !self.has_beginning {
            goes_on = each(gap(GapCause::Earlier));
        }
        if goes_on {
            self.each_item(|item| {
                goes_on = item.is_none_or(&mut *each);
                goes_on
            })?;
        }
        if goes_on && missing > 0 && self.has_beginning && !self.has_notes {
            each(gap(GapCause::Unkept));
        }
        Ok(())
    }

    /// Passes lines and gaps of the run on, and `None` for its beginning, until `each` returns false.
    fn each_item(&mut self, mut each: impl FnMut(Option<OutputItem>) -> bool) -> io::Result<()> {
        let name = self.key.name().to_string();
        // Bytes that were not written, since the last entry of any run.
        let (mut is_inside, mut missing) = (false, 0);
        for file in &mut self.files {
            file.rewind()?;
            for line in BufReader::new(file).split(b'\n') {
                let line = line?;
                let entry = parse(&String::from_utf8_lossy(&line), &name);
                let is_own = matches!(entry, FileEntry::Line(_) | FileEntry::Ended);
                let is_entry = !matches!(entry, FileEntry::Missing(_) | FileEntry::Torn);
                if is_entry && missing > 0 {
                    let bytes = std::mem::take(&mut missing);
                    let run = self.key.clone();
                    let cause = GapCause::Unkept;
                    let gap = OutputItem::Gap { run, bytes, cause };
                    if (is_inside || is_own) && !each(Some(gap)) {
                        return Ok(());
                    }
                }
                match entry {
                    FileEntry::Line(line) => {
                        is_inside = true;
                        let run = self.key.clone();
                        if !each(Some(OutputItem::Line { run, line })) {
                            return Ok(());
                        }
                    }
                    FileEntry::Began => {
                        is_inside = true;
                        if !each(None) {
                            return Ok(());
                        }
                    }
                    FileEntry::Ended | FileEntry::Other => is_inside = false,
                    FileEntry::Missing(bytes) => missing += bytes,
                    FileEntry::Torn => {}
                }
            }
        }
        Ok(())
    }
}

/// Returns the bytes of output that the record has.
fn recorded_bytes(run: &RunRecord) -> u64 {
    run.output_lines()
        .map(|(_, line)| line.len() as u64 + 1)
        .sum()
}

/// Parses an entry, for the run of this name: time, run, stream and text.
fn parse(line: &str, name: &str) -> FileEntry {
    parse_entry(line, name).unwrap_or(FileEntry::Torn)
}

fn parse_entry(line: &str, name: &str) -> Option<FileEntry> {
    let mut parts = line.splitn(4, ' ');
    let (at, run, stream) = (parts.next()?, parts.next()?, parts.next()?);
    let at = humantime::parse_rfc3339(at).ok()?;
    let text = parts.next().unwrap_or_default();
    let is_note = stream == "--";
    if run == "-" {
        let bytes = text.strip_suffix(" bytes of output are missing here")?;
        return Some(FileEntry::Missing(bytes.parse().ok()?));
    }
    if run != name {
        return Some(FileEntry::Other);
    }
    if is_note {
        return Some(if text.starts_with("run began ") {
            FileEntry::Began
        } else {
            FileEntry::Ended
        });
    }
    let stream = OutputStream::parse(stream)?;
    let level = match (stream, text.split_once(": ")) {
        (OutputStream::Log, Some((level, text))) if LEVELS.contains(&level) => Some((level, text)),
        _ => None,
    };
    Some(FileEntry::Line(OutputLine {
        at_unix_ms: UnixMs::from_system(at),
        stream,
        level: level.map(|(level, _)| level.to_owned()),
        text: level.map_or(text, |(_, text)| text).to_owned(),
    }))
}

#[cfg(test)]
mod tests;
