//! `[jobs.<name>]`: the plugin of a job, its lock, its schedule and its inputs.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use toml::Spanned;

use super::allow::RawAllow;
use super::context::{ConfigError, Context};
use super::drift::Drift;
use super::files::{self, FileKind, shown_path};
use super::guest::KnownSecrets;
use super::ignored_in_eq::IgnoredInEq;
use super::needs::{GivenGrants, RawNeeds};
use super::nested::{self, RawManifest};
use super::node::Node;
use super::origin::{Layer, Origin, Origins, origins};
use super::policy::Policy;
use super::raw_job::RawJob;
use super::read;
use super::schedule::{Restart, Schedule, Wait};
use super::schema;
use super::secrets;
use super::section::{Field, InvalidField, Section};
use super::sharing::{NAMESPACE, is_reserved};
use super::source::shown;
use super::source_map::SourceMap;
use super::validate::{JobParts, lock_of};
use crate::allow::{Allow, EnvValue, SecretRef};
use crate::limits::{LimitKey, Limits};
use crate::remedy::JobSource;

/// Resources that a dropped-in job has by its name alone, so that no other job may use them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OwnResources {
    /// True if its lock is exclusive to it.
    pub lock: bool,
    /// Prefixes of its keys.
    pub keys: Vec<String>,
}

/// One job. All values are valid and fit together.
///
/// Two jobs are equal if they do the same with the same plugin, whatever the origins of their
/// values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Job {
    pub(super) name: String,
    pub(super) plugin: PathBuf,
    pub(super) sha256: Option<[u8; 32]>,
    pub(super) lock: String,
    pub(super) wait: Wait,
    pub(super) schedule: Schedule,
    pub(super) timeout: Option<Duration>,
    pub(super) ttl: Duration,
    pub(super) stop_margin: Duration,
    pub(super) retries: u32,
    pub(super) restart: Restart,
    pub(super) args: Vec<String>,
    pub(super) env: BTreeMap<String, EnvValue>,
    pub(super) config_json: String,
    pub(super) secrets: BTreeMap<String, SecretRef>,
    pub(super) allow: Allow,
    pub(super) limits: Limits,
    pub(super) description: Option<String>,
    pub(super) is_dropped: bool,
    /// Resources of a dropped-in job that no policy shares with others.
    pub(super) own: OwnResources,
    pub(super) manifest_digest: Option<[u8; 32]>,
    pub(super) origins: IgnoredInEq<Origins>,
}

impl Job {
    /// The name of the job's table; the same characters as a host's id.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The WebAssembly file to run; a relative path was resolved against the configuration file's
    /// folder.
    pub fn plugin(&self) -> &Path {
        &self.plugin
    }

    /// The digest that the plugin must have, if pinned.
    pub const fn sha256(&self) -> Option<&[u8; 32]> {
        self.sha256.as_ref()
    }

    /// Name of the lock that a run needs: segments of letters, digits, `.`, `_`, `-` with `/`
    /// between, at most 200 bytes. Default: the job's name. Jobs may share one; none lies inside
    /// another.
    pub fn lock(&self) -> &str {
        &self.lock
    }

    /// Time to wait for the lock. Default forever.
    pub const fn wait(&self) -> Wait {
        self.wait
    }

    /// Schedule of the runs. Default: keep running.
    pub const fn schedule(&self) -> &Schedule {
        &self.schedule
    }

    /// Longest time of a run, at least 10 ms; `None`, the default, means no limit.
    pub const fn timeout(&self) -> Option<Duration> {
        self.timeout
    }

    /// TTL of the lease: whole seconds, from 2 s to 1 h. Default 10 s.
    pub const fn ttl(&self) -> Duration {
        self.ttl
    }

    /// Time kept before the lease's end to stop the guest. Default 250 ms; at least
    /// `limits().least_stop_margin()`, and small enough to leave the TTL room for renewals.
    pub const fn stop_margin(&self) -> Duration {
        self.stop_margin
    }

    /// Number of times that a failed run is tried again before the next is due. Default 0.
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

    /// The job's `config` table as one JSON object, with sorted keys and dates as text. Default
    /// `{}`.
    pub fn config_json(&self) -> &str {
        &self.config_json
    }

    /// Locations of the job's secrets, by name. Default none.
    pub const fn secrets(&self) -> &BTreeMap<String, SecretRef> {
        &self.secrets
    }

    /// Grants of the job beyond the rights of every plugin. Default none.
    pub const fn allow(&self) -> &Allow {
        &self.allow
    }

