//! Job of a trial: the one of a configuration, or one with the plugin's own requests.
//!
//! Without a configuration, nothing of this machine is granted, whatever is requested.

use std::path::Path;

use serde_json::Value;

use crate::commands::plugin::lookup::job_of;
use crate::exit::Exit;
use crate::failure::Failure;
use leasehold_config::limits::LimitKey;
use leasehold_config::plugin_file::PluginFile;
use leasehold_config::{Config, Job};

/// Most bytes of a plugin that are read.
const LARGEST: u64 = 1024 * leasehold_config::limits::MIB;

/// Parts that a run is made of.
pub(super) struct Given {
    pub(super) config: Config,
    pub(super) job: Job,
    /// The job's `config`, with the values of the command line.
    pub(super) config_json: String,
}

/// Builds the job to try the plugin as.
pub(super) fn given(
    file: &Path,
    config: Option<&Path>,
    job: Option<&str>,
    values: &[String],
) -> Result<Given, Failure> {
    let found = PluginFile::read(file, LARGEST)
        .map_err(|why| Failure::new(Exit::Plugin, format!("plugin {why}")))?;
    let config = match config {
        Some(config) => Config::load(config)?,
        None => lenient(&found)?,
    };
    let job = if let Some(name) = job {
        job_of(&config, name)?
    } else {
        let drop_in = found.drop_in().map_err(|why| {
            Failure::new(Exit::Plugin, format!("plugin {} {why}", file.display()))
        })?;
        config
            .dropped(&drop_in)
            .map_err(|report| Failure::new(Exit::Plugin, report.to_string()))?
    };
    let config_json =
        with_values(job.config_json(), values).map_err(|why| Failure::new(Exit::Usage, why))?;
    Ok(Given {
        config,
        job,
        config_json,
    })
}

/// Builds a configuration that allows the requested fenced data.
fn lenient(found: &PluginFile) -> Result<Config, Failure> {
    let mut wishes = vec!["{job}/".to_owned()];
    if let Ok(Some(manifest)) = &found.manifest {
        wishes.extend(asked(manifest.text(), "needs"));
    }
    if let Some((_, text)) = &found.sidecar {
        wishes.extend(asked(text, "allow"));
    }
    let parse = |kv: &[String]| {
        let text = format!(
            "[host]\nid = \"trial\"\n[store]\nendpoints = [\"localhost:2379\"]\n\
             [plugins]\ndir = \"plugins\"\nnames = [\"*\"]\nlocks = [\"*\"]\nmax_ttl = \"1h\"\n[plugins.allow]\nkv = {}\n{}",
            Value::from(kv),
            highest_limits(),
        );
        Config::parse(&text, Path::new("(no configuration)"))
    };
    // A request that is not a prefix is reported at its position, later.
    Ok(parse(&wishes).or_else(|_| parse(&wishes[..1]))?)
}

/// Prints a policy with limits as high as any job may have: the user of this command has the plugin's file
/// already.
fn highest_limits() -> String {
    LimitKey::ALL
        .iter()
        .fold("[plugins.limits]\n".to_owned(), |text, key| {
            let (_, most) = key.bounds();
            format!("{text}{key} = {most}\n")
        })
}

/// Returns the prefixes under `kv` in a table of this text.
fn asked(text: &str, table: &str) -> Vec<String> {
    let Ok(read) = text.parse::<toml::Table>() else {
        return Vec::new();
    };
    let kv = read.get(table).and_then(|table| table.get("kv"));
    let kv = kv.and_then(toml::Value::as_array).into_iter().flatten();
    kv.filter_map(|prefix| prefix.as_str().map(str::to_owned))
        .collect()
}

/// Merges these values over a job's config.
fn with_values(json: &str, values: &[String]) -> Result<String, String> {
    let mut config: Value = serde_json::from_str(json).unwrap_or_default();
    for said in values {
        let (key, value) = said
            .split_once('=')
            .filter(|(key, _)| !key.trim().is_empty())
            .ok_or_else(|| format!("`{said}` is not KEY=VALUE: write it as in transfers=20"))?;
        let mut at = &mut config;
        for part in key.trim().split('.') {
            if !at.is_object() {
                *at = Value::Object(serde_json::Map::new());
            }
            at = &mut at[part];
        }
        *at = value_of(value);
    }
    Ok(config.to_string())
}

/// Parses a value as TOML, else takes it as plain text.
fn value_of(text: &str) -> Value {
    let read = format!("v = {text}").parse::<toml::Table>();
    let read = read.ok().and_then(|table| serde_json::to_value(table).ok());
    read.and_then(|mut table| table.get_mut("v").map(Value::take))
        .unwrap_or_else(|| Value::from(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_the_command_line_stand_over_the_jobs() {
        let set = |values: &[&str]| {
            let values: Vec<String> = values.iter().map(|text| (*text).to_owned()).collect();
            with_values(r#"{"a":1,"deep":{"x":1,"y":2}}"#, &values)
        };
        let said = set(&[
            "a=2",
            "deep.x=[1, \"b\"]",
            "new.one=some text",
            "t=true",
            "q=\"5\"",
        ]);
        assert_eq!(
            said.unwrap(),
            r#"{"a":2,"deep":{"x":[1,"b"],"y":2},"new":{"one":"some text"},"q":"5","t":true}"#
        );
        assert!(set(&["a"]).is_err() && set(&["=1"]).is_err());
    }

    #[test]
    fn run_without_configuration_is_granted_fenced_data_only() {
        let manifest = "[needs]\nkv = [\"a/\", \"b/\"]\n[limits]\nmemory = \"300MiB\"";
        let found = |manifest: &str| {
            let section = format!("(module (@custom \"leasehold:manifest\" {manifest:?}))");
            let bytes = wat::parse_str(section.replace("\\\"", "\\22").replace("\\n", "\\0a"));
            let bytes = bytes.unwrap();
            PluginFile {
                path: "x.wasm".into(),
                digest: [0; 32],
                manifest: leasehold_config::manifest::Manifest::read(&bytes),
                bytes,
                sidecar: None,
            }
        };
        let job = |manifest: &str| {
            let found = found(manifest);
            let config = lenient(&found).unwrap();
            config.dropped(&found.drop_in().unwrap())
        };
        let given = job(manifest).unwrap();
        assert_eq!(given.allow().kv, ["a/", "b/"]);
        assert_eq!(
            given.limits().memory_bytes,
            300 * leasehold_config::limits::MIB
        );
        assert!(job("[needs]\nhttp = [\"https://a.example\"]").is_err());
        assert!(job("[needs]\nkv = [\"no prefix\"]").is_err());
    }
}
