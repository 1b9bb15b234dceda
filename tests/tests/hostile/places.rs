//! Dropped-in guests that sleep in their runs, on a host with few places.

use anyhow::{Context, Result, ensure};
use leasehold_tests::events::Event;
use leasehold_tests::wait::eventually;

use crate::SLACK;
use crate::neighbour::Neighbour;

/// Places of the host.
const MOST: i64 = 4;
/// A configured job beside the ledger.
const TICKER: &str = "ticker";

/// A command that sleeps for an hour.
pub(crate) const SLEEPER: &str = r#"(module
    (import "wasi_snapshot_preview1" "poll_oneoff" (func $poll (param i32 i32 i32 i32) (result i32)))
    (memory (export "memory") 1)
    (func (export "_start")
        (i32.store (i32.const 16) (i32.const 1))
        (i64.store (i32.const 24) (i64.const 3600000000000))
        (drop (call $poll (i32.const 0) (i32.const 512) (i32.const 1) (i32.const 600)))))"#;

fn is_of_sleeper(event: &Event) -> bool {
    event.job().is_some_and(|job| job.contains("sleeper"))
}

#[test]
fn sleeping_drop_ins_leave_every_configured_job_a_place() -> Result<()> {
    let heartbeat = leasehold_tests::guests::heartbeat()?;
    let beside = Neighbour::start(|config| {
        config.host("max_runs", MOST).job(TICKER, |job| {
            job.plugin(&heartbeat).every("1s").args(&["1", "1"])
        })
    })?;
    let sleeper = wat::parse_str(SLEEPER).context("assembling a guest")?;
    for n in 0..2 * MOST {
        beside.drop_in(&format!("sleeper{n}.wasm"), &sleeper)?;
    }
    let is_full = |event: &Event| event.is("standing-back") && is_of_sleeper(event);
    let told = beside.host.wait_for(SLACK, is_full)?;
    let reason = told.str("reason").unwrap_or_default();
    ensure!(reason.contains("reserved for configured jobs"), "{reason}");
    eventually(SLACK, "as many sleepers as may", || {
        let events = beside.host.events();
        let starts = events.iter().filter(|event| event.is("run-started"));
        let sleeping = starts.filter(|event| is_of_sleeper(event)).count();
        ensure!(sleeping == 2, "{sleeping} sleep");
        Ok(())
    })?;
    // The configured job continues beside them.
    for _ in 0..3 {
        let mark = beside.host.mark();
        beside.host.wait_after(mark, SLACK, |event| {
            event.is("run-started") && event.job() == Some(TICKER)
        })?;
    }
    beside.untouched().map(drop)
}
