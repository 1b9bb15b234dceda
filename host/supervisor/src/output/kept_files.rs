//! Files with the whole output of jobs: `logs/JOB/current.log`, and older ones beside it.
//!
//! ```text
//! 2026-11-30T03:00:01.004Z 1204 -- run began on web2 (attempt 1)
//! 2026-11-30T03:00:01.104Z 1204 stdout batch 1
//! ```
//!
//! A file that is full or old is renamed, and another begun. The oldest file of the job with the most bytes is deleted
//! when all files together exceed their size.

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use leasehold_config::KeepOutput;
use leasehold_records::UnixMs;
use rustix::fs::OFlags;

/// Directory of the files in the data directory.
pub(super) const FOLDER: &str = "logs";
const CURRENT: &str = "current.log";
/// Part of all bytes that one file may take, and its bounds.
const PARTS: u64 = 16;
const SMALLEST: u64 = 16 << 10;
const LARGEST: u64 = 16 << 20;
/// Part of the age after which a file is renamed, so that whole files are deleted in time.
const AGES: u32 = 4;
/// Pause before a file that could not be written is tried again.
const AGAIN_AFTER: Duration = Duration::from_secs(10);

/// The files of all jobs.
#[derive(Debug)]
pub(super) struct KeptFiles {
    folder: PathBuf,
    keep: KeepOutput,
    jobs: BTreeMap<String, JobFile>,
}

/// The current file of one job.
#[derive(Debug)]
struct JobFile {
    state: FileState,
    /// Bytes that are in no file since the last note about it.
    missing: u64,
    /// True if lines came since the last search for old files.
    is_used: bool,
}

#[derive(Debug)]
enum FileState {
    Closed,
    Open {
        file: File,
        bytes: u64,
        since: SystemTime,
    },
    Failed {
        again_at: Instant,
    },
}

/// A file of a job on disk.
#[derive(Debug)]
struct FoundFile {
    path: PathBuf,
    bytes: u64,
    changed: SystemTime,
    is_current: bool,
}

impl KeptFiles {
    pub(super) fn new(data_dir: &Path, keep: KeepOutput) -> Self {
        Self {
            folder: data_dir.join(FOLDER),
            keep,
            jobs: BTreeMap::new(),
        }
    }

    /// Appends lines of a job. `missing` bytes before them found no room. Returns true if a file was renamed.
    pub(super) fn append(&mut self, job: &str, text: &str, missing: u64, now: SystemTime) -> bool {
        let Some(folder) = job_folder(&self.folder, job) else {
            return false;
        };
        let file = self.jobs.entry(job.to_owned()).or_insert(JobFile {
            state: FileState::Closed,
            missing: 0,
            is_used: true,
        });
        file.missing += missing;
        file.is_used = true;
        let was_failed = match file.state {
            FileState::Failed { again_at } if Instant::now() < again_at => {
                file.missing += length(text);
                return false;
            }
            FileState::Failed { .. } => true,
            _ => false,
        };
        let most = (self.keep.size / PARTS).clamp(SMALLEST, LARGEST);
        let oldest = self.keep.age / AGES;
        match file.write(&folder, text, (most, oldest), now) {
            Ok(is_renamed) => {
                if was_failed {
                    tracing::warn!(job, "the output of this job is kept again");
                }
                is_renamed
            }
            Err(error) => {
                if !was_failed {
                    tracing::warn!(
                        job,
                        %error,
                        "the output of this job is not kept in {}; it is tried again every {} s",
                        folder.display(),
                        AGAIN_AFTER.as_secs()
                    );
                }
                file.missing += length(text);
                file.state = FileState::Failed {
                    again_at: Instant::now() + AGAIN_AFTER,
                };
                false
            }
        }
    }

    /// Deletes files that are too old, and the oldest files beyond the size of all. Closes the files of jobs that
    /// have written nothing since the last time.
    pub(super) fn tidy(&mut self, now: SystemTime) {
        self.jobs.retain(|_, job| !job.is_idle());
        let mut jobs = self.find();
        for (job, files) in &mut jobs {
            while let Some(oldest) = files.first()
                && now.duration_since(oldest.changed).unwrap_or_default() >= self.keep.age
            {
                let oldest = files.remove(0);
                self.delete(job, &oldest);
            }
        }
        let sum = |files: &[FoundFile]| files.iter().map(|file| file.bytes).sum::<u64>();
        let mut total: u64 = jobs.values().map(|files| sum(files)).sum();
        while total > self.keep.size {
            let largest = jobs.iter_mut().max_by_key(|(_, files)| sum(files));
            let Some((job, files)) = largest.filter(|(_, files)| !files.is_empty()) else {
                return;
            };
            let oldest = files.remove(0);
            total -= oldest.bytes;
            let job = job.clone();
            self.delete(&job, &oldest);
        }
    }

