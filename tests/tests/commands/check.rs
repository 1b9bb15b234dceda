//! `leasehold check`: the source of each value, dropped-in plugins, and all refusals.

use anyhow::{Result, ensure};
use leasehold_tests::guests;

use crate::room::Room;

/// A manifest for any plugin.
const MANIFEST: &str = "name = \"counter\"\ndescription = \"Counts.\"\nevery = \"30s\"\nttl = \"12s\"\n\
    [config]\nstep = 2\nwide = true\n";

/// Three jobs, of which one is dropped in, and every layer among their values.
fn layered() -> Result<Room> {
    let room = Room::new(
        "[defaults]\nretries = 3\n[plugins]\ndir = \"plugins\"\n\
         [jobs.hello]\nplugin = \"hello.wasm\"\nttl = \"20s\"\nconfig = { step = 5 }\n\
         [jobs.plain]\nplugin = \"plain.wasm\"\n",
    )?;
    let (hello, pulse) = (guests::c_hello()?, guests::heartbeat()?);
    room.plugin("hello.wasm", &hello, MANIFEST)?;
    room.plugin("plain.wasm", &hello, "")?;
    room.plugin("plugins/counter.wasm", &pulse, MANIFEST)?;
    room.write("plugins/counter.toml", b"timeout = \"9s\"\n")?;
    Ok(room)
}

#[test]
fn every_value_is_listed_with_its_layer() -> Result<()> {
    let room = layered()?;
    let said = room.run(&["check"])?;
    ensure!(said.code == Some(0) && said.errors().is_empty(), "{said:?}");
    let lines: Vec<Vec<&str>> = said
        .stdout
        .lines()
        .map(|line| line.split_whitespace().collect())
        .collect();
    for line in [
        "dropped.counter: Counts.",
        "timeout \"9s\" plugins/counter.toml:1",
        "every \"30s\" manifest of plugins/counter.wasm:3",
        "retries 3 [defaults] leasehold.toml:7",
        "allow.kv [\"dropped.counter/\"] built in",
        "hello: Counts.",
        "plugin \"hello.wasm\" [jobs.hello] leasehold.toml:11",
        "plugin \"plugins/counter.wasm\" [plugins] leasehold.toml:9",
        "ttl \"20s\" [jobs.hello] leasehold.toml:12",
        "every \"30s\" manifest of hello.wasm:3",
        "config.step 5 [jobs.hello] leasehold.toml:13",
        "config.wide true manifest of hello.wasm:7",
    ] {
        let words: Vec<&str> = line.split_whitespace().collect();
        ensure!(lines.contains(&words), "no `{line}` in\n{}", said.stdout);
    }
    ensure!(!said.stdout.contains("stop_margin"), "{}", said.stdout);
    let last = "leasehold.toml: 3 jobs are ready to run";
    ensure!(said.stdout.ends_with(last), "{}", said.stdout);
    let all = room.run(&["check", "--all"])?;
    let margins = all.stdout.matches("stop_margin").count();
    ensure!(margins == 3, "{}", all.stdout);
    Ok(())
}

#[test]
fn programs_get_the_same_as_json() -> Result<()> {
    let said = layered()?.run(&["check", "--format", "json"])?;
    ensure!(said.code == Some(0), "{said:?}");
    let told: serde_json::Value = serde_json::from_str(&said.stdout)?;
    let job = |name: &str| {
        let jobs = told["jobs"].as_array();
        jobs.and_then(|jobs| jobs.iter().find(|job| job["name"] == name))
            .cloned()
            .unwrap_or_default()
    };
    ensure!(job("dropped.counter")["dropped_in"] == true && job("hello")["dropped_in"] == false);
    let values = job("hello")["values"].clone();
    let find = |key: &str| {
        values
            .as_array()
            .and_then(|all| all.iter().find(|v| v["key"] == key))
            .cloned()
    };
    let ttl = find("ttl").unwrap_or_default();
    ensure!(
        ttl["value"] == "\"20s\"" && ttl["from"]["layer"] == "job",
        "{ttl}"
    );
    ensure!(ttl["from"]["line"] == 12, "{ttl}");
    let every = find("every").unwrap_or_default();
    ensure!(every["from"]["layer"] == "manifest", "{every}");
    Ok(())
}

#[test]
fn all_refusals_are_in_one_report() -> Result<()> {
    let room = layered()?;
    let hello = guests::c_hello()?;
    room.plugin(
        "plugins/greedy.wasm",
        &hello,
        "[needs]\nkv = [\"other/\"]\n[limits]\nmemory = \"1GiB\"",
    )?;
    room.plugin("plugins/hello.wasm", &hello, "")?;
    room.plugin("plugins/nested.wasm", &hello, "lock = \"plain/inner\"")?;
    room.plugin(
        "plugins/two.wasm",
        &room.plugin("x.wasm", &hello, MANIFEST)?,
        MANIFEST,
    )?;
    room.write("plugins/broken.wasm", b"\0asm\x01\0\0\0\x01")?;
    let said = room.run(&["check"])?;
    println!("{}", said.stderr);
    ensure!(said.code == Some(4) && said.stdout.is_empty(), "{said:?}");
    for told in [
        "`kv = [\"{job}/\", \"other/\"]` under [plugins.allow] in leasehold.toml",
        "`memory = \"1GiB\"` under [plugins.limits] in leasehold.toml",
        "job `dropped.nested` asks for lock `plain/inner`, which no dropped-in plugin may take",
        "plugins/two.wasm has 2 manifests",
        "plugins/broken.wasm: is cut off",
        "4 plugins were refused; nothing was started",
    ] {
        ensure!(
            said.stderr.contains(told),
            "not told: {told}\n{}",
            said.stderr
        );
    }
    Ok(())
}

#[test]
fn a_folder_writable_by_others_is_refused_with_the_remedy() -> Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    let room = Room::new("[plugins]\ndir = \"plugins\"\n")?;
    ensure!(room.run(&["check"])?.stdout == "leasehold.toml: 0 jobs are ready to run");
    let folder = room.path().join("plugins");
    std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o777))?;
    let said = room.run(&["check"])?;
    ensure!(said.code == Some(3), "{said:?}");
    ensure!(
        said.stderr.contains("may be written by everybody"),
        "{said:?}"
    );
    ensure!(said.stderr.contains("run `chmod o-w plugins`"), "{said:?}");
    std::fs::remove_dir(&folder)?;
    let said = room.run(&["check"])?;
    ensure!(said.code == Some(3), "{said:?}");
    ensure!(
        said.stderr
            .contains("plugin folder `plugins` does not exist"),
        "{said:?}"
    );
    room.write("plugins", b"")?;
    let said = room.run(&["check"])?;
    ensure!(
        said.stderr
            .contains("plugin folder `plugins` is not a folder"),
        "{said:?}"
    );
    Ok(())
}

#[test]
fn a_diff_without_a_host_has_nothing_to_compare() -> Result<()> {
    let said = layered()?.run(&["check", "--diff"])?;
    ensure!(said.code == Some(0) && said.errors().is_empty(), "{said:?}");
    ensure!(
        said.stdout
            .starts_with("Nothing to compare with: no host `host-a` has run"),
        "{said:?}"
    );
    Ok(())
}
