//! Facts about a plugin, as text for people or as JSON for programs.

use std::fmt::Write as _;

use leasehold_records::printable;
use serde_json::{Value, json};

use crate::size_text::about_size;
use leasehold_config::limits::Limits;
use leasehold_config::manifest::Manifest;
use leasehold_config::plugin_file::PluginFile;
use leasehold_config::{Job, JobSource, LimitKey, Remedy, Schedule, hex};
use leasehold_runtime::{CONTRACT_VERSION, ImportState, Inspection, LoadProblem};

/// Facts to print.
pub(super) struct PluginFacts<'a> {
    pub(super) found: &'a PluginFile,
    /// Job whose grants and limits it is judged by.
    pub(super) source: JobSource,
    pub(super) limits: Limits,
    /// True if those are a configured job's.
    pub(super) is_configured: bool,
    pub(super) look: Result<Inspection, LoadProblem>,
    pub(super) drop_in: Result<Job, String>,
    pub(super) cache: String,
}

impl PluginFacts<'_> {
    pub(super) fn can_run(&self) -> bool {
        let has_all = |look: &Inspection| {
            look.imports
                .iter()
                .all(|(_, state)| matches!(state, ImportState::Always | ImportState::Granted))
        };
        self.look.as_ref().is_ok_and(has_all) && (self.is_configured || self.drop_in.is_ok())
    }

    fn refusal(&self, problem: &LoadProblem) -> String {
        problem.for_source(&self.source)
    }

    pub(super) fn text(&self) -> String {
        let found = self.found;
        let mut text = String::new();
        let mut row = |key: &str, value: &str| {
            let value = printable::line(value);
            // Writing to a string cannot fail.
            let _ = writeln!(text, "{key:<10}  {value}");
        };
        row("file", &found.path.display().to_string());
        let size = found.bytes.len() as u64;
        row("size", &format!("{} ({size} bytes)", about_size(size)));
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
                    let remedy = Remedy::Raise(LimitKey::Memory);
                    format!(": {}", remedy.for_source(&self.source))
                } else {
                    String::new()
                };
                let memory = format!(
                    "{} to start, of {} allowed{fits}",
                    about_size(needs),
                    about_size(most)
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
        let _ = writeln!(text, "\nimports, as job `{}`", self.source.job());
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
                let remedy = Remedy::Grant {
                    line: line.clone(),
                    otherwise: "",
                };
                format!("not granted: {}", remedy.for_source(&self.source))
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
                    let is_shown =
                        ["lock", "every", "cron", "tz", "once", "secrets"].contains(&key);
                    let is_false = key == "once" && value.text() == "false";
                    (is_shown || key.starts_with("allow.")) && !is_empty && !is_false
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

    pub(super) fn json(&self) -> String {
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
            "job": self.source.job(),
            "memory_allowed_bytes": self.limits.memory_bytes,
            "plugin": look,
            "manifest": manifest,
            "compiled": self.cache,
            "dropped_in": drop_in,
        }))
    }
}
