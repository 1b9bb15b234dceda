//! A process that may start only a few threads: one error and a code, at once.

use std::process::Command;

use anyhow::{Result, ensure};
use leasehold_tests::binaries;
use leasehold_tests::guests;

use leasehold_tests::command::finish;

/// A user that has no process, so that the limit counts those of the command alone. Root itself has no limit.
const NOBODYS: &str = "54321";

#[test]
fn too_few_threads_are_an_error_with_a_remedy() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let open = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(dir.path(), open)?;
    let (program, plugin) = (dir.path().join("leasehold"), dir.path().join("a.wasm"));
    // Where another user may run it.
    std::fs::copy(binaries::leasehold()?, &program)?;
    std::fs::copy(guests::c_hello()?, &plugin)?;
    let config = dir.path().join("leasehold.toml");
    std::fs::write(
        &config,
        "[host]\nid = \"a\"\ndata_dir = \"data\"\n[store]\nembedded = true\nmemory = true\n\
         [jobs.a]\nplugin = \"a.wasm\"\nonce = true\n",
    )?;
    for limit in 1..=12 {
        let mut command = if rustix::process::geteuid().is_root() {
            let mut command = Command::new("setpriv");
            command.args(["--reuid", NOBODYS, "--regid", NOBODYS, "--clear-groups"]);
            command.arg("prlimit");
            command
        } else {
            Command::new("prlimit")
        };
        command
            .arg(format!("--nproc={limit}"))
            .arg(&program)
            .args(["run", "-c"])
            .arg(&config)
            .current_dir(dir.path());
        let output = finish(&format!("leasehold with {limit} threads"), command)?;
        ensure!(
            output.code == Some(70) && output.stdout.is_empty(),
            "{limit}: {output:?}"
        );
        let lines: Vec<&str> = output.stderr.lines().collect();
        ensure!(
            lines.len() == 2 && lines[0].starts_with("error: ") && lines[0].contains("threads"),
            "{limit}: {output:?}"
        );
        ensure!(lines[1].contains("ulimit -u"), "{limit}: {output:?}");
    }
    Ok(())
}
