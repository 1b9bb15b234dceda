//! `[jobs.<name>]`: what to run, under which lock, when, and with what.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use toml::Spanned;

use super::context::Finding;
use super::drift::Drift;
use super::files::{self, Kind};
use super::guest;
use super::lockname;
use super::node::Node;
use super::policy::Policy;
use super::read;
use super::schedule::{self, Restart, Schedule, Wait};
use super::secrets;
use super::section::{Said, Section};
use super::source::shown;
use super::timing::Timing;
use crate::allow::{Allow, EnvValue, SecretRef};
use crate::limits::Limits;

/// etcd raises shorter leases to about this (its election timeout times 1.5), so they would not
/// mean what they say.
pub(super) const SHORTEST_TTL: Duration = Duration::from_secs(2);
/// A lock that outlives its dead holder by more than this is a mistake.
pub(super) const LONGEST_TTL: Duration = Duration::from_hours(1);
const DEFAULT_TTL: Duration = Duration::from_secs(10);
/// Covers the default memory four times over.
const DEFAULT_STOP_MARGIN: Duration = Duration::from_millis(250);

/// One job. All values are valid and fit together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Job {
    name: String,
    plugin: PathBuf,
    sha256: Option<[u8; 32]>,
    lock: String,
    wait: Wait,
    schedule: Schedule,
    timeout: Option<Duration>,
    ttl: Duration,
    stop_margin: Duration,
    retries: u32,
    restart: Restart,
    args: Vec<String>,
    env: BTreeMap<String, EnvValue>,
    config_json: String,
    secrets: BTreeMap<String, SecretRef>,
    allow: Allow,
    limits: Limits,
}

impl Job {
    /// The name of the job's table; the same characters as a host's id.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The WebAssembly to run; a relative path was resolved against the file's folder.
    pub fn plugin(&self) -> &Path {
        &self.plugin
    }

    /// The digest that the plugin must have, if pinned.
    pub const fn sha256(&self) -> Option<&[u8; 32]> {
        self.sha256.as_ref()
    }

    /// The lock a run needs: segments of letters, digits, `.`, `_`, `-` with `/` between, at most
    /// 200 bytes. Default: the job's name. Jobs may share one; none lies inside another.
    pub fn lock(&self) -> &str {
        &self.lock
    }

    /// How long to wait for the lock. Default forever.
    pub const fn wait(&self) -> Wait {
        self.wait
    }

    /// When to run. Default: keep running.
    pub const fn schedule(&self) -> &Schedule {
        &self.schedule
    }

    /// How long a run may take, at least 10 ms; `None`, the default, is without end.
    pub const fn timeout(&self) -> Option<Duration> {
        self.timeout
    }

    /// The lease to ask for: whole seconds, from 2 s to 1 h. Default 10 s.
    pub const fn ttl(&self) -> Duration {
        self.ttl
    }

    /// Time kept before the lease's end to stop the guest. Default 250 ms; at least
    /// `limits().least_stop_margin()`, and small enough to leave the TTL room for renewals.
    pub const fn stop_margin(&self) -> Duration {
        self.stop_margin
    }

    /// How often a failed run is tried again before the next is due. Default 0.
    pub const fn retries(&self) -> u32 {
        self.retries
    }

    /// The pause after a failure. Default from 1 s to 1 min.
    pub const fn restart(&self) -> Restart {
        self.restart
    }

    /// Arguments after the program's name, without NUL characters. Default none.
    pub fn args(&self) -> &[String] {
        &self.args
    }

    /// Environment variables; none starts with `LEASEHOLD_` or `ETCD_LOCK_`. The secrets among them
    /// are in `secrets()`. Default none.
    pub const fn env(&self) -> &BTreeMap<String, EnvValue> {
        &self.env
    }

    /// The job's `config` table as one JSON object, keys sorted, dates as text. Default `{}`.
    pub fn config_json(&self) -> &str {
        &self.config_json
    }

    /// Where the job's secrets are, by name. Default none.
    pub const fn secrets(&self) -> &BTreeMap<String, SecretRef> {
        &self.secrets
    }

    /// What the job is granted beyond what every plugin may do. Default nothing.
    pub const fn allow(&self) -> &Allow {
        &self.allow
    }

    /// What one run may use.
    pub const fn limits(&self) -> &Limits {
        &self.limits
    }
}

/// What was read of one job: enough to compare it with others even when something is wrong.
pub(super) struct ReadJob {
    /// The job; `None` if anything in it is wrong.
    pub(super) job: Option<Job>,
    /// The name of its table.
    pub(super) name: String,
    /// Its lock and the bytes that say so; `None` if that is wrong.
    pub(super) lock: Option<Spanned<String>>,
}