    /// Limits of one run.
    pub const fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Description in the plugin's manifest, one line.
    pub fn description(&self) -> Option<&str> {
        self.description.as_deref()
    }

    /// Returns true if the plugin lies in the folder of `[plugins]`; no table of the configuration
    /// names it.
    pub const fn is_dropped(&self) -> bool {
        self.is_dropped
    }

    /// Resources of a dropped-in job that no other job may use.
    pub const fn own(&self) -> &OwnResources {
        &self.own
    }

    /// SHA-256 of the bytes in which a manifest was searched, whether or not one was found; `None`
    /// if the file was not read. Bytes with another digest may have another manifest.
    pub const fn manifest_digest(&self) -> Option<&[u8; 32]> {
        self.manifest_digest.as_ref()
    }

    /// Returns the origin of the value under `key`, a key of [`Job::values`].
    pub fn origin(&self, key: &str) -> Origin {
        self.origins.0.of(key)
    }

    /// Returns the source of the job's settings, which remedies name.
    pub fn source(&self) -> JobSource {
        if self.is_dropped {
            JobSource::dropped(&self.name, &self.plugin)
        } else {
            JobSource::table(&self.name)
        }
    }

    /// Returns true if both wait for the same lock in the same way and at the same times. Then one can
    /// take the other's position in the queue.
    pub fn queues_like(&self, other: &Self) -> bool {
        self.lock == other.lock
            && self.wait == other.wait
            && self.ttl == other.ttl
            && self.stop_margin == other.stop_margin
            && self.schedule == other.schedule
            && self.retries == other.retries
            && self.restart == other.restart
    }
}

/// Result of reading one job: enough to compare it with others even if it has errors.
pub(super) struct ReadJob {
    /// The job; `None` if anything in it is invalid.
    pub(super) job: Option<Job>,
    /// The name of its table.
    pub(super) name: String,
    /// Its lock and the bytes that name it; `None` if those are invalid.
    pub(super) lock: Option<Spanned<String>>,
}

/// Reads one `[jobs.<name>]`, over the manifest of its plugin, over the defaults.
pub(super) fn read(
    name: &Spanned<&str>,
    section: &Section<'_>,
    defaults: &Defaults,
    drift: Option<Drift>,
) -> ReadJob {
    let named = job_name(name, section);
    let plugin = section.require(
        "plugin",
        "add `plugin = \"….wasm\"`, relative to the folder of this file",
        |node| files::claimed(node, FileKind::Plugin),
    );
    let secrets = section
        .take("secrets", secrets::secrets)
        .or_default(BTreeMap::new());
    let known = secrets.as_ref().map(|secrets| KnownSecrets {
        names: secrets.keys().cloned().collect(),
        remedy: "add it to the job's `secrets`, as in `secrets = { api_key = { file = \"api-key.txt\" } }`",
    });
    let own = RawJob::read(section, known.as_ref());
    let allow = RawAllow::read(section).or(&defaults.allow);
    let looked = plugin.as_ref().map(|plugin| {
        let limits = own.policy.limits.or(&defaults.policy.limits);
        let size = limits.field(LimitKey::PluginSize).clone();
        let most = size.or_default(Limits::default().amount(LimitKey::PluginSize));
        let most = most.map_or(0, |most| most.number);
        look(plugin, most, section.context())
    });
    let (manifest_digest, manifest) = match looked {
        Some(Look { digest, manifest }) => (digest, manifest),
        None => (None, Ok(None)),
    };
    let is_sound = manifest.is_ok();
    let mut raw = own;
    let mut description = Some(None);
    let context = section.context();
    let texts = context.texts();
    let granted = allow.clone().settle().map(|mut allow| {
        if let Field::Value(header) = &defaults.allow.http_token {
            allow.always_carry(Some(header.get_ref()));
        }
        allow
    });
    if let Ok(Some(manifest)) = manifest {
        raw = raw.or(&manifest.job);
        description = manifest.description.optional().ok();
        if let (Some(named), Some(allow), Some(secrets)) = (&named, &granted, &secrets) {
            let given = GivenGrants {
                allow,
                kv_patterns: None,
                secrets,
            };
            refuse_ungranted(named.get_ref(), &manifest.needs, &given, context);
        }
    }
    raw.policy = raw.policy.or(&defaults.policy);
    let mut origins = origins(&raw, Some(&defaults.policy), section.name(), texts);
    note_allowed(&allow, &defaults.allow, section.name(), texts, &mut origins);
    if let Some(plugin) = &plugin {
        origins.note("plugin", &plugin.span(), Layer::Job, section.name(), texts);
    }
    if let Some(place) = section.key_place("secrets") {
        origins.note("secrets", &place, Layer::Job, section.name(), texts);
    }
    // The lock is unknown if an unreadable manifest may have set it.
    let lock =
        lock_of(&raw, named.as_ref()).filter(|_| is_sound || matches!(raw.lock, Field::Value(_)));
    let job = JobParts {
        name: named.map(Spanned::into_inner),
        place: Some(name.span()),
        plugin: plugin.map(Spanned::into_inner),
        manifest_digest,
        description: description.clone().flatten(),
        is_dropped: false,
        own: OwnResources::default(),
        raw,
        secrets,
        allow: granted,
        limits: Limits::default(),
        drift,
        origins,
        section,
    }
    .settle();
    ReadJob {
        job: job.filter(|_| is_sound && description.is_some()),
        name: shown(name.get_ref()),
        lock,
    }
}

