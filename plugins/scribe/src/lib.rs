//! A job that writes one key of the fenced store repeatedly and reports the time of a write.
//!
//! Measures, from within a guest, the cost of the fence and of the way through the host. The number of
//! writes comes from the configuration:
//!
//! ```toml
//! [jobs.scribe.config]
//! writes = 1000       # default 100
//! ```
//!
//! It writes only under `scribe/`.

use std::time::{Duration, Instant};

use leasehold_job::{Context, Failure, Outcome, job};
use serde::Deserialize;

job!(run);

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    #[serde(default = "default_writes")]
    writes: usize,
}

const fn default_writes() -> usize {
    100
}

fn run(ctx: &Context) -> Result<Outcome, Failure> {
    let Config { writes } = ctx.config()?;
    let mut took = Vec::with_capacity(writes);
    for number in 0..writes {
        let began = Instant::now();
        ctx.kv().put("scribe/line", number.to_string())?;
        took.push(began.elapsed());
    }
    took.sort_unstable();
    let middle = took.get(writes / 2).map_or(0, Duration::as_nanos);
    Ok(Outcome::done_with(format!(
        "p50 {middle} ns of {writes} writes"
    )))
}
