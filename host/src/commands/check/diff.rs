//! Changes that a reload would make to the host that runs with a file.
//!
//! Compares the files as they are now with the note that the host wrote when it last applied them.
//! Nothing is sent to the host.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use leasehold_records::printable;
use serde_json::{Value, json};

use leasehold_config::Config;
use leasehold_config::wall::UnixMs;
use leasehold_supervisor::applied::{Applied, JobInForce, NothingApplied};

/// Digits of a digest that are printed for people.
const DIGEST: usize = 12;

/// One value that differs.
#[derive(Debug, PartialEq, Eq)]
struct Change {
    key: String,
    old: Option<String>,
    new: Option<String>,
}

/// All effects of a reload.
#[derive(Debug, Default, PartialEq, Eq)]
struct Diff {
    added: Vec<(String, String)>,
    changed: Vec<(String, Vec<Change>)>,
    removed: Vec<String>,
    unchanged: usize,
    /// Changes that need a restart of the host.
    restart: Vec<Change>,
}

impl Diff {
    fn of(applied: &Applied, config: &Config, jobs: &[JobInForce<'_>]) -> Self {
        let mut diff = Self {
            restart: changes(
                &applied.host_values,
                &config.host_values().into_iter().collect(),
            ),
            ..Self::default()
        };
        for standing in jobs {
            let name = standing.job.name().to_owned();
            let Some(old) = applied.jobs.get(&name) else {
                let file = standing.job.plugin().display().to_string();
                diff.added.push((name, file));
                continue;
            };
            let mut changed = changes(&old.values, &applied.values(standing.job));
            if old.sha256 != standing.sha256 {
                changed.push(Change {
                    key: "the plugin's sha256".to_owned(),
                    old: Some(old.sha256.clone()),
                    new: Some(standing.sha256.to_owned()),
                });
            }
            if changed.is_empty() {
                diff.unchanged += 1;
            } else {
                diff.changed.push((name, changed));
            }
        }
        let is_there = |name: &String| jobs.iter().any(|standing| standing.job.name() == name);
        let gone = applied.jobs.keys().filter(|name| !is_there(name));
        diff.removed.extend(gone.cloned());
        diff
    }

    const fn is_empty(&self) -> bool {
        self.added.is_empty()
            && self.changed.is_empty()
            && self.removed.is_empty()
            && self.restart.is_empty()
    }
}

fn changes(old: &BTreeMap<String, String>, new: &BTreeMap<String, String>) -> Vec<Change> {
    let keys: std::collections::BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    let differing = keys
        .into_iter()
        .filter(|key| old.get(*key) != new.get(*key));
    differing
        .map(|key| Change {
            key: key.clone(),
            old: old.get(key).cloned(),
            new: new.get(key).cloned(),
        })
        .collect()
}

/// Renders the diff for people.
pub(super) fn text(
    applied: &Result<Applied, NothingApplied>,
    config: &Config,
    jobs: &[JobInForce<'_>],
) -> String {
    let applied = match applied {
        Ok(applied) => applied,
        Err(nothing) => return format!("{nothing}.\n"),
    };
    let ago = UnixMs::from_system(SystemTime::now()).since(applied.at_unix_ms);
    let ago = humantime::format_duration(Duration::from_secs(ago.as_secs()));
    let head = format!(
        "Compared with what host `{}` (pid {}) applied {ago} ago:\n",
        applied.host, applied.pid
    );
    format!("{head}{}", Diff::of(applied, config, jobs).text())
}

impl Diff {
    fn text(&self) -> String {
        let mut lines = Vec::new();
        for (name, file) in &self.added {
            lines.push(format!("+ {name} is added now ({})", printable::line(file)));
        }
        for (name, changes) in &self.changed {
            lines.push(format!("~ {name} is changed with the next run"));
            lines.extend(changes.iter().map(Change::line));
        }
        for name in &self.removed {
            lines.push(format!("- {name} is removed now"));
        }
        if !self.restart.is_empty() {
            lines.push("! the host is changed after a restart".to_owned());
            lines.extend(self.restart.iter().map(Change::line));
        }
        let same = match self.unchanged {
            1 => "1 job is unchanged".to_owned(),
            count => format!("{count} jobs are unchanged"),
        };
        if self.is_empty() {
            lines.push(format!("nothing would change; {same}"));
        } else {
            lines.push(same);
        }
        lines.push(String::new());
        lines.join("\n")
    }

    fn json(&self) -> Value {
        let changes = |changes: &[Change]| -> Vec<Value> {
            let pair = |change: &Change| json!({ "key": change.key, "old": change.old, "new": change.new });
            changes.iter().map(pair).collect()
        };
        let added = self.added.iter();
        json!({
            "added": added.map(|(name, file)| json!({ "job": name, "plugin": file, "when": "now" })).collect::<Vec<_>>(),
            "changed": self.changed.iter().map(|(name, values)| json!({
                "job": name, "when": "next-run", "values": changes(values),
            })).collect::<Vec<_>>(),
            "removed": self.removed.iter().map(|name| json!({ "job": name, "when": "now" })).collect::<Vec<_>>(),
            "host": { "when": "restart", "values": changes(&self.restart) },
            "unchanged": self.unchanged,
        })
    }
}

impl Change {
    fn line(&self) -> String {
        let is_digest = self.key.ends_with("sha256");
        let shown = |value: &Option<String>| match value {
            None => "nothing".to_owned(),
            Some(text) if is_digest => text.chars().take(DIGEST).chain(['…']).collect(),
            Some(text) => printable::line(text),
        };
        let key = printable::line(&self.key);
        format!("    {key}: {} → {}", shown(&self.old), shown(&self.new))
    }
}

/// Renders the diff for programs; `compared_with` is null when there is nothing to compare with.
pub(super) fn json(
    applied: &Result<Applied, NothingApplied>,
    config: &Config,
    jobs: &[JobInForce<'_>],
) -> String {
    let whole = match applied {
        Err(nothing) => json!({ "compared_with": null, "reason": nothing.to_string() }),
        Ok(applied) => {
            let mut whole = Diff::of(applied, config, jobs).json();
            whole["compared_with"] = json!({
                "host": applied.host,
                "pid": applied.pid,
                "applied_unix_ms": applied.at_unix_ms,
            });
            whole
        }
    };
    printable::json_pretty(&whole)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn config(text: &str) -> Config {
        let text = format!("[store]\nendpoints = [\"localhost:1\"]\n{text}");
        Config::parse(&text, Path::new("leasehold.toml")).unwrap()
    }

    fn standing<'a>(config: &'a Config, sha256: &'a str) -> Vec<JobInForce<'a>> {
        let jobs = config.jobs().iter();
        jobs.map(|job| JobInForce { job, sha256 }).collect()
    }

    const BEFORE: &str = "[host]\nid = \"a\"\ngrace = \"5s\"\n\
        [jobs.gone]\nplugin = \"g.wasm\"\n[jobs.same]\nplugin = \"s.wasm\"\n\
        [jobs.other]\nplugin = \"o.wasm\"\nttl = \"10s\"\nevery = \"1m\"\nenv = { API_TOKEN = \"hunter2\" }\n";

    #[test]
    fn what_comes_changes_and_goes_is_told_with_its_time() {
        let before = config(BEFORE);
        let applied = Applied::now(&before, standing(&before, "00aa"));
        let after = BEFORE
            .replace("gone", "new")
            .replace("grace = \"5s\"", "grace = \"6s\"")
            .replace("ttl = \"10s\"\nevery = \"1m\"", "ttl = \"12s\"")
            .replace("hunter2", "hunter3");
        let after = config(&after);
        let diff = Diff::of(&applied, &after, &standing(&after, "00aa"));
        let text = diff.text();
        let tokens: Vec<&str> = text.split('#').collect();
        // The digests are salted anew each time.
        let text = tokens
            .iter()
            .enumerate()
            .map(|(at, part)| if at == 0 { *part } else { &part[8..] })
            .collect::<Vec<_>>()
            .join("#");
        insta::assert_snapshot!("diff", text);
        assert!(!text.contains("hunter"), "{text}");
        let newer = Diff::of(&applied, &before, &standing(&before, "00bb"));
        insta::assert_snapshot!("diff_of_plugins", newer.text());
        let none = Diff::of(&applied, &before, &standing(&before, "00aa"));
        assert_eq!(none.text(), "nothing would change; 3 jobs are unchanged\n");
        assert!(none.is_empty());
    }

    #[test]
    fn what_a_host_has_applied_is_read_back_and_is_its_owners() {
        use std::os::unix::fs::PermissionsExt as _;
        let dir = tempfile::tempdir().unwrap();
        let data = dir.path().join("data");
        let text = BEFORE.replace("[host]\n", &format!("[host]\ndata_dir = {data:?}\n"));
        let config = config(&text);
        let nothing = Applied::read(&config).unwrap_err().to_string();
        assert!(nothing.starts_with("Nothing to compare with: no host `a` has run"));
        let applied = Applied::now(&config, standing(&config, "00aa"));
        for _ in 0..2 {
            applied.write(&config).unwrap();
        }
        assert_eq!(Applied::read(&config).unwrap(), applied);
        let path = data.join("applied-a.json");
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let written = std::fs::read_to_string(&path).unwrap();
        assert!(!written.contains("hunter2"), "{written}");
        std::fs::write(&path, "{").unwrap();
        let broken = Applied::read(&config).unwrap_err().to_string();
        assert!(broken.contains("cannot be read"), "{broken}");
    }
}
