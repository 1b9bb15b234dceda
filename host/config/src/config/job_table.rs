//! Reader of `[jobs.<name>]`: the job's own table over the manifest of its plugin, over the defaults.

use std::collections::BTreeMap;
use std::path::PathBuf;

use leasehold_diagnostics::{ConfigError, shown, shown_path};
use toml::Spanned;

use super::allow::RawAllow;
use super::context::Context;
use super::defaults::Defaults;
use super::drift::Drift;
use super::file_claim::FileKind;
use super::files;
use super::guest::KnownSecrets;
use super::job::{Job, OwnResources};
use super::limits::RawLimits;
use super::lock_value::SpannedLocks;
use super::needs::{GivenGrants, RawNeeds};
use super::nested::{self, RawManifest};
use super::origin::{Layer, Origins};
use super::raw_job::RawJob;
use super::read;
use super::secrets;
use super::section::{Field, InvalidField, Section};
use super::sharing::{NAMESPACE, is_reserved};
use super::source_map::SourceMap;
use super::validate::{JobParts, locks_of};
use crate::allow::Allow;
use crate::limits::{LimitKey, Limits};

/// Result of reading one job: enough to compare it with others even if it has errors.
pub(super) struct ReadJob {
    /// The job; `None` if anything in it is invalid.
    pub(super) job: Option<Job>,
    /// The name of its table.
    pub(super) name: String,
    /// Its locks and the bytes that name them; `None` if those are invalid.
    pub(super) locks: Option<SpannedLocks>,
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
    let known = secrets.as_ref().map(known_secrets);
    let mut raw = RawJob::read(section, known.as_ref());
    let allow = RawAllow::read(section).or(&defaults.allow);
    let limits = raw.limits.or(&defaults.job.limits);
    let PluginLook {
        digest: manifest_digest,
        manifest,
    } = look(plugin.as_ref(), &limits, section.context());
    let is_sound = manifest.is_ok();
    let mut description = Some(None);
    let context = section.context();
    let texts = context.texts();
    let granted = granted(&allow, defaults);
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
    raw = raw.or(&defaults.job);
    let mut origins = raw.origins(&defaults.job, section.name(), texts);
    note_allowed(&allow, &defaults.allow, section.name(), texts, &mut origins);
    note_own(plugin.as_ref(), section, &mut origins);
    // The locks are unknown if an unreadable manifest may have set them.
    let locks =
        locks_of(&raw, named.as_ref()).filter(|_| is_sound || matches!(raw.lock, Field::Value(_)));
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
        locks,
    }
}

/// The secrets that a job may name in its grants.
fn known_secrets<V>(secrets: &BTreeMap<String, V>) -> KnownSecrets {
    KnownSecrets {
        names: secrets.keys().cloned().collect(),
        remedy: "add it to the job's `secrets`, as in `secrets = { api_key = { file = \"api-key.txt\" } }`",
    }
}

/// Returns the job's grants, with the defaults' header for the token; `None` if any of them is invalid.
fn granted(allow: &RawAllow, defaults: &Defaults) -> Option<Allow> {
    let mut allow = allow.clone().settle()?;
    if let Field::Value(header) = &defaults.allow.http_token {
        allow.always_carry(Some(header.get_ref()));
    }
    Some(allow)
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

/// Result of reading a plugin's manifest.
struct PluginLook {
    /// Digest of the bytes that were read.
    digest: Option<[u8; 32]>,
    /// The parsed manifest; `Err` if it is invalid, which was reported.
    manifest: Result<Option<RawManifest>, InvalidField>,
}

/// Reads the manifest of a plugin, if its path is known and the file can be read.
fn look(
    plugin: Option<&Spanned<PathBuf>>,
    limits: &RawLimits,
    context: &Context<'_>,
) -> PluginLook {
    let Some(plugin) = plugin else {
        return PluginLook {
            digest: None,
            manifest: Ok(None),
        };
    };
    let size = limits.field(LimitKey::PluginSize).clone();
    let most = size.or_default(Limits::default().amount(LimitKey::PluginSize));
    let most = most.map_or(0, |most| most.number);
    let path = plugin.get_ref();
    let Some(peeked) = context.peek(path, most) else {
        return PluginLook {
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
    PluginLook {
        digest: Some(peeked.digest),
        manifest,
    }
}

/// Records the origins of the keys that only the job's own table has.
fn note_own(plugin: Option<&Spanned<PathBuf>>, section: &Section<'_>, origins: &mut Origins) {
    let places = [
        ("plugin", plugin.map(Spanned::span)),
        ("secrets", section.key_place("secrets")),
    ];
    let texts = section.context().texts();
    for (key, place) in places {
        if let Some(place) = place {
            origins.note(key, &place, Layer::Job, section.name(), texts);
        }
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
