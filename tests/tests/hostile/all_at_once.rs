//! Everything hostile in one folder at once, beside a ledger at work.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use leasehold_tests::bank;
use leasehold_tests::bombs::{many_branches, nested_components};
use leasehold_tests::process::peak;
use leasehold_tests::wait::eventually;
use toml::Table;

use crate::SLACK;
use crate::compiling::MOST_HOST_KIB;
use crate::neighbour::{Neighbour, file};
use crate::nested_types;
use crate::places::SLEEPER;
use crate::slow_calls::WRITES;
use crate::unread::RECEIVES;

/// The margin of the ledger's job is 250 ms; the rest is for a machine under this load.
const STOPPED_WITHIN: Duration = Duration::from_secs(1);
/// Time in which all of them are at work together.
const TOGETHER: Duration = Duration::from_secs(10);

/// Files that are refused.
const REFUSED: [&str; 5] = [
    "component-type-cycle.wasm",
    "component-type-panic-1.wasm",
    "component-type-panic-2.wasm",
    "component-type-panic-3.wasm",
    "gc-subtype-call.wasm",
];

/// Guests that run, and hold on to whatever they can.
const GUESTS: [(&str, &str); 8] = [
    ("receives", RECEIVES),
    ("writes", WRITES),
    ("sleeps", SLEEPER),
    (
        "spins",
        r#"(module (memory (export "memory") 1) (func (export "_start") (loop (br 0))))"#,
    ),
    (
        "grows",
        r#"(module (memory (export "memory") 1)
            (func (export "_start") (loop (drop (memory.grow (i32.const 16))) (br 0))))"#,
    ),
    (
        "recurses",
        r#"(module (memory (export "memory") 1)
            (func $down (call $down) (call $down)) (func (export "_start") (call $down)))"#,
    ),
    (
        "fills",
        r#"(module (memory (export "memory") 900)
            (func (export "_start") (loop
                (memory.fill (i32.const 0) (i32.const 7) (i32.const 58000000)) (br 0))))"#,
    ),
    (
        "ends",
        r#"(module (memory (export "memory") 1) (func (export "_start")))"#,
    ),
];

#[test]
fn all_hostile_plugins_at_once_leave_the_ledger_alone() -> Result<()> {
    let beside = Neighbour::start(|config| {
        let limits = Table::from_iter([("compile_memory".to_owned(), "192MiB".into())]);
        config.plugins("limits", limits)
    })?;
    let mark = beside.host.mark();
    for name in REFUSED {
        beside.drop_in(name, &file(name)?)?;
    }
    beside.drop_in("nest.wasm", &nested_components(20_000)?)?;
    beside.drop_in("branches.wasm", &many_branches(5_000, 40_000))?;
    beside.drop_in("types.wasm", &nested_types::bomb()?)?;
    for (name, text) in GUESTS {
        let bytes = wat::parse_str(text).with_context(|| format!("assembling {name}"))?;
        beside.drop_in(&format!("{name}.wasm"), &bytes)?;
    }
    eventually(SLACK, "refusals and runs of all files", || {
        let events = beside.host.events();
        let after = || events.iter().skip(mark);
        let refused = after().filter(|event| event.is("plugin-refused")).count();
        ensure!(refused == REFUSED.len() + 3, "{refused} are refused");
        for (name, _) in GUESTS {
            let job = format!("dropped.{name}");
            let mut starts = after().filter(|event| event.is("run-started"));
            ensure!(
                starts.any(|event| event.job() == Some(&*job)),
                "{job} has not run: {:?}",
                after()
                    .filter(|event| event.job() == Some(&*job))
                    .collect::<Vec<_>>()
            );
        }
        Ok(())
    })?;
    std::thread::sleep(TOGETHER);
    beside.goes_on()?;
    let peak = peak(beside.host.pid())?;
    ensure!(peak < MOST_HOST_KIB, "the host took {peak} KiB");
    is_stopped_in_time(&beside)?;
    bank::audit(&beside.etcd)?;
    let mut host = beside.host;
    host.term()?;
    let code = host.wait_exit(SLACK)?.code();
    ensure!(code == Some(0), "it ended with {code:?}: {}", host.stderr());
    Ok(())
}

/// Removes the ledger's lock entry and asserts that its guest ends within the margin.
fn is_stopped_in_time(beside: &Neighbour) -> Result<()> {
    let mark = beside.host.mark();
    let key = beside.etcd.wait_holder("/leasehold/locks/ledger/", SLACK)?;
    beside.etcd.etcdctl(&["del", &key])?;
    let of_ledger = |name: &str| {
        beside.host.wait_after(mark, SLACK, |event| {
            event.is(name) && event.job() == Some("ledger")
        })
    };
    let lost = of_ledger("lock-lost")?.boot_ns().context("no time")?;
    let ended = of_ledger("run-ended")?;
    let stopped = ended.stopped_ns().context("no time")?;
    let took = Duration::from_nanos(stopped.saturating_sub(lost));
    ensure!(took < STOPPED_WITHIN, "stopped {took:?} after the loss");
    ensure!(ended.outcome() == Some("lost"), "{ended}");
    Ok(())
}
