//! `leasehold plugin inspect`: a plugin's form, imports, needs and manifest, and whether it could
//! run here.
//!
//! Nothing is run, and nothing is compiled without --compile.

use std::fmt::Write as _;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use leasehold_records::printable;
use serde_json::{Value, json};

use crate::exit::Exit;
use crate::failure::Failure;
use leasehold_config::limits::Limits;
use leasehold_config::manifest::Manifest;
use leasehold_config::plugin_file::PluginFile;
use leasehold_config::{Config, Job, JobSource, Schedule, format_size, hex};
use leasehold_runtime::{
    CONTRACT_VERSION, Grants, ImportState, Inspection, LoadProblem, Preparing, inspect as look,
};
use leasehold_supervisor::prepare::runtime_for;

/// File that is read if none is given.
const USUAL_FILE: &str = "leasehold.toml";
/// Most bytes of a plugin that are read if no limit is known.
const LARGEST: u64 = 1024 * leasehold_config::limits::MIB;

/// Arguments of `leasehold plugin inspect`.
#[derive(clap::Args)]
pub(crate) struct InspectArgs {
    /// The plugin.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Configuration with the grants and the plugin folder to apply. [default: leasehold.toml, if
    /// it exists]
    #[arg(short, long, value_name = "CONFIG")]
    config: Option<PathBuf>,
    /// Job of the configuration that the plugin is for. Without it, the plugin is judged as a
    /// dropped-in one.
    #[arg(long, value_name = "NAME")]
    job: Option<String>,
    /// Compile it, and show whether it was in the cache and how long that took.
    #[arg(long)]
    compile: bool,
    /// Output format.
    #[arg(long, value_enum, default_value = "text")]
    format: InspectFormat,
}

/// Output format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum InspectFormat {
    /// Text for people.
    Text,
    /// JSON for programs.
    Json,
}

/// Loads the configuration that was given, else the usual one, else an empty one.
pub(crate) fn config_for(named: Option<&Path>) -> Result<Config, Failure> {
    let usual = Path::new(USUAL_FILE);
    match named {
        Some(file) => Ok(Config::load(file)?),
        None if usual.exists() => Ok(Config::load(usual)?),
        None => Ok(Config::parse(
            "[host]\nid = \"inspect\"\n[store]\nendpoints = [\"localhost:2379\"]\n[plugins]\ndir = \"plugins\"\n",
            usual,
        )?),
    }
}

/// Finds the job of the configuration by its name.
pub(crate) fn job_of(config: &Config, name: &str) -> Result<Job, Failure> {
    config.job(name).cloned().ok_or_else(|| {
        let names: Vec<&str> = config.jobs().iter().map(Job::name).collect();
        let message = format!(
            "{} has no job `{name}`; its jobs are: {}",
            config.path().display(),
            names.join(", ")
        );
        Failure::new(Exit::Usage, message)
    })
}

/// Facts to print.
struct Told<'a> {
    found: &'a PluginFile,
    /// Name and grants that it is judged by.
    job: String,
    limits: Limits,
    /// True if those are a configured job's.
    is_configured: bool,
    look: Result<Inspection, LoadProblem>,
    drop_in: Result<Job, String>,
    cache: String,
}

/// Runs the command. A plugin that cannot run is printed in full, and the exit code is that of a
/// refusal.
pub(crate) async fn run(args: InspectArgs) -> Result<Exit, Failure> {
    let config = config_for(args.config.as_deref())?;
    let found = PluginFile::read(&args.file, LARGEST)
        .map_err(|why| Failure::new(Exit::Plugin, format!("plugin {why}")))?;
    let drop_in = match found.drop_in() {
        Ok(drop_in) => config
            .dropped(&drop_in)
            .map_err(|report| report.to_string()),
        Err(why) => Err(format!("error: the plugin {why}")),
    };
    let job = match &args.job {
        Some(name) => Some(job_of(&config, name)?),
        None => drop_in.as_ref().ok().cloned(),
    };
    let (name, grants, limits) = if let Some(job) = &job {
        (
            job.name().to_owned(),
            job.allow().clone(),
            job.limits().clone(),
        )
    } else {
        let stem = args.file.file_stem().unwrap_or_default().to_string_lossy();
        (stem.into_owned(), Grants::default(), Limits::default())
    };
    let bytes = Arc::from(found.bytes.as_slice());
    let look = look(Preparing::in_children(), bytes, &name, &grants, &limits).await;
    let cache = if args.compile {
        compiled(&config, &args.file, &name, &limits, &grants).await
    } else {
        not_compiled(&config)
    };
    let told = Told {
        found: &found,
        job: name,
        limits,
        is_configured: args.job.is_some(),
        look,
        drop_in,
        cache,
    };
    let text = match args.format {
        InspectFormat::Text => told.text(),
        InspectFormat::Json => told.json(),
    };
    let _ = crate::sink::print(&text);
    Ok(if told.can_run() {
        Exit::Ok
    } else {
        Exit::Plugin
    })
}

