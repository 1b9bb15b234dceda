//! Quarantine: a plugin that crashed this host's process in its first run is not run again at once.
//!
//! Before the first run of a digest, a note is written in the data directory. It is deleted when the run has ended
//! or has gone on for a while. While the guest is polled, a byte of the note shows it. If a process finds the note
//! of a dead one whose guest was being polled, it puts that digest in quarantine. A kill from outside rarely hits a
//! guest in a poll; if it does, the plugin is held for an hour. So is a guest that was polled on another thread at
//! the same moment.
//!
//! Notes need no sync: they outlive the process in the kernel's memory. A note from before the machine's last start
//! is ignored, because a guest does not crash a machine.
//!
//! - `note`: the files.
//!
//! No file is touched for a digest that has proven itself, because that would slow every run down.

mod note;

use std::collections::{HashMap, HashSet, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use leasehold_records::{Outcome, RunRecord};

use self::note::{Files, Note};
use crate::identity::HostIdentity;
use leasehold_config::wall::UnixMs;
use leasehold_runtime::PollMark;

/// Time that a digest stays in quarantine. It is so long that a crashing plugin seldom stops its host. It is so
/// short that a kill which looked like a crash is soon forgotten.
const HELD: Duration = Duration::from_hours(1);
/// Time after which a run that goes on has proven its plugin. An error in compiled code shows when the code is
/// first entered. A host that dies later than this has done work between two crashes.
pub(crate) const PROBATION: Duration = Duration::from_secs(10);
/// Number of digests kept as proven. A digest beyond it gets a note again.
const MOST_PROVEN: usize = 4096;

/// A digest in quarantine.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Held {
    since: UnixMs,
    run: String,
}

impl Held {
    /// Returns the end of the quarantine; `None` when it is over. A clock that was put back by more than [`HELD`]
    /// ends it too.
    fn until(&self, now: UnixMs) -> Option<UnixMs> {
        let off = now.since(self.since).max(self.since.since(now));
        (off < HELD).then(|| self.since.after(HELD))
    }
}

#[derive(Debug, Default)]
struct Digests {
    held: HashMap<String, Held>,
    proven: HashSet<String>,
    /// The proven digests, oldest first.
    order: VecDeque<String>,
    notes: u64,
}

impl Digests {
    /// Marks a digest as proven. Returns true if it was not before.
    fn prove(&mut self, sha256: &str) -> bool {
        if !self.proven.insert(sha256.to_owned()) {
            return false;
        }
        self.order.push_back(sha256.to_owned());
        while self.order.len() > MOST_PROVEN {
            if let Some(oldest) = self.order.pop_front() {
                self.proven.remove(&oldest);
            }
        }
        true
    }
}

/// A run that was under way when a process of this data directory died.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CrashedRun {
    /// The run's record, with its end.
    pub(crate) record: RunRecord,
    pub(crate) until: UnixMs,
    /// The file to remove to lift the quarantine.
    pub(crate) file: PathBuf,
}

/// Digests in quarantine on this host, and those that have proven themselves.
#[derive(Debug)]
pub(crate) struct Quarantine {
    /// `None` if the data directory cannot be written.
    files: Option<Files>,
    digests: Mutex<Digests>,
}

impl Quarantine {
    /// Reads the notes of earlier processes in the data directory. Blocks.
    pub(crate) fn open(
        data_dir: &Path,
        identity: &HostIdentity,
        now: UnixMs,
    ) -> (Self, Vec<CrashedRun>) {
        let mut digests = Digests::default();
        let Some(life) = identity.life_on_disk().filter(|_| !is_off()) else {
            return (Self::of(None, digests), Vec::new());
        };
        let files = match Files::open(data_dir, life) {
            Ok(files) => files,
            Err(error) => {
                tracing::warn!(
                    %error,
                    "a plugin that crashes this host cannot be quarantined: data_dir {} cannot be written",
                    data_dir.display()
                );
                return (Self::of(None, digests), Vec::new());
            }
        };
        for sha256 in files.proven() {
            digests.prove(&sha256);
        }
        let mut crashes = Vec::new();
        for note in files.notes_of(|life| identity.has_ended(life)) {
            if let Some(crash) = arrest(&files, note, now) {
                crashes.push(crash);
            }
        }
        for (sha256, since, run) in files.held() {
            digests.held.insert(sha256, Held { since, run });
        }
        (Self::of(Some(files), digests), crashes)
    }

    fn of(files: Option<Files>, digests: Digests) -> Self {
        Self {
            files,
            digests: Mutex::new(digests),
        }
    }

