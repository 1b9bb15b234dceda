//! Guests that end badly by themselves: the run is over, the lock is released, and the record holds the reason.

use anyhow::{Context, Result, ensure};
use leasehold_tests::guests;

use crate::{SLACK, Scene, detail};

/// Runs a mode of the stubborn plugin that ends by itself, and checks the outcome and each part of the reason.
fn ends(mode: &str, outcome: &str, why: &[&str]) -> Result<()> {
    let stubborn = guests::stubborn()?;
    let scene = Scene::start(|job| job.plugin(&stubborn).config("mode", mode))?;
    let ended = scene.ended()?;
    ensure!(ended.outcome() == Some(outcome), "{ended}");
    for part in why {
        ensure!(detail(&ended).contains(part), "no {part:?} in {ended}");
    }
    let token = ended.token();
    scene.host.wait_for(SLACK, |event| {
        event.is("released") && event.token() == token
    })?;
    let failed = scene.host.wait_for(SLACK, |event| event.is("job-failed"))?;
    let told = failed.str("error").context("a failure without a reason")?;
    ensure!(told.contains(detail(&ended)), "{failed}");
    ensure!(
        scene.etcd.queue("/leasehold/locks/subject/")?.is_empty(),
        "the lock was not given back"
    );
    scene.lives_on(&ended, 1)
}

#[test]
fn a_memory_bomb_reaches_its_limit() -> Result<()> {
    ends(
        "bomb",
        "limit",
        &["raise `memory` in [jobs.subject.limits]"],
    )
}

#[test]
fn an_endless_recursion_reaches_the_limit_of_the_stack() -> Result<()> {
    let remedy = "raise `stack` in [jobs.subject.limits]";
    ends("overflow", "limit", &["call stack exhausted", remedy])
}

#[test]
fn a_panicking_guest_traps() -> Result<()> {
    ends("trap", "trap", &["unreachable"])
}

#[test]
fn a_fill_beyond_the_limit_is_the_guests_own_failure() -> Result<()> {
    let why = "64 MiB do not fit this job's memory limit";
    // The default limit has no room for 64 MiB and the guest's own.
    ends("fill", "fatal", &[why])
}
