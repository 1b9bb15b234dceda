//! Files with the last output of runs under way, for the case that this process dies.
//!
//! They are written behind, once a second, and need no sync: they outlive the process in the kernel's memory. A later
//! process of the data directory finds them, and adds the output to the records of those runs.

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use leasehold_records::{RunKey, RunRecord};
use serde::{Deserialize, Serialize};

use super::run_output::RunOutput;
use crate::identity::HostIdentity;

/// Directory of the files in the data directory.
const FOLDER: &str = "last-output";
/// Most bytes read of a file: the largest output that a record keeps (128 KiB) with each byte as JSON's longest escape,
/// six bytes, and the rest of the record.
const LARGEST: u64 = 1 << 20;
/// Time for which files of another store are kept.
const LONGEST: Duration = Duration::from_hours(24 * 7);
/// Number of files that are read at a start.
const MOST: usize = 1_024;

/// The store that runs are recorded in: a data directory may be used with another one later.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RecordStore {
    /// The cluster's id, in hexadecimal.
    pub(crate) cluster: String,
    pub(crate) root: String,
}

/// Content of a file.
#[derive(Serialize, Deserialize)]
struct Written {
    store: RecordStore,
    record: RunRecord,
}

/// A run of a dead process of this data directory, and the file with its last output.
#[derive(Debug)]
pub(crate) struct CutOffOutput {
    /// Its record while it ran, with the output that was written down.
    pub(crate) record: RunRecord,
    pub(super) file: PathBuf,
}

/// Finds the last output of runs of this store that were under way when their process died. Blocks.
pub(crate) fn find_cut_off(
    data_dir: &Path,
    identity: &HostIdentity,
    store: &RecordStore,
) -> Vec<CutOffOutput> {
    if identity.life_on_disk().is_none() {
        return Vec::new();
    }
    let mut found = Vec::new();
    let entries = fs::read_dir(data_dir.join(FOLDER)).into_iter().flatten();
    for entry in entries.flatten() {
        let name = entry.file_name();
        let Some((life, _)) = name.to_str().and_then(|name| name.split_once('.')) else {
            continue;
        };
        if !identity.has_ended(life) || found.len() == MOST {
            continue;
        }
        let file = entry.path();
        match read(&file) {
            Some(Written { store: of, record }) if of == *store => {
                found.push(CutOffOutput { record, file });
            }
            // Runs of another store: a process that uses it again finds them.
            Some(_) if !is_old(&entry) => {}
            _ => drop(fs::remove_file(file)),
        }
    }
    found
}

/// Returns true for a file that no process has wanted for [`LONGEST`].
fn is_old(entry: &fs::DirEntry) -> bool {
    let changed = entry.metadata().and_then(|facts| facts.modified());
    changed.is_ok_and(|changed| changed.elapsed().is_ok_and(|age| age > LONGEST))
}

fn read(file: &Path) -> Option<Written> {
    let mut bytes = Vec::new();
    let opened = leasehold_lock::open_regular(file).ok()?;
    opened.take(LARGEST).read_to_end(&mut bytes).ok()?;
    serde_json::from_slice(&bytes).ok()
}

impl CutOffOutput {
    /// Deletes the file. A file that remains is found again by the next process.
    pub(crate) fn forget(&self) {
        if let Err(error) = fs::remove_file(&self.file) {
            tracing::debug!(%error, "cannot delete {}", self.file.display());
        }
    }
}

/// The files of this process.
#[derive(Debug)]
pub(super) struct LastOutput {
    folder: PathBuf,
    life: String,
    store: RecordStore,
    number: u64,
    /// Written runs: their files, and the position that is in the file.
    written: BTreeMap<RunKey, (PathBuf, u64)>,
    is_failed: bool,
}

impl LastOutput {
    pub(super) fn new(data_dir: &Path, life: &str, store: RecordStore) -> Self {
        Self {
            folder: data_dir.join(FOLDER),
            life: life.to_owned(),
            store,
            number: 0,
            written: BTreeMap::new(),
            is_failed: false,
        }
    }

