//! Modules of proposals that the engine validates and cannot run.

use anyhow::{Context, Result, ensure};

use crate::SLACK;
use crate::neighbour::{Neighbour, file};

#[test]
fn a_call_through_a_function_subtype_is_a_refused_plugin() -> Result<()> {
    let beside = Neighbour::start(|config| config)?;
    let mark = beside.host.mark();
    beside.drop_in("gc.wasm", &file("gc-subtype-call.wasm")?)?;
    let refused = beside.host.wait_after(mark, SLACK, |event| {
        event.is("plugin-refused") || event.is("run-started")
    })?;
    ensure!(refused.is("plugin-refused"), "{refused}");
    let why = refused.str("error").context("without a reason")?;
    ensure!(why.contains("\"garbage collection\""), "{refused}");
    beside.untouched().map(drop)
}
