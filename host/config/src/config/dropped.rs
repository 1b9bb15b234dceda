//! A job made of a plugin in the folder for plugins, from its manifest and from the sidecar file
//! beside it.
//!
//! A user who can write into the folder is not the operator. The requests of a plugin are checked
//! against `[plugins]` in the configuration, and each one beyond it is refused with the line that
//! would allow it. This file reads no files.

use std::ops::Range;
use std::path::Path;

use leasehold_diagnostics::{ConfigError, shown, shown_path};
use toml::Spanned;

use super::bounds::PolicyBounds;
use super::context::{Context, NoPlugins};
use super::environment::Environment;
use super::file_claim::LoadPurpose;
use super::guest::KnownSecrets;
use super::job::Job;
use super::job::OwnResources;
use super::limits::RawLimits;
use super::loaded::{Config, DropInBase};
use super::needs::RawNeeds;
use super::nested::{self, RawManifest};
use super::origin::{Layer, Origins};
use super::plugins::RawPlugins;
use super::raw_job::RawJob;
use super::read;
use super::report::Report;
use super::schema;
use super::section::{Field, InvalidField, Section};
use super::source_map::{SourceMap, TextRole};
use super::validate::JobParts;
use crate::limits::{LimitAmount, LimitKey, Limits};
use crate::manifest::Manifest;

/// A plugin found in the folder, and the file beside it.
#[derive(Clone, Copy, Debug)]
pub struct DropIn<'a> {
    /// The plugin's file.
    pub wasm: &'a Path,
    /// Digest of the bytes in which the manifest was searched.
    pub digest: Option<[u8; 32]>,
    /// Their manifest.
    pub manifest: Option<&'a Manifest>,
    /// The sidecar: the file of the same name that ends in `.toml`, and its text.
    pub sidecar: Option<(&'a Path, &'a str)>,
}

impl Config {
    /// Builds the job of a dropped-in plugin: the sidecar's values over the manifest's over
    /// `[defaults]`, as far as the policy of `[plugins]` allows. Without `[plugins]`, the policy is
    /// the default of that table.
    ///
    /// The name is the manifest's, else the file's without its ending. [`super::clash()`] decides
    /// if it can join the present jobs.
    ///
    /// # Errors
    ///
    /// Everything that is wrong with it, each with its file and line, and every request beyond the
    /// policy, each with the line to add.
    pub fn dropped(&self, found: &DropIn<'_>) -> Result<Job, Report> {
        let kept = &self.kept.0;
        let around = Environment::default();
        let context = Context::new(&self.path, LoadPurpose::Run, &around, &NoPlugins);
        for (path, text) in &kept.texts {
            context.texts().add(TextRole::Main, path, text);
        }
        let job = self.drop_in(found, &context);
        let texts = context.texts().clone();
        let (findings, _) = context.into_parts();
        match job {
            Some(job) if findings.is_empty() => Ok(job),
            _ => Err(Report::of_plugin(found.wasm, &texts, findings)),
        }
    }

    fn drop_in(&self, found: &DropIn<'_>, context: &Context<'_>) -> Option<Job> {
        let manifest = found
            .manifest
            .map(|manifest| nested::manifest(context, found.wasm, manifest.shared()))
            .transpose();
        let (path, text) = found.sidecar.unwrap_or((found.wasm, ""));
        let job = nested::document(
            context,
            TextRole::Sidecar,
            path,
            &text.into(),
            schema::SIDECAR,
            |beside| self.layered(found, manifest, beside),
        );
        job.ok().flatten()
    }

    /// Path of the file that has the policy: there may be several in the folder.
    fn policy_file(&self, texts: &SourceMap) -> String {
        let place = self.kept.0.plugins.dir_place.as_ref();
        let text = place.and_then(|place| texts.at(place.start));
        text.map_or_else(|| shown_path(&self.path), |text| text.label.to_string())
    }

    fn layered(
        &self,
        found: &DropIn<'_>,
        manifest: Result<Option<RawManifest>, InvalidField>,
        beside: &Section<'_>,
    ) -> Option<Job> {
        let kept = &self.kept.0;
        let context = beside.context();
        let asked = RawNeeds::of_sidecar(beside);
        let manifest = manifest.ok()?;
        let needs = match &manifest {
            Some(manifest) => asked.or(&manifest.needs),
            None => asked,
        };
        let known = KnownSecrets {
            names: needs.secret_names().cloned().collect(),
            remedy: "ask for it, as in `secrets = [\"api_key\"]`",
        };
        let mut raw = RawJob::read(beside, Some(&known));
        let called = name(found.wasm, manifest.as_ref(), context)?;
        let mut description = None;
        if let Some(manifest) = manifest {
            description = manifest.description.optional().ok()?;
            raw = raw.or(&manifest.job);
        }
        let plugins = kept.plugins.plugins.as_ref()?;
        let config = self.policy_file(context.texts());
        let name = plugins.sharing().name_for(&called);
        let bounds = PolicyBounds {
            job: &name,
            config: &config,
            plugins,
            present: &self.jobs,
            context,
        };
        bounds.judge_limits(&raw.limits);
        bounds.judge_ttl(&raw.settings.ttl);
        let locks = bounds.judge_locks(&raw.lock);
        let granted = bounds.granted(&needs);
        let own = OwnResources {
            locks,
            keys: granted
                .as_ref()
                .map_or_else(Vec::new, |(allow, _)| bounds.own_keys(allow)),
        };
        // Limits that are not requested come from the defaults, but never exceed the policy's.
        let limits = kept.defaults.limits.validate(&Limits::default())?;
        let limits = limits.least(plugins.limits());
        let origins = add_defaults(&mut raw, &needs, kept, context.texts());
        let (allow, secrets) = granted.unzip();
        JobParts {
            name: Some(name),
            place: None,
            plugin: Some(found.wasm.to_owned()),
            manifest_digest: found.digest,
            description,
            is_dropped: true,
            own,
            secrets,
            allow,
            limits,
            drift: Some(kept.drift),
            origins,
            section: beside,
            raw,
        }
        .settle()
    }
}

