//! What a running host has applied, written into its `data_dir` for `leasehold check --diff`.
//!
//! One JSON file a host, for its owner alone. It holds references to secrets and never a secret: values
//! that sound like one are there as salted digests, which tell that they changed and not what they are.

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
use leasehold_config::{Config, Job};

/// Raised when what is written can no longer be read by an older program.
const FORMAT: u32 = 1;
/// The largest file that is read, in bytes: a thousand jobs take about a megabyte.
const LARGEST: u64 = 64 * 1024 * 1024;

/// A job as it is in force, with the digest of its plugin in hex.
#[derive(Clone, Copy)]
pub struct Standing<'a> {
    /// The job.
    pub job: &'a Job,
    /// SHA-256 of its plugin, in hex.
    pub sha256: &'a str,
}

/// What a host has applied.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Applied {
    format: u32,
    /// Id of the host.
    pub host: String,
    /// Its process id.
    pub pid: u32,
    /// Time of writing, in milliseconds since 1970.
    pub at_unix_ms: u64,
    /// Makes the digests of this file worthless elsewhere.
    salt: String,
    /// `[host]` and `[store]`, as the host started with them.
    pub host_values: BTreeMap<String, String>,
    /// Its jobs, by name.
    pub jobs: BTreeMap<String, AppliedJob>,
}

/// One job of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AppliedJob {
    /// SHA-256 of its plugin, in hex.
    pub sha256: String,
    /// Values of the job, by key.
    pub values: BTreeMap<String, String>,
}

/// Why there is nothing to compare with. Reads as a sentence of its own.
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
    /// What a host with `[host]` and `[store]` of `started` has in force now.
    pub fn now<'a>(started: &Config, jobs: impl IntoIterator<Item = Standing<'a>>) -> Self {
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
            at_unix_ms: UnixMs::from_system(SystemTime::now()).as_u64(),
            host_values: started.host_values().into_iter().collect(),
            salt,
            jobs,
        }
    }

    /// Writes it where [`Applied::read`] of the same configuration finds it; whoever reads meanwhile finds
    /// the old or the new one, whole.
    ///
    /// # Errors
    ///
    /// What the file system says.
    pub fn write(&self, started: &Config) -> io::Result<()> {
        let path = file(started);
        if let Some(folder) = path.parent() {
            DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(folder)?;
        }
        let beside = path.with_extension("json.new");
        // A leftover of ours may have any mode.
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

    /// What the host of this configuration last applied.
    ///
    /// # Errors
    ///
    /// [`NothingApplied`], in a sentence.
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

    /// A job's values as they would stand in this file.
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
                let digest: Vec<String> =
                    digest.iter().take(4).map(|b| format!("{b:02x}")).collect();
                format!("{} #{}", value.text(), digest.concat())
            }
        };
        (value.key().to_owned(), text)
    });
    shown.collect()
}