/// Reports every need of job `job`'s plugin that the configuration does not grant.
fn refuse_ungranted(job: &str, needs: &RawNeeds, given: &GivenGrants<'_>, context: &Context<'_>) {
    for lack in needs.lacking(job, given) {
        let message = format!(
            "job `{job}` needs {}, which the configuration does not grant",
            lack.what
        );
        let help = format!("add `{}` under [jobs.{job}.{}]", lack.line, lack.table);
        context.report(ConfigError::at(lack.place, message).help(help));
    }
}

/// Records the origin of every grant.
fn note_allowed(
    allow: &RawAllow,
    defaults: &RawAllow,
    table: &str,
    texts: &SourceMap,
    origins: &mut Origins,
) {
    let mut inherited = Vec::new();
    defaults.each(&mut |_, place| inherited.extend(place));
    allow.each(&mut |key, place| {
        let Some(place) = place else { return };
        let key = format!("allow.{key}");
        if inherited.contains(&place) {
            origins.note(key, &place, Layer::Defaults, "defaults.allow", texts);
        } else {
            origins.note(key, &place, Layer::Job, table, texts);
        }
    });
}

/// Contents of `[defaults]`.
pub(super) struct Defaults {
    pub(super) policy: Policy,
    pub(super) allow: RawAllow,
}

impl Defaults {
    /// Reads `[defaults]`.
    pub(super) fn read(root: &Section<'_>) -> Self {
        let section = root.table("defaults", "defaults", schema::DEFAULTS);
        Self {
            policy: Policy::read(&section),
            allow: RawAllow::read(&section),
        }
    }
}

/// Result of reading a plugin's manifest.
struct Look {
    /// Digest of the bytes that were read.
    digest: Option<[u8; 32]>,
    /// The parsed manifest; `Err` if it is invalid, which was reported.
    manifest: Result<Option<RawManifest>, InvalidField>,
}

fn look(plugin: &Spanned<PathBuf>, most: u64, context: &Context<'_>) -> Look {
    let path = plugin.get_ref();
    let Some(peeked) = context.peek(path, most) else {
        return Look {
            digest: None,
            manifest: Ok(None),
        };
    };
    let manifest = match &peeked.manifest {
        Ok(None) => Ok(None),
        Ok(Some(manifest)) => nested::manifest(context, path, manifest.shared()).map(Some),
        Err(error) => {
            let message = format!("plugin `{}` {error}", shown_path(path));
            let (message, help) = message.rsplit_once(": ").unwrap_or((&message, ""));
            context.report(ConfigError::at(plugin.span(), message).help(help));
            Err(InvalidField)
        }
    };
    Look {
        digest: Some(peeked.digest),
        manifest,
    }
}

fn job_name(name: &Spanned<&str>, section: &Section<'_>) -> Option<Spanned<String>> {
    if is_reserved(name.get_ref()) {
        let message = format!(
            "`{}` is reserved for plugins in the folder of [plugins]",
            shown(name.get_ref())
        );
        let help =
            format!("name the job otherwise; `{NAMESPACE}` begins the names of dropped-in jobs");
        let finding = ConfigError::at(name.span(), message).help(help);
        section.context().report(finding);
        return None;
    }
    if read::is_name(name.get_ref()) {
        return Some(Spanned::new(name.span(), (*name.get_ref()).to_owned()));
    }
    let message = format!("`{}` is not a usable name for a job", shown(name.get_ref()));
    section
        .context()
        .report(ConfigError::at(name.span(), message).help(read::NAME_RULE));
    None
}

pub(super) fn sha256(node: &Node<'_>) -> Option<[u8; 32]> {
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
