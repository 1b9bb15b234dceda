//! Guests that call WASI with pointers and lengths that make no sense: what fuzzing begins with, run by a host.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use leasehold_tests::events::Event;
use leasehold_tests::process::peak;
use toml::{Table, Value};

use crate::SLACK;
use crate::compiling::MOST_HOST_KIB;
use crate::neighbour::Neighbour;

/// Inputs of no design beside the seeds.
const RANDOM: usize = 12;

/// Names and inputs of the fuzz target `wasi`.
fn inputs() -> Result<Vec<(String, Vec<u8>)>> {
    let seeds = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/seeds/wasi");
    let mut inputs = Vec::new();
    for entry in fs::read_dir(&seeds).context("listing the seeds")? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        inputs.push((name, fs::read(entry.path())?));
    }
    ensure!(!inputs.is_empty(), "no seed in {}", seeds.display());
    let mut random = fastrand::Rng::with_seed(13);
    for n in 0..RANDOM {
        let length = random.usize(50..1_500);
        let input = std::iter::repeat_with(|| random.u8(..));
        inputs.push((format!("random-{n}"), input.take(length).collect()));
    }
    Ok(inputs)
}

#[test]
fn calls_with_senseless_pointers_end_within_their_limits() -> Result<()> {
    let inputs = inputs()?;
    let dir = tempfile::tempdir()?;
    fs::write(dir.path().join("secret"), "outside")?;
    for (name, input) in &inputs {
        let module = leasehold_wasi_calls::module(input);
        fs::write(dir.path().join(format!("{name}.wasm")), module)?;
        let inside = dir.path().join(name);
        fs::create_dir(&inside)?;
        fs::write(inside.join("file"), "hello")?;
    }
    let beside = Neighbour::start(|config| {
        inputs.iter().fold(config, |config, (name, _)| {
            config.job(name, |job| {
                let host = dir.path().join(name).to_string_lossy().into_owned();
                let granted = Table::from_iter([
                    ("host".to_owned(), Value::from(host)),
                    ("guest".to_owned(), "/in".into()),
                    ("write".to_owned(), true.into()),
                ]);
                let dirs = Value::Array(vec![granted.into()]);
                let job = job.plugin(&dir.path().join(format!("{name}.wasm")));
                let job = job.key("allow", Table::from_iter([("dirs".to_owned(), dirs)]));
                let job = job.limit("disk", "256KiB").limit("disk_files", 16);
                job.timeout("1s").restart("1m", "1m")
            })
        })
    })?;
    for (name, _) in &inputs {
        let is_end = |event: &Event| event.is("run-ended") && event.job() == Some(name);
        let ended = beside.host.wait_for(SLACK, is_end)?;
        let outcome = ended.outcome().unwrap_or_default();
        println!("{name}: {outcome}, {:?}", ended.str("detail"));
        ensure!(
            ["done", "exit", "trap", "limit", "timeout"].contains(&outcome),
            "{ended}"
        );
    }
    let secret = fs::read(dir.path().join("secret"))?;
    ensure!(secret == b"outside", "a guest left its directory");
    let peak = peak(beside.host.pid())?;
    println!("the host took {peak} KiB at most");
    ensure!(peak < MOST_HOST_KIB, "the host took {peak} KiB");
    beside.untouched().map(drop)
}
