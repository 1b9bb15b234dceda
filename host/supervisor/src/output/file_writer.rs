//! The thread that writes output to files: all of it if the host keeps it, and the last of runs under way.
//!
//! No guest and no worker waits for a disk.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime};

use leasehold_config::KeepOutput;

use super::file_queue::{FileQueue, Waiting};
use super::kept_files::KeptFiles;
use super::last_output::{LastOutput, RecordStore};
use super::output_registry::OutputRegistry;

/// Time between two writes of the last output, and for lines to gather.
const SAVE_EVERY: Duration = Duration::from_secs(1);
const GATHER: Duration = Duration::from_millis(20);
/// Time between two searches for old files.
const TIDY_EVERY: Duration = Duration::from_mins(1);
/// Limit for the disk at the end of the process.
const FAREWELL: Duration = Duration::from_secs(1);

/// The thread that writes files.
#[derive(Debug)]
pub(crate) struct OutputFiles {
    queue: FileQueue,
    thread: Option<JoinHandle<()>>,
}

impl OutputFiles {
    /// Starts the thread. `life` names this process in the data directory, and the store
    /// is that of its records. The runs' lines come through `queue`, which
    /// the registry has too if the host keeps output.
    ///
    /// # Errors
    ///
    /// The thread cannot be started.
    pub(crate) fn start(
        data_dir: &Path,
        (life, store): (&str, RecordStore),
        keep: Option<KeepOutput>,
        queue: FileQueue,
        registry: OutputRegistry,
    ) -> io::Result<Self> {
        let mut last = LastOutput::new(data_dir, life, store);
        let mut kept = keep.map(|keep| KeptFiles::new(data_dir, keep));
        let inbox = queue.clone();
        let thread = std::thread::Builder::new()
            .name("leasehold-files".into())
            .spawn(move || write(&inbox, &registry, &mut last, kept.as_mut()))?;
        Ok(Self {
            queue,
            thread: Some(thread),
        })
    }

    /// Writes what waits, and ends the thread. A disk that is stuck is given up after a second.
    pub(crate) fn finish(mut self) {
        self.queue.close();
        let deadline = Instant::now() + FAREWELL;
        if let Some(thread) = self.thread.take() {
            while !thread.is_finished() && Instant::now() < deadline {
                std::thread::sleep(Duration::from_millis(2));
            }
            if thread.is_finished() {
                let _ = thread.join();
            }
        }
    }
}

impl Drop for OutputFiles {
    fn drop(&mut self) {
        self.queue.close();
    }
}

fn write(
    queue: &FileQueue,
    registry: &OutputRegistry,
    last: &mut LastOutput,
    mut kept: Option<&mut KeptFiles>,
) {
    let (mut save_at, mut tidy_at) = (Instant::now() + SAVE_EVERY, Instant::now());
    loop {
        let waiting = queue.take(save_at);
        let is_closed = waiting.is_closed;
        if let Some(kept) = kept.as_deref_mut() {
            let is_due = Instant::now() >= tidy_at;
            if append(kept, waiting) || is_due {
                kept.tidy(SystemTime::now());
                tidy_at = Instant::now() + TIDY_EVERY;
            }
        }
        if is_closed {
            return;
        }
        if Instant::now() >= save_at {
            last.save(&registry.active());
            save_at = Instant::now() + SAVE_EVERY;
        }
        // Lines gather instead of waking this thread one by one.
        std::thread::sleep(GATHER);
    }
}

/// Appends lines, one write for each job. Returns true if a file was renamed.
fn append(kept: &mut KeptFiles, waiting: Waiting) -> bool {
    let mut jobs: BTreeMap<String, (String, u64)> = BTreeMap::new();
    for (job, bytes) in waiting.dropped {
        jobs.entry(job).or_default().1 += bytes;
    }
    for (job, line) in waiting.lines {
        jobs.entry(job).or_default().0.push_str(&line);
    }
    let mut is_renamed = false;
    for (job, (text, missing)) in jobs {
        is_renamed |= kept.append(&job, &text, missing, SystemTime::now());
    }
    is_renamed
}