    fn delete(&mut self, job: &str, file: &FoundFile) {
        if file.is_current
            && let Some(job) = self.jobs.get_mut(job)
        {
            // The next line begins another.
            job.state = FileState::Closed;
        }
        if let Err(error) = fs::remove_file(&file.path) {
            tracing::debug!(%error, "cannot delete {}", file.path.display());
        }
    }

    /// Finds all files by job, the oldest first.
    fn find(&self) -> BTreeMap<String, Vec<FoundFile>> {
        let mut jobs = BTreeMap::new();
        for folder in fs::read_dir(&self.folder).into_iter().flatten().flatten() {
            let Ok(name) = folder.file_name().into_string() else {
                continue;
            };
            let mut files: Vec<FoundFile> = Vec::new();
            for path in files_of(&folder.path()) {
                if let Ok(facts) = fs::symlink_metadata(&path)
                    && facts.is_file()
                {
                    files.push(FoundFile {
                        is_current: path.ends_with(CURRENT),
                        bytes: facts.len(),
                        changed: facts.modified().unwrap_or(SystemTime::UNIX_EPOCH),
                        path,
                    });
                }
            }
            jobs.insert(name, files);
        }
        jobs
    }
}

impl JobFile {
    /// True if nothing was written since the last call, and nothing is to be noted.
    fn is_idle(&mut self) -> bool {
        let was_used = std::mem::replace(&mut self.is_used, false);
        !was_used && self.missing == 0
    }

    /// Writes text, into another file if the current one is full or old. Returns true if it was renamed.
    fn write(
        &mut self,
        folder: &Path,
        text: &str,
        (most, oldest): (u64, Duration),
        now: SystemTime,
    ) -> io::Result<bool> {
        let current = folder.join(CURRENT);
        let mut is_renamed = false;
        if let FileState::Open { bytes, since, .. } = &self.state {
            let age = now.duration_since(*since).unwrap_or_default();
            if *bytes + length(text) > most && *bytes > 0 || age > oldest {
                let name = format!("{:015}.log", UnixMs::from_system(now).as_u64());
                fs::rename(&current, folder.join(name))?;
                self.state = FileState::Closed;
                is_renamed = true;
            }
        }
        if !matches!(self.state, FileState::Open { .. }) {
            DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(folder)?;
            let no_link = OFlags::NOFOLLOW.bits().cast_signed();
            let file = OpenOptions::new()
                .append(true)
                .create(true)
                .mode(0o600)
                .custom_flags(no_link)
                .open(&current)?;
            let facts = file.metadata()?;
            self.state = FileState::Open {
                bytes: facts.len(),
                // Lines of an earlier process age too.
                since: match facts.len() {
                    0 => now,
                    _ => facts.created().unwrap_or(now),
                },
                file,
            };
        }
        let FileState::Open { file, bytes, .. } = &mut self.state else {
            return Ok(is_renamed);
        };
        if self.missing > 0 {
            // A line that was cut by a full disk is ended first.
            let at = UnixMs::from_system(now);
            let note = format!(
                "\n{at} - -- {} bytes of output are missing here\n",
                self.missing
            );
            file.write_all(note.as_bytes())?;
            self.missing = 0;
            *bytes += length(&note);
        }
        file.write_all(text.as_bytes())?;
        *bytes += length(text);
        Ok(is_renamed)
    }
}

/// Returns the folder of a job's files; `None` for a name that is no name of a folder.
fn job_folder(folder: &Path, job: &str) -> Option<PathBuf> {
    let is_safe = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    (!job.is_empty() && !job.starts_with('.') && job.bytes().all(is_safe)).then(|| folder.join(job))
}

/// Returns the files in a job's folder, the oldest first. The current one sorts behind all numbers.
fn files_of(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let paths = entries.map(|entry| entry.path());
    let mut files: Vec<PathBuf> = paths
        .filter(|path| path.extension().is_some_and(|end| end == "log"))
        .collect();
    files.sort();
    files
}

fn length(text: &str) -> u64 {
    u64::try_from(text.len()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
