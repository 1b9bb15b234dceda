//! Hundreds of files dropped, changed and removed at random while their jobs run.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::time::Duration;

use anyhow::{Result, ensure};
use leasehold_tests::etcd::{Etcd, Version};
use leasehold_tests::events::Event;
use leasehold_tests::host::HostProcess;
use leasehold_tests::process;
use leasehold_tests::wait::eventually;
use leasehold_tests::wat_plugins::printer;

use super::{SLACK, count, dropping, end, folder, put, start};

/// Files at most.
const FILES: u32 = 500;
/// Changes after the folder has been filled.
const CHANGES: u32 = 300;
/// Bound for five hundred jobs to follow the folder.
const PATIENCE: Duration = Duration::from_mins(2);

/// Content of the folder: the text that each job prints now, by the job's name.
#[derive(Default)]
struct Contents {
    files: BTreeMap<String, String>,
    /// Text of every plugin so far, by its digest.
    digests: HashMap<String, String>,
    made: u32,
}

impl Contents {
    /// Puts a new version of `job` there, now and then as slow writers do.
    fn write(&mut self, folder: &Path, job: &str) -> Result<()> {
        self.made += 1;
        let words = format!("{job} {}", self.made);
        let bytes = printer(&words, fastrand::usize(0..20_000))?;
        let name = format!("{job}.wasm");
        if fastrand::u8(..4) == 0 {
            // In place: for a moment the file has neither the old bytes nor the new ones.
            let (start, rest) = bytes.split_at(bytes.len() / 2);
            let mut file = std::fs::File::create(folder.join(&name))?;
            std::io::Write::write_all(&mut file, start)?;
            std::io::Write::write_all(&mut file, rest)?;
        } else {
            put(folder, &name, &bytes)?;
        }
        self.digests.insert(digest(&bytes), words.clone());
        self.files.insert(job.to_owned(), words);
        Ok(())
    }

    fn remove(&mut self, folder: &Path, job: &str) -> Result<()> {
        std::fs::remove_file(folder.join(format!("{job}.wasm")))?;
        self.files.remove(job);
        Ok(())
    }

    /// Checks that every job of the folder has printed its newest text, and that no other job exists.
    fn is_run_by(&self, events: &[Event]) -> bool {
        let mut newest: HashMap<&str, &str> = HashMap::new();
        let mut there: BTreeMap<&str, bool> = BTreeMap::new();
        for event in events {
            let job = event.job().and_then(|job| job.strip_prefix("dropped."));
            let Some(job) = job else { continue };
            match event.name() {
                "guest" => {
                    newest.insert(job, event.text().unwrap_or_default());
                }
                "job-added" => {
                    there.insert(job, true);
                }
                "job-removed" => {
                    there.insert(job, false);
                }
                _ => {}
            }
        }
        let there = there.iter().filter(|(_, is)| **is).map(|(job, _)| *job);
        there.eq(self.files.keys().map(String::as_str))
            && self
                .files
                .iter()
                .all(|(job, words)| newest.get(job.as_str()) == Some(&words.as_str()))
    }
}

fn digest(bytes: &[u8]) -> String {
    use sha2::Digest as _;
    use std::fmt::Write as _;
    let digest = sha2::Sha256::digest(bytes);
    digest.iter().fold(String::new(), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Open files and resident memory, in KiB.
fn costs(host: &HostProcess) -> Result<(usize, u64)> {
    let open = std::fs::read_dir(format!("/proc/{}/fd", host.pid()))?.count();
    Ok((open, process::resident(host.pid())?))
}

/// Checks that each run printed only the text of the bytes it started with.
fn bytes_are_never_mixed(events: &[Event], contents: &Contents) -> Result<()> {
    let mut began: HashMap<&str, &str> = HashMap::new();
    for event in events {
        let Some(run) = event.run() else { continue };
        if event.is("run-started") {
            began.insert(run, event.str("plugin_sha256").unwrap_or_default());
        } else if event.is("guest") {
            let expected = began
                .get(run)
                .and_then(|digest| contents.digests.get(*digest));
            ensure!(
                expected.map(String::as_str) == event.text(),
                "said by the bytes of {expected:?}: {event}"
            );
        }
    }
    ensure!(began.len() > 1000, "only {} runs", began.len());
    Ok(())
}

#[test]
fn five_hundred_changing_files_give_runs_of_one_version_each() -> Result<()> {
    fastrand::seed(7);
    let etcd = Etcd::start(Version::Embedded)?;
    let config = dropping(&etcd).raw("\n[defaults.restart]\nmin = \"2s\"\nmax = \"10s\"\n");
    let host = start(&config)?;
    host.wait_for(SLACK, |event| event.is("store-connected"))?;
    let folder = folder(&host);
    let mut contents = Contents::default();
    for number in 0..FILES {
        contents.write(&folder, &format!("job-{number:03}"))?;
    }
    let as_it_should_be = |contents: &Contents| {
        eventually(PATIENCE, "every job to say its newest words", || {
            std::thread::sleep(Duration::from_millis(100));
            ensure!(contents.is_run_by(&host.events()), "not yet");
            Ok(())
        })
    };
    as_it_should_be(&contents)?;
    let (files_before, memory_before) = costs(&host)?;
    for _ in 0..CHANGES {
        let job = format!("job-{:03}", fastrand::u32(0..FILES));
        if contents.files.contains_key(&job) && fastrand::u8(..3) == 0 {
            contents.remove(&folder, &job)?;
        } else {
            contents.write(&folder, &job)?;
        }
        std::thread::sleep(Duration::from_millis(fastrand::u64(0..10)));
    }
    as_it_should_be(&contents)?;
    let (files_after, memory_after) = costs(&host)?;
    println!(
        "{} jobs; files open {files_before} then {files_after}, resident {memory_before} then {memory_after} KiB",
        contents.files.len()
    );
    ensure!(files_after <= files_before + 8, "files are left open");
    ensure!(
        memory_after < memory_before * 3 / 2,
        "memory is not given back"
    );
    // Every job ends when every file is deleted.
    for job in contents.files.keys().cloned().collect::<Vec<_>>() {
        contents.remove(&folder, &job)?;
    }
    as_it_should_be(&contents)?;
    eventually(SLACK, "the last lock to be given back", || {
        let held = etcd.queue("/leasehold/locks/")?;
        ensure!(held.is_empty(), "{held:?}");
        Ok(())
    })?;
    let events = end(host)?;
    bytes_are_never_mixed(&events, &contents)?;
    ensure!(
        count(&events, "plugin-refused", None) == 0,
        "a whole file was refused"
    );
    Ok(())
}
