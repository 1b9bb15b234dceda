//! Endless output: the kept part is bounded, the rest is counted, and both are reported.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use leasehold_tests::events::Event;
use leasehold_tests::guests;

use crate::{Scene, since};

/// Kept for the record of this run.
const KEPT: usize = 4 << 10;

/// Lines a second that are passed on, by default.
const RATE: u64 = 200;

#[test]
fn a_flood_is_cut_counted_and_marked() -> Result<()> {
    let stubborn = guests::stubborn()?;
    let scene = Scene::start(|job| {
        let job = job.plugin(&stubborn).config("mode", "flood");
        job.timeout("2500ms").limit("output", "4KiB")
    })?;
    let ended = scene.ended()?;
    ensure!(ended.outcome() == Some("timeout"), "{ended}");

    let record = scene.record(ended.token().context("no token")?)?;
    let output = record["output"].as_str().context("no output")?;
    let cut = record["output_truncated_bytes"].as_u64();
    let cut = cut.filter(|bytes| *bytes > 0).context("nothing was cut")?;
    println!("{} bytes kept, {cut} cut", output.len());
    let (mark, kept) = output.split_once('\n').context("no mark")?;
    ensure!(mark == format!("[{cut} bytes of earlier output left out]"));
    ensure!(kept.len() <= KEPT && kept.ends_with('\n'), "{}", kept.len());
    // Whole lines of both streams, and the last ones.
    ensure!(
        kept.lines().all(|line| line.starts_with("flood ")),
        "{kept}"
    );

    let started = ended.u64("started_ns").context("no start")?;
    let ran = since(started, ended.stopped_ns())?;
    let events = scene.host.events();
    let subject = || {
        let lines = events.iter();
        lines.filter(|event| event.is("guest") && event.job() == Some("subject"))
    };
    let passed = subject().filter(|event| text(event).starts_with("flood "));
    let passed = u64::try_from(passed.count())?;
    let left_out: Vec<u64> = subject().filter_map(left_out).collect();
    let sum: u64 = left_out.iter().sum();
    println!("{passed} lines passed in {ran:?}, {left_out:?} left out");
    let seconds = ran.as_secs() + 1;
    ensure!(passed <= RATE * seconds, "{passed} lines in {ran:?}");
    ensure!(sum > 0 && left_out.len() as u64 <= seconds + 1);
    // Every line is either passed on, counted as left out, or dropped on the way to a slow reader; the last number
    // written counts them, two lines each.
    let last = kept.lines().rev().find_map(number).context("no number")?;
    ensure!(
        (passed + sum).abs_diff(last * 2) <= 2,
        "{passed} passed and {sum} left out of {}",
        last * 2
    );
    ensure!(ran >= Duration::from_secs(2), "it ran {ran:?} only");
    scene.lives_on(&ended, 1)
}

fn text(event: &Event) -> &str {
    event.text().unwrap_or_default()
}

/// The count in `17 lines left out: more than 200 a second`.
fn left_out(event: &Event) -> Option<u64> {
    let (count, _) = text(event).split_once(" lines left out: more than")?;
    count.parse().ok()
}

/// The count in `flood 17 on stdout`.
fn number(line: &str) -> Option<u64> {
    line.split(' ').nth(1)?.parse().ok()
}
