//! Record of the configuration that a running host has applied, in its `data_dir`, for `leasehold
//! check --diff`.
//!
//! One JSON file a host, readable only by its owner. It holds references to secrets and never a
//! secret. Values whose names suggest a secret are stored as salted digests: those show a change
//! and not the value.

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::PathBuf;
use std::time::SystemTime;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use leasehold_config::owned;
use leasehold_config::wall::UnixMs;
use leasehold_config::{Config, Job, hex};

/// Format version; raised when an older program can no longer read the file.
const FORMAT: u32 = 1;
/// Bytes of a salted digest that are kept: enough to show a change.
const SHOWN_DIGEST: usize = 4;
/// Largest file that is read, in bytes: a thousand jobs take about a megabyte.
const LARGEST: u64 = 64 * 1024 * 1024;

/// A job in force, with the digest of its plugin in hex.
#[derive(Clone, Copy)]
pub struct JobInForce<'a> {
    /// The job.
    pub job: &'a Job,
    /// SHA-256 of its plugin, in hex.
    pub sha256: &'a str,
}

/// Configuration that a host has applied.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Applied {
    format: u32,
    /// Id of the host.
    pub host: String,
    /// Its process id.
    pub pid: u32,
    /// Time of writing.
    pub at_unix_ms: UnixMs,
    /// Salt that makes the digests of this file worthless elsewhere.
    salt: String,
    /// `[host]` and `[store]` at the start of the host.
    pub host_values: BTreeMap<String, String>,
    /// Its jobs, by name.
    pub jobs: BTreeMap<String, AppliedJob>,
}

/// One job of the configuration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AppliedJob {
    /// SHA-256 of its plugin, in hex.
    pub sha256: String,
    /// Values of the job, by key.
    pub values: BTreeMap<String, String>,
}

/// Reason that there is nothing to compare with; a full sentence.
#[derive(Debug, thiserror::Error)]
pub enum NothingApplied {
    #[error(
        "Nothing to compare with: no host `{host}` has run with this file's data_dir ({})",
        .path.display()
    )]
    /// No host has run with this data directory.
    Never {
        /// Id of the host.
        host: String,
        /// Path of the file.
        path: PathBuf,
    },
    /// Its file cannot be read.
    #[error("Nothing to compare with: {} cannot be read: {why}", .path.display())]
    Unreadable {
        /// Path of the file.
        path: PathBuf,
        /// The reason.
        why: String,
    },
}

impl Applied {
    /// Builds the record for a host that started with `[host]` and `[store]` of `started`.
    pub fn now<'a>(started: &Config, jobs: impl IntoIterator<Item = JobInForce<'a>>) -> Self {
        let salt = format!("{:032x}", fastrand::u128(..));
        let jobs = jobs
            .into_iter()
            .map(|standing| {
                let job = AppliedJob {
                    sha256: standing.sha256.to_owned(),
                    values: values(standing.job, &salt),
                };
                (standing.job.name().to_owned(), job)
            })
            .collect();
        Self {
            format: FORMAT,
            host: started.host().id().to_owned(),
            pid: std::process::id(),
            at_unix_ms: UnixMs::from_system(SystemTime::now()),
            host_values: started.host_values().into_iter().collect(),
            salt,
            jobs,
        }
    }

    /// Writes it where [`Applied::read`] of the same configuration finds it. A concurrent reader
    /// finds the old or the new file, whole.
    ///
    /// # Errors
    ///
    /// The file system's error.
    pub fn write(&self, started: &Config) -> io::Result<()> {
        let path = file(started);
        if let Some(folder) = path.parent() {
            DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(folder)?;
        }
        let beside = path.with_extension("json.new");
        // A leftover of this host may have any mode.
        match fs::remove_file(&beside) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut options = OpenOptions::new();
        let mut out = options
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&beside)?;
        out.write_all(&serde_json::to_vec_pretty(self)?)?;
        drop(out);
        fs::rename(&beside, &path)
    }

    /// Reads the configuration that the host of this file last applied.
    ///
    /// # Errors
    ///
    /// [`NothingApplied`], as a sentence.
    pub fn read(config: &Config) -> Result<Self, NothingApplied> {
        let path = file(config);
        let unreadable = |why: String| NothingApplied::Unreadable {
            path: path.clone(),
            why,
        };
        let file = match owned::open(&path) {
            Ok(file) => file,
            Err(refusal) if refusal.is_absence() => {
                return Err(NothingApplied::Never {
                    host: config.host().id().to_owned(),
                    path,
                });
            }
            Err(refusal) => {
                let (fault, remedy) = refusal.explain();
                return Err(unreadable(format!("it {fault}; {remedy}")));
            }
        };
        let mut bytes = Vec::new();
        let read = file.take(LARGEST + 1).read_to_end(&mut bytes);
        read.map_err(|error| unreadable(error.to_string()))?;
        if bytes.len() as u64 > LARGEST {
            return Err(unreadable("it is larger than 64 MiB".to_owned()));
        }
        let applied: Self =
            serde_json::from_slice(&bytes).map_err(|error| unreadable(error.to_string()))?;
        if applied.format == FORMAT {
            Ok(applied)
        } else {
            Err(unreadable(
                "another version of the program has written it".to_owned(),
            ))
        }
    }

    /// Values of a job as this file would hold them.
    pub fn values(&self, job: &Job) -> BTreeMap<String, String> {
        values(job, &self.salt)
    }
}

fn file(config: &Config) -> PathBuf {
    let name = format!("applied-{}.json", config.host().id());
    config.host().data_dir().join(name)
}

fn values(job: &Job, salt: &str) -> BTreeMap<String, String> {
    let values = job.values();
    let shown = values.iter().map(|value| {
        let text = match value.hidden() {
            None => value.text().to_owned(),
            Some(whole) => {
                let digest = Sha256::digest(format!("{salt}{whole}"));
                format!("{} #{}", value.text(), hex(&digest[..SHOWN_DIGEST]))
            }
        };
        (value.key().to_owned(), text)
    });
    shown.collect()
}