    /// Writes the output of runs that have written since the last call, and deletes the files of ended runs.
    pub(super) fn save(&mut self, active: &[Arc<RunOutput>]) {
        self.written.retain(|key, (file, _)| {
            let is_active = active.iter().any(|run| run.key == *key);
            is_active || fs::remove_file(file).is_err()
        });
        for run in active {
            let end = run.end_byte();
            let known = self.written.get(&run.key);
            if end == known.map_or(0, |(_, end)| *end) {
                continue;
            }
            let file = if let Some((file, _)) = known {
                file.clone()
            } else {
                self.number += 1;
                self.folder.join(format!("{}.{}", self.life, self.number))
            };
            let written = Written {
                store: self.store.clone(),
                record: run.unended_record(),
            };
            match self.write(&file, &written) {
                Ok(()) => {
                    self.written.insert(run.key.clone(), (file, end));
                }
                Err(error) if !self.is_failed => {
                    self.is_failed = true;
                    tracing::warn!(
                        %error,
                        "the last output of running guests is not written to {}: it would be lost in a crash",
                        self.folder.display()
                    );
                }
                Err(_) => {}
            }
        }
    }

    fn write(&self, file: &Path, written: &Written) -> io::Result<()> {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&self.folder)?;
        // Not a file that the next process reads: its name has no point.
        let beside = self.folder.join(format!("{}-new", self.life));
        let mut new = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&beside)?;
        new.write_all(&serde_json::to_vec(written)?)?;
        fs::rename(&beside, file)
    }
}

impl Drop for LastOutput {
    fn drop(&mut self) {
        for (file, _) in self.written.values() {
            let _ = fs::remove_file(file);
        }
    }
}

#[cfg(test)]
mod tests {
    use leasehold_lock::BootTime;
    use leasehold_runtime::{Line, OutputTap as _, Stream};

    use super::*;

    fn run(token: u64) -> Arc<RunOutput> {
        let record = crate::record_writer::sample(token);
        Arc::new(RunOutput::new(record, 1 << 10, None))
    }

    fn write(run: &RunOutput, text: &str) {
        run.line(&Line {
            stream: Stream::Stdout,
            level: None,
            text: text.into(),
            fields: Vec::new(),
            at: BootTime::from_nanos(0),
        });
    }

    fn store(cluster: &str) -> RecordStore {
        RecordStore {
            cluster: cluster.into(),
            root: "/leasehold/".into(),
        }
    }

    /// Fails when the run of one store is recorded in another.
    #[test]
    fn output_of_a_dead_process_is_found_by_the_next_one() {
        let dir = tempfile::tempdir().unwrap();
        let dead = HostIdentity::take(dir.path());
        let mut last = LastOutput::new(dir.path(), dead.life_on_disk().unwrap(), store("a"));
        let (talks, silent, ends) = (run(7), run(8), run(9));
        write(&talks, "first");
        write(&ends, "bye");
        last.save(&[talks.clone(), silent.clone(), ends]);
        for number in 0..1_000 {
            write(&talks, &format!("line {number}"));
        }
        last.save(&[talks, silent]);
        let found = find_cut_off(dir.path(), &dead, &store("a"));
        assert!(found.is_empty(), "it is alive");
        std::mem::forget(last);
        drop(dead);
        let next = HostIdentity::take(dir.path());
        assert!(find_cut_off(dir.path(), &next, &store("b")).is_empty());
        let found = find_cut_off(dir.path(), &next, &store("a"));
        assert_eq!(found.len(), 1, "the ended run is forgotten");
        let record = &found[0].record;
        assert_eq!(record.token.get(), 7);
        assert!(record.output.ends_with("line 999\n") && record.output.len() <= 1 << 10);
        assert!(record.output_truncated_bytes > 5_000);
        found[0].forget();
        assert!(find_cut_off(dir.path(), &next, &store("a")).is_empty());
    }
}