/// Reads one `[jobs.<name>]`.
pub(super) fn read(
    name: &Spanned<&str>,
    section: &Section<'_>,
    defaults: &Policy,
    drift: Option<Drift>,
) -> ReadJob {
    let named = job_name(name, section);
    let plugin = section.require(
        "plugin",
        "add `plugin = \"….wasm\"`, relative to the folder of this file",
        |node| files::claimed(node, Kind::Plugin),
    );
    let sha256 = section.take("sha256", sha256).optional();
    let lock = match section.take("lock", lockname::lock) {
        Said::This(lock) => Some(lock),
        Said::Wrong => None,
        Said::Nothing => named.clone(),
    };
    let schedule = schedule::schedule(section);
    let args = section.take("args", guest::args).or_default(Vec::new());
    let secrets = section
        .take("secrets", secrets::secrets)
        .or_default(BTreeMap::new());
    let env = section
        .take("env", |node| guest::env(node, secrets.as_ref()))
        .or_default(BTreeMap::new());
    let config = section
        .take("config", guest::config)
        .or_default("{}".into());
    let policy = Policy::of_job(section, defaults);
    let times = times(&policy, section, name, drift);
    let restart = policy.restart.settle(section);
    let limits = policy.limits.settle();
    let allow = policy.allow.settle();
    let job = || {
        let (ttl, stop_margin) = times?;
        Some(Job {
            name: named?.into_inner(),
            plugin: plugin?.into_inner(),
            sha256: sha256.ok()?,
            lock: lock.as_ref()?.get_ref().clone(),
            wait: policy.wait.or_default(Wait::Forever)?,
            schedule: schedule?,
            timeout: policy.timeout.optional().ok()?,
            ttl,
            stop_margin,
            retries: policy.retries.or_default(0)?,
            restart: restart?,
            args: args?,
            env: env?,
            config_json: config?,
            secrets: secrets?,
            allow: allow?,
            limits: limits?,
        })
    };
    ReadJob {
        job: job(),
        name: shown(name.get_ref()),
        lock,
    }
}

fn job_name(name: &Spanned<&str>, section: &Section<'_>) -> Option<Spanned<String>> {
    if read::is_name(name.get_ref()) {
        return Some(Spanned::new(name.span(), (*name.get_ref()).to_owned()));
    }
    let message = format!("`{}` is not a usable name for a job", shown(name.get_ref()));
    section
        .context()
        .object(Finding::at(name.span(), message).help(read::NAME_RULE));
    None
}

/// TTL and stop margin, if each is right and they fit together.
fn times(
    policy: &Policy,
    section: &Section<'_>,
    name: &Spanned<&str>,
    drift: Option<Drift>,
) -> Option<(Duration, Duration)> {
    let ttl = policy.ttl.clone().or_default(DEFAULT_TTL);
    let stop_margin = policy.stop_margin.clone().or_default(DEFAULT_STOP_MARGIN);
    let memory = policy.limits.memory.clone();
    let memory_bytes = memory.or_default(Limits::default().memory_bytes);
    let timing = Timing {
        ttl: ttl.unwrap_or(DEFAULT_TTL),
        stop_margin: stop_margin?,
        drift: drift.unwrap_or_default(),
        memory_bytes: memory_bytes.unwrap_or(Limits::default().memory_bytes),
    };
    let place = |spans| section.nearest_place(spans).unwrap_or(name.span());
    let margin_span = policy.stop_margin.span();
    let mut sound = true;
    let mut judge = |finding: Option<Finding>| {
        sound &= finding.is_none();
        if let Some(finding) = finding {
            section.context().object(finding);
        }
    };
    if memory_bytes.is_some() {
        let spans = [margin_span.clone(), policy.limits.memory.span()];
        judge(timing.refuse_short_margin(place(spans)));
    }
    if ttl.is_some() && drift.is_some() {
        judge(timing.refuse_short_ttl(place([policy.ttl.span(), margin_span])));
    }
    sound.then_some((ttl?, stop_margin?))
}

fn sha256(node: &Node<'_>) -> Option<[u8; 32]> {
    let text = read::text(node)?;
    let nibbles: Option<Vec<u8>> = text
        .chars()
        .map(|c| c.to_digit(16).and_then(|digit| u8::try_from(digit).ok()))
        .collect();
    let digest = nibbles
        .filter(|nibbles| nibbles.len() == 64)
        .map(|nibbles| {
            let mut digest = [0; 32];
            for (byte, pair) in digest.iter_mut().zip(nibbles.chunks(2)) {
                *byte = pair.iter().fold(0, |byte, nibble| byte << 4 | nibble);
            }
            digest
        });
    digest.or_else(|| {
        node.reject(
            "is not a SHA-256 digest",
            "write the 64 hexadecimal digits that `sha256sum` prints",
        )
    })
}
