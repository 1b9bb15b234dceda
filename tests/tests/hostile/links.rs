//! Links in the folder that lead to files which a plugin's author may not read.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};

use anyhow::{Result, ensure};
use leasehold_tests::guests::config_for;
use leasehold_tests::host::HostProcess;
use leasehold_tests::wat_plugins::printer;

use crate::SLACK;
use crate::neighbour::Neighbour;

/// In the file that no message may quote.
const SECRET: &str = "hunter2-hunter2";

#[test]
fn a_link_out_of_the_folder_is_refused_and_not_shown() -> Result<()> {
    let beside = Neighbour::start(|config| config)?;
    let folder = beside.host.dir().join("plugins");
    let secret = beside.host.dir().join("secret.toml");
    fs::write(&secret, format!("{SECRET} = nonsense\n"))?;
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o600))?;
    let targets = [
        ("shadow", "/etc/shadow".to_owned()),
        ("environ", "/proc/self/environ".to_owned()),
        ("absolute", secret.display().to_string()),
        ("relative", "../secret.toml".to_owned()),
        ("around", "../plugins/../secret.toml".to_owned()),
        ("dangling", "/nowhere/at/all".to_owned()),
        ("device", "/dev/zero".to_owned()),
    ];
    for (name, target) in &targets {
        symlink(target, folder.join(format!("{name}.toml")))?;
        let mark = beside.host.mark();
        beside.drop_in(&format!("{name}.wasm"), &printer(name, 0)?)?;
        let told = beside.host.wait_after(mark, SLACK, |event| {
            let about = event.str("error").unwrap_or_default();
            event.is("plugin-refused") && about.contains(&format!("{name}.toml"))
        })?;
        let said = told.str("error").unwrap_or_default();
        ensure!(said.contains("leads out of its folder"), "{name}: {said}");
    }
    // The plugin itself.
    symlink(&secret, folder.join("plugin.wasm"))?;
    beside.host.wait_for(SLACK, |event| {
        let said = event.str("error").unwrap_or_default();
        event.is("plugin-refused") && said.contains("plugin.wasm is a link that leads out")
    })?;
    for event in beside.host.events() {
        let text = event.value().to_string();
        ensure!(
            !text.contains(SECRET) && !text.contains("nonsense") && !text.contains("PATH="),
            "{text}"
        );
        ensure!(!event.is("job-added"), "{text}");
    }
    beside.untouched().map(drop)
}

/// As Kubernetes mounts a configuration, and swaps it for the next.
#[test]
fn links_within_the_folder_are_followed_as_in_a_config_map() -> Result<()> {
    let beside = Neighbour::start(|config| config)?;
    let folder = beside.host.dir().join("plugins");
    for (version, words) in [("..1", "first"), ("..2", "second")] {
        fs::create_dir(folder.join(version))?;
        fs::write(folder.join(version).join("job.wasm"), printer(words, 0)?)?;
        fs::write(folder.join(version).join("job.toml"), "retries = 1\n")?;
    }
    symlink("..1", folder.join("..data"))?;
    symlink("..data/job.toml", folder.join("job.toml"))?;
    symlink("..data/job.wasm", folder.join("job.wasm"))?;
    let says_so = |words: &'static str| {
        beside.host.wait_for(SLACK, move |event| {
            event.is("guest") && event.text() == Some(words)
        })
    };
    says_so("first")?;
    symlink("..2", folder.join("..data_tmp"))?;
    fs::rename(folder.join("..data_tmp"), folder.join("..data"))?;
    says_so("second")?;
    beside.untouched().map(drop)
}

#[test]
fn a_config_is_not_read_through_a_link_to_a_private_file() -> Result<()> {
    let beside = Neighbour::start(|config| config)?;
    let private = tempfile::tempdir()?;
    let secret = private.path().join("secret.toml");
    fs::write(&secret, format!("{SECRET} = nonsense\n"))?;
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o600))?;
    let config = config_for("host-b", &beside.etcd);
    let mut host = HostProcess::start_in_prepared(&config, |dir| {
        let file = dir.join("leasehold.toml");
        fs::remove_file(&file)?;
        Ok(symlink(&secret, &file)?)
    })?;
    let code = host.wait_exit(SLACK)?.code();
    let said = host.stderr();
    ensure!(matches!(code, Some(1..=9)), "{code:?}: {said}");
    ensure!(
        said.contains("the configuration file is a link to") && said.contains("itself"),
        "{said}"
    );
    ensure!(
        !said.contains(SECRET) && !said.contains("nonsense"),
        "{said}"
    );
    beside.untouched().map(drop)
}