    fn digests(&self) -> MutexGuard<'_, Digests> {
        self.digests.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the reason not to run this digest now, if there is one.
    pub(crate) async fn reason(self: &Arc<Self>, sha256: &str, now: UnixMs) -> Option<String> {
        if !self.digests().held.contains_key(sha256) {
            return None;
        }
        let (this, sha256) = (self.clone(), sha256.to_owned());
        let looked = tokio::task::spawn_blocking(move || this.look(&sha256, now));
        looked.await.ok().flatten()
    }

    /// As [`Quarantine::reason`]; lifts the quarantine when its time is over or its file is deleted. Blocks.
    fn look(&self, sha256: &str, now: UnixMs) -> Option<String> {
        let held = self.digests().held.get(sha256).cloned()?;
        let file = self.files.as_ref()?.file_of(sha256);
        let until = held.until(now).filter(|_| file.exists());
        let Some(until) = until else {
            self.digests().held.remove(sha256);
            // If the file cannot be removed, its time is over at the next check.
            let _ = std::fs::remove_file(&file);
            return None;
        };
        let Held { run, .. } = held;
        Some(format!(
            "quarantined until {until}: this host's process died while this plugin was in its first run ({run}); \
             another file is run at once, and this one when {} has been removed",
            file.display()
        ))
    }

    /// Writes a note that the plugin's first run is about to begin. `None` for a digest that has proven itself.
    pub(crate) async fn begin(self: &Arc<Self>, record: RunRecord) -> Option<FirstRun> {
        if self.digests().proven.contains(&record.plugin_sha256) {
            return None;
        }
        let this = self.clone();
        let begun = tokio::task::spawn_blocking(move || this.note(&record));
        begun.await.ok().flatten()
    }

    fn note(self: Arc<Self>, record: &RunRecord) -> Option<FirstRun> {
        let number = {
            let mut digests = self.digests();
            digests.notes += 1;
            digests.notes
        };
        match self.files.as_ref()?.note(number, record) {
            Ok((path, mark)) => Some(FirstRun {
                sha256: record.plugin_sha256.clone(),
                path,
                mark,
                quarantine: self,
            }),
            Err(error) => {
                tracing::debug!(%error, "a first run is not noted");
                None
            }
        }
    }
}

/// True where tests that kill hosts from outside disable the quarantine. Always false in release builds.
fn is_off() -> bool {
    cfg!(debug_assertions) && std::env::var_os("LEASEHOLD_TEST_NO_QUARANTINE").is_some()
}

/// Judges one note, and removes it.
fn arrest(files: &Files, note: Note, now: UnixMs) -> Option<CrashedRun> {
    let Note {
        path,
        was_polled,
        mut record,
    } = note;
    let crash = was_polled.then(|| {
        record.outcome = Outcome::Crashed;
        record.ended_unix_ms = Some(now);
        let detail = "this host's process died while the guest was at work";
        detail.clone_into(&mut record.detail);
        let sha256 = record.plugin_sha256.clone();
        if let Err(error) = files.hold(&sha256, now, &record.run_id) {
            tracing::warn!(%error, sha256, "a plugin that brought this host down is not kept in quarantine");
        }
        CrashedRun {
            record,
            until: now.after(HELD),
            file: files.file_of(&sha256),
        }
    });
    // If the note cannot be removed, it is reported again at the next start.
    let _ = std::fs::remove_file(path);
    crash
}

/// The first run of a digest, from before its guest begins. Dropping it removes its note.
#[derive(Debug)]
pub(crate) struct FirstRun {
    sha256: String,
    path: PathBuf,
    mark: PollMark,
    quarantine: Arc<Quarantine>,
}

impl FirstRun {
    /// Returns the mark that shows while the guest is polled.
    pub(crate) fn mark(&self) -> PollMark {
        self.mark.clone()
    }

    /// Records that the plugin has proven itself.
    pub(crate) async fn prove(&self) {
        self.mark.retire();
        let (quarantine, sha256) = (self.quarantine.clone(), self.sha256.clone());
        let path = self.path.clone();
        let proven = tokio::task::spawn_blocking(move || {
            // A note that remains shows that its guest was not polled.
            let _ = std::fs::remove_file(path);
            let order = {
                let mut digests = quarantine.digests();
                digests.prove(&sha256).then(|| digests.order.clone())
            };
            if let (Some(order), Some(files)) = (order, &quarantine.files) {
                files.write_proven(&order);
            }
        });
        // Fails when the process ends, and then no further note matters.
        let _ = proven.await;
    }
}

impl Drop for FirstRun {
    fn drop(&mut self) {
        // A retired mark shows that the plugin was proven; otherwise the run was dropped in good order.
        if !self.mark.is_retired() {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

#[cfg(test)]
mod tests;
