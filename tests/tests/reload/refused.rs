//! Invalid files in the folder: logged once, and the version before continues.

use anyhow::{Result, ensure};
use leasehold_tests::etcd::{Etcd, Version};
use leasehold_tests::events::Event;
use leasehold_tests::guests;
use leasehold_tests::host::HostProcess;
use leasehold_tests::wat_plugins::{printer, printer_with_manifest};

use super::{QUIET, SLACK, count, dropped, dropping, end, first_output, folder, put, start};

/// The refusal of this file after `mark`.
fn refusal(host: &HostProcess, mark: usize, file: &str) -> Result<Event> {
    host.wait_after(mark, SLACK, |event| {
        let about = event.str("file").is_some_and(|path| path.ends_with(file));
        event.is("plugin-refused") && about
    })
}

fn error(event: &Event) -> &str {
    event.str("error").unwrap_or_default()
}

#[test]
fn a_bad_file_is_logged_once_and_the_old_version_goes_on() -> Result<()> {
    let etcd = Etcd::start(Version::V3_5)?;
    let host = start(&dropping(&etcd))?;
    put(&folder(&host), "job.wasm", &printer("good", 0)?)?;
    first_output(&host, 0, &dropped("job"))?;
    let mark = host.mark();
    put(&folder(&host), "job.wasm", b"this is no WebAssembly at all")?;
    let refused = refusal(&host, mark, "job.wasm")?;
    ensure!(refused.value()["kept"] == true, "{refused}");
    std::thread::sleep(QUIET);
    let events = host.events();
    ensure!(
        count(&events[mark..], "plugin-refused", None) == 1,
        "told more than once"
    );
    let mark = host.mark();
    ensure!(first_output(&host, mark, &dropped("job"))? == "good");
    put(&folder(&host), "job.wasm", &printer("better", 0)?)?;
    host.wait_after(mark, SLACK, |event| event.text() == Some("better"))?;
    end(host).map(drop)
}

#[test]
fn a_file_cut_short_is_given_a_moment_and_then_refused() -> Result<()> {
    let etcd = Etcd::start(Version::V3_5)?;
    let host = start(&dropping(&etcd))?;
    let whole = printer("whole", 1000)?;
    put(&folder(&host), "cut.wasm", &whole[..whole.len() / 2])?;
    let refused = refusal(&host, 0, "cut.wasm")?;
    ensure!(error(&refused).contains("is cut off at byte"), "{refused}");
    put(&folder(&host), "cut.wasm", &whole)?;
    ensure!(first_output(&host, 0, &dropped("cut"))? == "whole");
    end(host).map(drop)
}

#[test]
fn a_pinned_plugin_that_differs_is_refused() -> Result<()> {
    let etcd = Etcd::start(Version::V3_5)?;
    let host = start(&dropping(&etcd))?;
    let pin = format!("sha256 = \"{}\"\n", "0".repeat(64));
    put(&folder(&host), "job.toml", pin.as_bytes())?;
    put(&folder(&host), "job.wasm", &printer("never", 0)?)?;
    let refused = refusal(&host, 0, "job.wasm")?;
    ensure!(error(&refused).contains("sha256"), "{refused}");
    ensure!(refused.value()["kept"] == false, "{refused}");
    let events = end(host)?;
    ensure!(count(&events, "run-started", None) == 0, "it ran");
    Ok(())
}

#[test]
fn two_plugins_with_one_name_or_nested_locks_do_not_both_run() -> Result<()> {
    let etcd = Etcd::start(Version::V3_5)?;
    let host = start(&dropping(&etcd).plugins("locks", vec!["team/*"]))?;
    let named = |words: &str, lock: &str| {
        printer_with_manifest(words, &format!("name = \"one\"\nlock = \"{lock}\"\n"))
    };
    put(&folder(&host), "z-first.wasm", &named("first", "team/one")?)?;
    first_output(&host, 0, &dropped("one"))?;
    put(
        &folder(&host),
        "a-second.wasm",
        &named("second", "team/two")?,
    )?;
    let refused = refusal(&host, 0, "a-second.wasm")?;
    ensure!(
        error(&refused).contains("there is a job `dropped.one` already"),
        "{refused}"
    );
    put(
        &folder(&host),
        "inside.wasm",
        &printer_with_manifest("in", "lock = \"team/one/inside\"\n")?,
    )?;
    let refused = refusal(&host, 0, "inside.wasm")?;
    ensure!(
        error(&refused).contains("lie inside one another") && refused.value()["kept"] == false,
        "{refused}"
    );
    // With the first deleted, both may run.
    let mark = host.mark();
    std::fs::remove_file(folder(&host).join("z-first.wasm"))?;
    host.wait_after(mark, SLACK, |event| event.text() == Some("second"))?;
    host.wait_after(mark, SLACK, |event| event.text() == Some("in"))?;
    let changed = super::event_after(&host, mark, "job-changed", &dropped("one"))?;
    let told = |field: &str| changed.str(field).unwrap_or_default().to_owned();
    ensure!(told("plugin").ends_with("a-second.wasm"), "{changed}");
    ensure!(
        told("why").ends_with("z-first.wasm was removed"),
        "{changed}"
    );
    end(host).map(drop)
}

#[test]
fn a_sidecar_is_checked_like_any_configuration() -> Result<()> {
    let etcd = Etcd::start(Version::V3_5)?;
    let host = start(&dropping(&etcd))?;
    put(&folder(&host), "job.toml", b"evry = \"1s\"\nttl = \"1s\"\n")?;
    put(&folder(&host), "job.wasm", &printer("never", 0)?)?;
    let refused = refusal(&host, 0, "job.wasm")?;
    let error = error(&refused);
    ensure!(
        error.contains("job.toml:1") && error.contains("job.toml:2"),
        "{error}"
    );
    end(host).map(drop)
}

#[test]
fn missing_grants_of_a_drop_in_name_the_policys_line() -> Result<()> {
    let etcd = Etcd::start(Version::V3_5)?;
    let host = start(&dropping(&etcd))?;
    let ledger = std::fs::read(guests::ledger()?)?;
    put(&folder(&host), "quiet.toml", b"[allow]\nkv = []\n")?;
    put(&folder(&host), "quiet.wasm", &ledger)?;
    let refused = refusal(&host, 0, "quiet.wasm")?;
    let said = error(&refused);
    let remedy = "under [allow] in plugins/quiet.toml, or [needs] of its manifest, and [plugins.allow] must cover it";
    ensure!(said.contains(remedy) && !said.contains("[jobs."), "{said}");
    put(
        &folder(&host),
        "big.toml",
        b"[limits]\nplugin_size = \"1KiB\"\n",
    )?;
    put(&folder(&host), "big.wasm", &printer("too big", 5000)?)?;
    let refused = refusal(&host, 0, "big.wasm")?;
    let said = error(&refused);
    let remedy = "under [limits] in plugins/big.toml, and in [plugins.limits] if that allows less";
    ensure!(said.contains(remedy), "{said}");
    end(host).map(drop)
}