fn cache_dir(config: &Config) -> PathBuf {
    config.host().data_dir().join("compiled")
}

fn not_compiled(config: &Config) -> String {
    let dir = cache_dir(config);
    let is_empty = match std::fs::read_dir(&dir) {
        Ok(mut entries) => entries.next().is_none(),
        Err(error) => error.kind() == io::ErrorKind::NotFound,
    };
    if is_empty {
        format!("not in the cache: {} is empty", dir.display())
    } else {
        "not looked up; --compile does".to_owned()
    }
}

async fn compiled(
    config: &Config,
    file: &Path,
    job: &str,
    limits: &Limits,
    grants: &Grants,
) -> String {
    let runtime = match runtime_for(config) {
        Ok(runtime) => runtime,
        Err(error) => return format!("cannot be used: {error}"),
    };
    let job = JobSource::table(job);
    let began = Instant::now();
    let loaded = runtime.load(&job, file, None, limits, grants).await;
    let took = began.elapsed().as_secs_f64() * 1000.0;
    match loaded {
        Ok(_) if runtime.cache_hits() > 0 => format!("was in the cache: loaded in {took:.1} ms"),
        Ok(_) => format!("was not in the cache: compiled in {took:.1} ms, and is in it now"),
        Err(error) => format!("not compiled: {}", error.problem.for_source(&error.job)),
    }
}

