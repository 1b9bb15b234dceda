//! `leasehold plugin build` on a machine without compilers: the missing tool and the command to install it.

use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;

use anyhow::{Result, ensure};
use leasehold_tests::binaries;

use leasehold_tests::command::{CommandOutput, finish};

/// Runs `leasehold plugin …` where only `path` has programs.
fn plugin(args: &[&str], path: &Path) -> Result<CommandOutput> {
    let mut command = Command::new(binaries::leasehold()?);
    command
        .arg("plugin")
        .args(args)
        .env("PATH", path)
        .env_remove("LEASEHOLD_GUEST_TOOLS");
    finish(&format!("leasehold plugin {}", args.join(" ")), command)
}

#[test]
fn a_missing_tool_is_named_with_the_command_to_install_it() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let nothing = dir.path().join("bin");
    std::fs::create_dir(&nothing)?;
    let mut all = String::new();
    for (language, missing) in [
        ("c", "clang for WebAssembly is missing\n"),
        ("js", "Node.js is missing: "),
        (
            "python",
            "componentize-py is missing: run in the project\n  python3 -m venv .venv && ",
        ),
        ("go", "Go 1.21 or later is missing (there is none): "),
    ] {
        let project = dir.path().join(language);
        let project = project.to_string_lossy();
        let made = plugin(
            &["new", "demo", "--lang", language, "--dir", &project],
            &nothing,
        )?;
        ensure!(made.code == Some(0), "{}", made.stderr);
        let built = plugin(&["build", &project], &nothing)?;
        ensure!(built.code == Some(4), "{language}: {built:?}");
        ensure!(
            built.stderr.contains(missing),
            "{language}: {}",
            built.stderr
        );
        ensure!(!Path::new(&*project).join("build/demo.wasm").exists());
        writeln!(all, "{}", built.stderr)?;
    }
    println!("{all}");
    Ok(())
}

#[test]
fn a_compile_error_is_shown_and_leaves_no_output() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let project = dir.path().join("demo").to_string_lossy().into_owned();
    let path = std::env::var_os("PATH").unwrap_or_default();
    let made = plugin(
        &["new", "demo", "--lang", "c", "--dir", &project],
        Path::new(&path),
    )?;
    ensure!(made.code == Some(0), "{}", made.stderr);
    std::fs::write(
        dir.path().join("demo/job.c"),
        "int broken(void) { return nonsense; }",
    )?;
    let built = plugin(&["build", &project], Path::new(&path))?;
    ensure!(
        built.code == Some(4) && built.stdout.is_empty(),
        "{built:?}"
    );
    ensure!(
        built.stderr.contains("nonsense") && built.stderr.contains("clang"),
        "{}",
        built.stderr
    );
    ensure!(!dir.path().join("demo/build/demo.wasm").exists());
    Ok(())
}
