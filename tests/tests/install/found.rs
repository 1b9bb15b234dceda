//! The configuration of commands that are given none, and the one that `init` writes.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use leasehold_tests::binaries;
use leasehold_tests::command::{CommandOutput, finish};
use tempfile::TempDir;

/// Runs `leasehold` in a folder as a user whose home is `home`, with `variable` as `LEASEHOLD_CONFIG`.
fn leasehold(
    folder: &Path,
    home: &Path,
    variable: Option<&Path>,
    args: &[&str],
) -> Result<CommandOutput> {
    let mut command = Command::new(binaries::leasehold()?);
    command.args(args).current_dir(folder).env("HOME", home);
    for name in ["XDG_CONFIG_HOME", "XDG_STATE_HOME", "LEASEHOLD_CONFIG"] {
        command.env_remove(name);
    }
    if let Some(path) = variable {
        command.env("LEASEHOLD_CONFIG", path);
    }
    finish(&format!("leasehold {}", args.join(" ")), command)
}

fn folder() -> Result<TempDir> {
    tempfile::tempdir().context("making a folder")
}

#[test]
fn written_configuration_is_found_and_valid() -> Result<()> {
    let (here, home) = (folder()?, folder()?);
    let file = home.path().join(".config/leasehold/leasehold.toml");
    let name = file.to_str().context("a path")?;
    let written = leasehold(here.path(), home.path(), None, &["init", name])?;
    ensure!(written.code == Some(0), "{written:?}");
    // The user's own, from any folder; it is named.
    let checked = leasehold(here.path(), home.path(), None, &["check"])?;
    ensure!(checked.code == Some(0), "{checked:?}");
    ensure!(
        checked.stdout.ends_with("0 jobs are ready to run"),
        "{checked:?}"
    );
    ensure!(checked.stderr.contains(name), "{checked:?}");
    // The one in the current folder comes before it, silently.
    let written = leasehold(here.path(), home.path(), None, &["init"])?;
    ensure!(written.code == Some(0), "{written:?}");
    let checked = leasehold(here.path(), home.path(), None, &["check"])?;
    ensure!(
        checked.stdout.starts_with("leasehold.toml: "),
        "{checked:?}"
    );
    ensure!(checked.stderr.is_empty(), "{checked:?}");
    // The variable comes before both.
    let checked = leasehold(here.path(), home.path(), Some(&file), &["check"])?;
    ensure!(checked.stderr.contains("LEASEHOLD_CONFIG"), "{checked:?}");
    ensure!(checked.stdout.starts_with(name), "{checked:?}");
    // Nothing is overwritten.
    let again = leasehold(here.path(), home.path(), None, &["init"])?;
    ensure!(again.code == Some(2), "{again:?}");
    ensure!(
        again.stderr.contains("exists, and nothing is overwritten"),
        "{again:?}"
    );
    Ok(())
}

#[test]
fn missing_configuration_is_an_error_that_lists_the_places() -> Result<()> {
    let (here, home) = (folder()?, folder()?);
    for command in ["run", "check", "status", "runs"] {
        let output = leasehold(here.path(), home.path(), None, &[command])?;
        ensure!(
            output.code == Some(3) && output.stdout.is_empty(),
            "{output:?}"
        );
        let user = home.path().join(".config/leasehold/leasehold.toml");
        let user = user.to_str().context("a path")?;
        for part in [
            "leasehold.toml: does not exist",
            user,
            "/etc/leasehold/leasehold.toml",
            "leasehold init",
        ] {
            ensure!(output.stderr.contains(part), "{part}: {output:?}");
        }
    }
    // An installation's jobs would run outside of their locks.
    let user = home.path().join(".config/leasehold/leasehold.toml");
    leasehold(
        here.path(),
        home.path(),
        None,
        &["init", user.to_str().context("a path")?],
    )?;
    let output = leasehold(here.path(), home.path(), None, &["dev", "--for", "1s"])?;
    ensure!(output.code == Some(3), "{output:?}");
    Ok(())
}

#[test]
fn verbose_version_names_the_paths_in_use() -> Result<()> {
    let (here, home) = (folder()?, folder()?);
    let none = leasehold(here.path(), home.path(), None, &["--version", "--verbose"])?;
    ensure!(none.code == Some(0), "{none:?}");
    let data = home.path().join(".local/state/leasehold");
    let data = data.to_str().context("a path")?;
    for part in [
        "leasehold ",
        "commit ",
        "leasehold:job@",
        "wasmtime ",
        "configuration  none",
        data,
    ] {
        ensure!(none.stdout.contains(part), "{part}: {none:?}");
    }
    std::fs::write(here.path().join("leasehold.toml"), "[host]\nid = 3\n")?;
    let wrong = leasehold(here.path(), home.path(), None, &["-Vv"])?;
    ensure!(wrong.code == Some(0), "{wrong:?}");
    ensure!(
        wrong
            .stdout
            .contains("which has errors: leasehold check leasehold.toml"),
        "{wrong:?}"
    );
    Ok(())
}
