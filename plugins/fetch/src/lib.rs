//! A heartbeat to a web server by POST, for as long as the lock is held.
//!
//! Shows requests: granted origins, a secret for the server, and the fencing token. The host puts the token
//! on every request, so that the server can refuse those of an earlier holder.
//!
//! ```toml
//! [jobs.report.config]
//! url = "https://status.example.com/beat"   # required
//! every_ms = 1000      # between two reports; default 1000
//! times = 0            # reports in all; default 0: until asked to stop
//! [jobs.report.secrets]
//! api_key = { file = "api-key.txt" }        # optional: sent as a bearer token
//! [jobs.report.allow]
//! http = ["https://status.example.com"]
//! http_token = "X-Fencing-Token"
//! ```
//!
//! The secret is sent to this URL alone.

mod post;

use std::time::Duration;

use leasehold_job::{Context, Failure, Outcome, job, log};
use serde::Deserialize;

use crate::post::{Url, post};

job!(run);

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    url: String,
    #[serde(default = "default_every_ms")]
    every_ms: u64,
    #[serde(default)]
    times: u64,
}

const fn default_every_ms() -> u64 {
    1_000
}

fn run(ctx: &Context) -> Result<Outcome, Failure> {
    let config: Config = ctx.config()?;
    let url = Url::parse(&config.url)
        .ok_or_else(|| Failure::fatal("`url` must start with http:// or https://"))?;
    let key = ctx.secret("api_key");
    let mut sent = 0;
    loop {
        let body = format!("{} {}\n", ctx.job(), ctx.run_id());
        let status = post(&url, key.as_deref(), body.as_bytes()).map_err(Failure::retry)?;
        sent += 1;
        log::info!("report {sent} answered"; "status" => status);
        if !(200..300).contains(&status) {
            return Err(Failure::retry(format!("the server answered {status}")));
        }
        ctx.progress(
            sent,
            (config.times > 0).then_some(config.times),
            "reports sent",
        );
        if sent == config.times {
            return Ok(Outcome::done_with(format!("{sent} reports")));
        }
        if ctx
            .lock()
            .stop_requested(Duration::from_millis(config.every_ms))
        {
            return Ok(Outcome::done_with(format!(
                "{sent} reports, then asked to stop"
            )));
        }
    }
}
