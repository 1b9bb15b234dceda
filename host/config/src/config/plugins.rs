//! `[plugins]`: the folder whose plugins become jobs, and the limits on those jobs.
//!
//! The policy is the operator's, and binds every user who can write into the folder. No plugin is
//! read here.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};

use super::allow::RawAllow;
use super::defaults::Defaults;
use super::file_claim::FileKind;
use super::files;
use super::limits::RawLimits;
use super::lockname::for_job;
use super::schema;
use super::secrets;
use super::section::{Field, Section};
use super::sharing::Sharing;
use crate::allow::{Allow, SecretRef};
use crate::limits::Limits;

/// A job's own prefix of fenced data: the only one that a dropped-in plugin may use by default.
pub(super) const OWN_PREFIX: &str = "{job}/";

/// The folder for plugins and its policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plugins {
    dir: PathBuf,
    allow: Allow,
    secrets: BTreeMap<String, SecretRef>,
    limits: Limits,
    sharing: Sharing,
    default_token: Option<String>,
}

impl Plugins {
    /// The folder; a relative path was resolved against the file's folder.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Grants that a dropped-in plugin may request; in `kv`, `{job}` stands for the name of its
    /// job. Default: fenced data under `{job}/`, and nothing else.
    pub const fn allow(&self) -> &Allow {
        &self.allow
    }

    /// Returns the same for one job.
    pub fn allow_for(&self, job: &str) -> Allow {
        let patterns = self.allow.kv.iter();
        Allow {
            kv: patterns.map(|pattern| for_job(pattern, job)).collect(),
            ..self.allow.clone()
        }
    }

    /// Secrets that a dropped-in plugin may request by name. Default: none.
    pub const fn secrets(&self) -> &BTreeMap<String, SecretRef> {
        &self.secrets
    }

    /// Headers that carry the token of every dropped-in job: this table's, and that of `[defaults]`.
    pub(super) fn token_headers(&self) -> impl Iterator<Item = &String> {
        self.allow.http_token.iter().chain(&self.default_token)
    }

    /// Names, locks and leases of dropped-in jobs. Default: a namespace of their own.
    pub(super) const fn sharing(&self) -> &Sharing {
        &self.sharing
    }

    /// Largest limits that a dropped-in plugin may request. Default: `[defaults.limits]`.
    pub const fn limits(&self) -> &Limits {
        &self.limits
    }
}

/// Contents of `[plugins]` in the file.
#[derive(Clone, Debug)]
pub(super) struct RawPlugins {
    /// True if the table exists.
    pub(super) is_set: bool,
    /// Position of the folder's name.
    pub(super) dir_place: Option<Range<usize>>,
    /// Grants that may be requested.
    pub(super) allow: RawAllow,
    /// Position of the secrets.
    pub(super) secrets_place: Option<Range<usize>>,
    /// Limits that may be requested.
    pub(super) limits: RawLimits,
    /// The table itself; `None` if anything in it is invalid.
    pub(super) plugins: Option<Plugins>,
}

/// Reads `[plugins]`.
pub(super) fn read(root: &Section<'_>, defaults: &Defaults) -> RawPlugins {
    let section = root.table("plugins", "plugins", schema::PLUGINS);
    let dir = section.require(
        "dir",
        "add `dir = \"plugins\"`, relative to the folder of this file",
        |node| files::claimed(node, FileKind::PluginFolder),
    );
    let raw = RawAllow::read_policy(&section);
    let secrets = section.take("secrets", secrets::secrets);
    let limits = RawLimits::read(&section).or(&defaults.job.limits);
    let sharing = Sharing::read(&section, &defaults.job.settings.ttl);
    let speaks_of_kv = !matches!(raw.kv, Field::Absent);
    let allow = raw.clone().settle().map(|mut allow| {
        if !speaks_of_kv {
            allow.kv = vec![OWN_PREFIX.to_owned()];
        }
        allow
    });
    let most = limits.validate(&Limits::default());
    let is_set = !section.is_absent();
    let dir = if is_set {
        dir.map(toml::Spanned::into_inner)
    } else {
        // No folder means that no file is read from it; the policy is still reported.
        Some(PathBuf::new())
    };
    let plugins = || {
        Some(Plugins {
            dir: dir?,
            allow: allow?,
            secrets: secrets.or_default(BTreeMap::new())?,
            limits: most?,
            sharing: if is_set {
                sharing?
            } else {
                Sharing::unbounded()
            },
            default_token: defaults.allow.http_token.clone().optional().ok()?,
        })
    };
    RawPlugins {
        is_set,
        plugins: plugins(),
        dir_place: section.key_place("dir"),
        allow: raw,
        secrets_place: section.key_place("secrets"),
        limits,
    }
}
