//! A job that does not stop: each mode is one way in which a guest occupies its host.
//!
//! Shows that Leasehold stops guests without their consent: every mode but `ok` and `trap` would run
//! for ever, and `leasehold run` stops them all before the lease can end. The configuration chooses:
//!
//! ```toml
//! [jobs.stubborn.config]
//! mode = "spin"       # see `Mode` for the others
//! after_beats = 3     # first log "beat 1" to "beat 3"; default 0
//! mib = 64            # for "fill": MiB of memory, default 64
//! path = "/in/file"   # for "open": the file to read
//! ```
//!
//! It does no harm outside its own sandbox: it reads at most the file at `path`, and writes only lines.

mod modes;

use leasehold_job::{Context, Failure, Outcome, job, log};
use serde::Deserialize;

use crate::modes::Mode;

job!(
    run,
    manifest_text = r#"
name = "stubborn"
description = "Misbehaves on demand, to show that the host can stop it"
"#
);

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    mode: Mode,
    #[serde(default)]
    after_beats: u32,
    #[serde(default = "default_mib")]
    mib: usize,
    #[serde(default)]
    path: String,
}

const fn default_mib() -> usize {
    64
}

fn run(ctx: &Context) -> Result<Outcome, Failure> {
    let config: Config = ctx.config()?;
    for beat in 1..=config.after_beats {
        log::info!("beat {beat}"; "token" => ctx.lock().token());
    }
    modes::misbehave(ctx, &config)
}
