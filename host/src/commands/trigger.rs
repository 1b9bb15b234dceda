//! `leasehold trigger`: one run of a job now, under its lock, on any host that has the job.
//!
//! - `follow`: the request, from host to host to its end. `run_output`: the output of its run.

mod follow;
mod run_output;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use leasehold_orders::{RunRequest, request_run};

use self::follow::RequestFollower;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::orders::{OpenDesk, OrderArgs};

/// Arguments of `leasehold trigger`.
#[derive(Args)]
pub(crate) struct TriggerArgs {
    /// The job.
    job: String,
    /// Wait for the end of the run, print its output as it comes, and exit as it ended.
    ///
    /// Ctrl-C ends the wait and leaves the run alone.
    #[arg(long)]
    wait: bool,
    /// A value for a key of the job's `config` table, for this run alone; may be repeated.
    ///
    /// The key must be there already, and the value becomes the type of the one that it replaces. A key inside a
    /// table is written with dots.
    #[arg(long, value_name = "KEY=VALUE", value_parser = parse_pair)]
    config: Vec<(String, String)>,
    /// Run it on this host.
    #[arg(long, value_name = "HOST")]
    host: Option<String>,
    /// Time after which the request is withdrawn if no host has taken it.
    #[arg(long, value_name = "TIME", default_value = "1h", value_parser = parse_span)]
    expire: Duration,
    /// The reason, for the record and for those who ask later.
    #[arg(
        long,
        value_name = "TEXT",
        default_value = "",
        hide_default_value = true
    )]
    why: String,
    /// The configuration, a file or a folder, for its [store]. [default: as for `status`]
    #[arg(short = 'c', long, value_name = "FILE")]
    config_file: Option<PathBuf>,
}

fn parse_pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("write KEY=VALUE; the configuration is named by -c".into()),
    }
}

fn parse_span(text: &str) -> Result<Duration, String> {
    let span = humantime::parse_duration(text).map_err(|error| error.to_string())?;
    if (Duration::from_secs(1)..=Duration::from_hours(24 * 30)).contains(&span) {
        Ok(span)
    } else {
        Err("write a time from 1s to 30days".into())
    }
}

/// Requests one run, and follows it until a host has taken it or, with `--wait`, until its end.
pub(crate) async fn run(args: TriggerArgs) -> Result<Exit, Failure> {
    let order = OrderArgs {
        why: args.why.clone(),
        config: args.config_file.clone(),
    };
    let desk = OpenDesk::open(&order).await?;
    let followed = request(&desk, &args).await;
    desk.close(followed).await
}

async fn request(open: &OpenDesk, args: &TriggerArgs) -> Result<Exit, Failure> {
    let job = args.job.as_str();
    open.know_job(job).await?;
    if let Some(host) = &args.host {
        open.know_host(host).await?;
    }
    let request = RunRequest {
        job,
        host: args.host.as_deref(),
        config: config_values(&args.config)?,
        expire: args.expire,
    };
    let requested = request_run(&open.desk, request).await?;
    let mut follower = RequestFollower::new(&open.desk, requested.key, job, args.wait);
    follower.follow().await
}

fn config_values(pairs: &[(String, String)]) -> Result<BTreeMap<String, String>, Failure> {
    let mut values = BTreeMap::new();
    for (key, value) in pairs {
        if values.insert(key.clone(), value.clone()).is_some() {
            let text = format!("--config: `{key}` is there a second time");
            return Err(Failure::of_line(Exit::Usage, &text));
        }
    }
    Ok(values)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn value_has_a_key_and_may_contain_equals_signs() {
        assert_eq!(parse_pair("a=b=c"), Ok(("a".into(), "b=c".into())));
        assert_eq!(parse_pair("a="), Ok(("a".into(), String::new())));
        assert!(parse_pair("leasehold.toml").is_err());
        assert!(parse_pair("=b").is_err());
        let twice = [
            ("a".to_owned(), String::new()),
            ("a".to_owned(), String::new()),
        ];
        assert!(config_values(&twice).is_err());
    }
}