/// Fills the job's values from the defaults, all but its limits, and returns the origins of all.
fn add_defaults(
    raw: &mut RawJob,
    needs: &RawNeeds,
    base: &DropInBase,
    texts: &SourceMap,
) -> Origins {
    let own_limits = raw.limits.clone();
    *raw = raw.clone().or(&base.defaults);
    let mut origins = raw.origins(&base.defaults, "", texts);
    raw.limits = own_limits;
    note_policy(&base.plugins, needs, &mut origins, texts);
    note_lowered(&raw.limits, base, &mut origins, texts);
    origins
}

/// Records the origins of what the policy grants.
fn note_policy(plugins: &RawPlugins, needs: &RawNeeds, origins: &mut Origins, texts: &SourceMap) {
    if let Some(place) = &plugins.dir_place {
        origins.note("plugin", place, Layer::Plugins, "plugins", texts);
    }
    for (key, table, place) in asked_at(needs, plugins) {
        origins.note(key, &place, Layer::Plugins, table, texts);
    }
}

/// Records the origins of the limits that the policy lowers.
fn note_lowered(asked: &RawLimits, base: &DropInBase, origins: &mut Origins, texts: &SourceMap) {
    for (key, place) in lowered(asked, &base.defaults.limits, &base.plugins) {
        let key = format!("limits.{key}");
        origins.note(key, &place, Layer::Plugins, "plugins.limits", texts);
    }
}

/// Returns the job's name: the manifest's, else the file's without its ending.
fn name(wasm: &Path, manifest: Option<&RawManifest>, context: &Context<'_>) -> Option<String> {
    match manifest.map(|manifest| &manifest.name) {
        Some(Field::Value(name)) => return Some(name.get_ref().clone()),
        Some(Field::Invalid) => return None,
        Some(Field::Absent) | None => {}
    }
    let stem = wasm.file_stem().unwrap_or_default().to_string_lossy();
    if read::is_name(&stem) {
        return Some(stem.into_owned());
    }
    let message = format!(
        "the file's name cannot be the name of its job: \"{}\"",
        shown(&stem)
    );
    context.report(
        ConfigError::whole(message)
            .help(format!("rename the file; {}", read::NAME_RULE))
            .help("or set `name` in the plugin's manifest"),
    );
    None
}

/// Position where each grant was requested, or where the policy names a grant that comes without a
/// request: the key, the policy's table, the position.
fn asked_at(
    needs: &RawNeeds,
    policy: &RawPlugins,
) -> Vec<(&'static str, &'static str, Range<usize>)> {
    let corner = (!needs.is_set).then(|| policy.allow.kv.span()).flatten();
    let token = needs.http_token.span().or(policy.allow.http_token.span());
    let places = [
        ("allow.kv", needs.kv.span().or(corner)),
        ("allow.kv_shared", policy.allow.kv_shared.span()),
        ("allow.http", needs.http.span()),
        ("allow.http_networks", needs.http_networks.span()),
        ("allow.http_token", token),
        ("allow.http_ca", policy.allow.http_ca.span()),
        ("allow.dirs", needs.dirs.span()),
    ];
    let allowed = places
        .into_iter()
        .filter_map(|(key, place)| Some((key, "plugins.allow", place?)));
    let secrets = needs.secrets.span().or(policy.secrets_place.clone());
    let secrets = secrets.map(|place| ("secrets", "plugins.secrets", place));
    allowed.chain(secrets).collect()
}

/// Limits that are not requested and that `[plugins.limits]` makes lower than the defaults, with
/// their positions.
fn lowered(
    asked: &RawLimits,
    defaults: &RawLimits,
    plugins: &RawPlugins,
) -> Vec<(LimitKey, Range<usize>)> {
    let defaults = defaults.validate(&Limits::default()).unwrap_or_default();
    let lowers = |key, most: &Spanned<LimitAmount>| {
        asked.field(key).span().is_none() && *most.get_ref() < defaults.amount(key)
    };
    let policy = plugins.limits.set();
    policy
        .filter(|(key, most)| lowers(*key, most))
        .map(|(key, most)| (key, most.span()))
        .collect()
}
