//! Secrets that systemd passes to a host as credentials.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use leasehold_tests::binaries;
use leasehold_tests::command::finish;
use leasehold_tests::etcd::{Etcd, Version};
use leasehold_tests::guests::{self, config_for};
use leasehold_tests::host::HostProcess;
use toml::Table;

use crate::SLACK;

/// Files as systemd writes them: readable by an access list, whose mask shows as the mode of the group.
const MODE: u32 = 0o440;

#[test]
fn guest_gets_a_credential_as_its_secret() -> Result<()> {
    let etcd = Etcd::start(Version::V3_5)?;
    let folder = tempfile::tempdir().context("making a folder for credentials")?;
    let file = folder.path().join("api_key");
    fs::write(&file, "s3cr3t-of-systemd")?;
    fs::set_permissions(&file, fs::Permissions::from_mode(MODE))?;
    let stubborn = guests::stubborn()?;
    let tables: Table = toml::from_str(
        "secrets = { key = { credential = \"api_key\" } }\nenv = { KEY = { secret = \"key\" } }",
    )?;
    let config = config_for("host-a", &etcd).job("tell", |job| {
        let job = job.plugin(&stubborn).config("mode", "tell-done").once();
        let job = job.key("secrets", tables["secrets"].clone());
        job.key("env", tables["env"].clone())
    });
    let env = [("CREDENTIALS_DIRECTORY", folder.path().into())];
    let host = HostProcess::start_with_env(&config, &env)?;
    let ended = host.wait_for(SLACK, |event| event.is("run-ended"))?;
    // The guest repeats its secret, which is hidden on the way.
    ensure!(
        ended.to_string().contains("told [secret key] at last"),
        "{ended}"
    );
    Ok(())
}

#[test]
fn missing_credentials_are_refused_with_the_line_of_the_unit() -> Result<()> {
    let folder = tempfile::tempdir().context("making a folder")?;
    let config = "[store]\nembedded = true\nmemory = true\n[jobs.a]\nplugin = \"a.wasm\"\n\
                  secrets = { key = { credential = \"api_key\" }, up = { credential = \"../x\" } }\n";
    let file = folder.path().join("leasehold.toml");
    fs::write(&file, config)?;
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600))?;
    let check = |directory: Option<&str>| {
        let mut command = Command::new(binaries::leasehold()?);
        command
            .arg("check")
            .current_dir(folder.path())
            .env_remove("CREDENTIALS_DIRECTORY");
        if let Some(directory) = directory {
            command.env("CREDENTIALS_DIRECTORY", directory);
        }
        finish("leasehold check", command)
    };
    let unset = check(None)?;
    ensure!(unset.code == Some(3), "{unset:?}");
    for part in [
        "credential `api_key` cannot be read, because CREDENTIALS_DIRECTORY is not set",
        "start the host by systemd with `LoadCredential=api_key:/path` in its unit",
        "CREDENTIALS_DIRECTORY=/folder leasehold check",
        "is not a name for a credential",
    ] {
        ensure!(unset.stderr.contains(part), "{part}: {}", unset.stderr);
    }
    let absent = check(folder.path().to_str())?;
    ensure!(absent.code == Some(3), "{absent:?}");
    ensure!(
        absent.stderr.contains("/api_key` does not exist"),
        "{}",
        absent.stderr
    );
    Ok(())
}