impl Told<'_> {
    fn can_run(&self) -> bool {
        let has_all = |look: &Inspection| {
            look.imports
                .iter()
                .all(|(_, state)| matches!(state, ImportState::Always | ImportState::Granted))
        };
        self.look.as_ref().is_ok_and(has_all) && (self.is_configured || self.drop_in.is_ok())
    }

    fn refusal(&self, problem: &LoadProblem) -> String {
        problem.for_source(&JobSource::table(&self.job))
    }

    fn text(&self) -> String {
        let found = self.found;
        let mut text = String::new();
        let mut row = |key: &str, value: &str| {
            let value = printable::line(value);
            // Writing to a string cannot fail.
            let _ = writeln!(text, "{key:<10}  {value}");
        };
        row("file", &found.path.display().to_string());
        let size = found.bytes.len() as u64;
        row("size", &format!("{} ({size} bytes)", about(size)));
        row("sha256", &hex(&found.digest));
        match &self.look {
            Err(problem) => row("form", &format!("none: the file {}", self.refusal(problem))),
            Ok(look) => {
                let made = if look.is_componentized {
                    ", made into a component when it is loaded"
                } else {
                    ""
                };
                row("form", &format!("{}{made}", look.form.as_str()));
                let contract = look.contract.as_deref().map_or_else(
                    || "none: it uses WASI alone".to_owned(),
                    |version| {
                        format!("leasehold:job@{version}, and this host speaks {CONTRACT_VERSION}")
                    },
                );
                row("contract", &contract);
                let (needs, most) = (look.memory_minimum_bytes, self.limits.memory_bytes);
                let fits = if needs > most {
                    format!(": raise `memory` in the limits of job `{}`", self.job)
                } else {
                    String::new()
                };
                let memory = format!(
                    "{} to start, of {} allowed{fits}",
                    about(needs),
                    about(most)
                );
                row("memory", &memory);
            }
        }
        row("compiled", &self.cache);
        self.add_imports(&mut text);
        self.add_manifest(&mut text);
        self.add_drop_in(&mut text);
        text
    }

    fn add_imports(&self, text: &mut String) {
        let Ok(look) = &self.look else { return };
        let _ = writeln!(text, "\nimports, as job `{}`", self.job);
        let width = look.imports.iter().map(|(name, _)| name.chars().count());
        let width = width.max().unwrap_or(0);
        for (import, state) in &look.imports {
            let _ = writeln!(text, "  {import:width$}  {}", self.state(state));
        }
        if look.imports.is_empty() {
            text.push_str("  none\n");
        }
    }

    fn state(&self, state: &ImportState) -> String {
        match state {
            ImportState::Always => "always there".to_owned(),
            ImportState::Granted => "granted".to_owned(),
            ImportState::NotGranted(line) if self.is_configured => {
                format!("not granted: add `{line}` under [jobs.{}.allow]", self.job)
            }
            ImportState::NotGranted(line) => {
                format!(
                    "not granted: ask for it with `{line}` in [needs] of the manifest, or in [allow] of the file beside"
                )
            }
            ImportState::Refused(why) => format!("refused: it {why}"),
        }
    }

    fn add_manifest(&self, text: &mut String) {
        match &self.found.manifest {
            Ok(None) => text.push_str("\nmanifest\n  none\n"),
            Err(why) => {
                let _ = writeln!(
                    text,
                    "\nmanifest\n  none that can be read: the plugin {why}"
                );
            }
            Ok(Some(manifest)) => {
                text.push_str("\nmanifest\n");
                for line in manifest.text().lines() {
                    let line = format!("  {}", printable::line(line));
                    let _ = writeln!(text, "{}", line.trim_end());
                }
            }
        }
    }

    fn add_drop_in(&self, text: &mut String) {
        text.push_str("\ndropped into the folder of [plugins]\n");
        match &self.drop_in {
            Err(report) => {
                for line in report.lines() {
                    let _ = writeln!(text, "{}", format!("  {line}").trim_end());
                }
            }
            Ok(job) => {
                let values = job.values();
                let matter = values.iter().filter(|value| {
                    let key = value.key();
                    let is_empty = matches!(value.text(), "[]" | "{}");
                    let told = ["lock", "every", "cron", "tz", "once", "secrets"].contains(&key);
                    let says_no = key == "once" && value.text() == "false";
                    (told || key.starts_with("allow.")) && !is_empty && !says_no
                });
                let kept = if *job.schedule() == Schedule::KeepRunning {
                    ", kept running"
                } else {
                    ""
                };
                let _ = writeln!(text, "  job `{}`{kept}", job.name());
                for value in matter {
                    let _ = writeln!(
                        text,
                        "  {} = {}",
                        value.key(),
                        printable::line(value.text())
                    );
                }
            }
        }
    }

    fn json(&self) -> String {
        let found = self.found;
        let look = match &self.look {
            Err(problem) => json!({ "refused": self.refusal(problem) }),
            Ok(look) => json!({
                "form": look.form.as_str(),
                "componentized": look.is_componentized,
                "contract": look.contract,
                "memory_minimum_bytes": look.memory_minimum_bytes,
                "imports": look.imports.iter().map(|(name, state)| {
                    let (word, text) = match state {
                        ImportState::Always => ("always", None),
                        ImportState::Granted => ("granted", None),
                        ImportState::NotGranted(line) => ("not-granted", Some(line)),
                        ImportState::Refused(why) => ("refused", Some(why)),
                    };
                    json!({ "name": name, "state": word, "remedy": text })
                }).collect::<Vec<_>>(),
            }),
        };
        let manifest = match &found.manifest {
            Ok(manifest) => {
                json!({ "text": manifest.as_ref().map(Manifest::text), "refused": null })
            }
            Err(why) => json!({ "text": null, "refused": why.to_string() }),
        };
        let drop_in = match &self.drop_in {
            Err(report) => json!({ "refused": report }),
            Ok(job) => {
                let values = job.values();
                let pairs = values
                    .iter()
                    .map(|value| (value.key().to_owned(), Value::from(value.text())));
                json!({ "job": job.name(), "values": Value::Object(pairs.collect()) })
            }
        };
        printable::json_pretty(&json!({
            "file": found.path.display().to_string(),
            "size_bytes": found.bytes.len(),
            "sha256": hex(&found.digest),
            "contract_of_this_host": CONTRACT_VERSION,
            "job": self.job,
            "memory_allowed_bytes": self.limits.memory_bytes,
            "plugin": look,
            "manifest": manifest,
            "compiled": self.cache,
            "dropped_in": drop_in,
        }))
    }
}

/// Prints a size in a unit for people.
fn about(bytes: u64) -> String {
    const KIB: u64 = 1024;
    const MIB: u64 = 1024 * KIB;
    if bytes.is_multiple_of(KIB) || bytes < KIB {
        return format_size(bytes);
    }
    let (unit, name) = if bytes >= MIB {
        (MIB, "MiB")
    } else {
        (KIB, "KiB")
    };
    let tenths = bytes.saturating_mul(10) / unit;
    format!("{}.{}{name}", tenths / 10, tenths % 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_said_in_one_number() {
        for (bytes, said) in [
            (0, "0B"),
            (1_000, "1000B"),
            (1_500, "1.4KiB"),
            (64 * 1024, "64KiB"),
            (1_572_865, "1.5MiB"),
        ] {
            assert_eq!(about(bytes), said);
        }
    }
}
