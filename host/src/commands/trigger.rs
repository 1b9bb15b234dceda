//! `leasehold trigger`: one run of a job now, under its lock, on any host that has the job.
//!
//! - `refusal`: reasons for which no run is requested; pure. `follow`: the request, from host to host to its end.
//! - `run_output`: the output of its run.

mod follow;
mod refusal;
mod run_output;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use leasehold_lock::{Batch, Revision};
use leasehold_records::{AdminAction, TriggerRecord, TriggerState};

use self::follow::RequestFollower;
use self::refusal::{JobSituation, find_refusal};
use super::drain::known_drain;
use super::pause::known_pause;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::orders::{OrderArgs, OrderDesk, halting, mark, now};

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
    let desk = OrderDesk::open(&order).await?;
    let followed = request(&desk, &args).await;
    desk.close(followed).await
}

async fn request(desk: &OrderDesk, args: &TriggerArgs) -> Result<Exit, Failure> {
    let job = args.job.as_str();
    desk.know_job(job).await?;
    if let Some(host) = &args.host {
        desk.know_host(host).await?;
    }
    let situation = read_situation(desk, args).await?;
    if let Some(reason) = find_refusal(job, &situation, now()) {
        return Err(Failure::of_line(Exit::NotAcquired, &reason));
    }
    let (at, config) = (now(), config_values(&args.config)?);
    let record = TriggerRecord {
        id: format!("{:015}-{:08x}", at.as_u64(), mark()),
        job: job.to_owned(),
        by: desk.by().to_owned(),
        why: desk.why().to_owned(),
        at_unix_ms: at,
        config,
        host: args.host.clone(),
        state: TriggerState::Open,
    };
    let key = desk.root().trigger(job, &record.id);
    let mut batch = Batch::default();
    batch.put(&key, &record.to_json(), desk.lease_for(args.expire).await?);
    let mut action = desk.action(AdminAction::Trigger);
    action.job = Some(job.to_owned());
    action.host.clone_from(&args.host);
    desk.commit((&key, Revision::NONE), batch, &action).await?;
    let mut follower = RequestFollower::new(desk, key, job, args.wait);
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

async fn read_situation(desk: &OrderDesk, args: &TriggerArgs) -> Result<JobSituation, Failure> {
    let (job, root) = (args.job.as_str(), desk.root());
    let (paused, _) = desk.read(&root.job_control(job)).await?;
    let (all, _) = desk.read(&root.all_control()).await?;
    let drained = match &args.host {
        Some(host) => known_drain(desk.read(&root.host_control(host)).await?.0.as_ref(), now()),
        None => None,
    };
    let (kv, prefix) = (desk.kv(), root.triggers_of(job));
    let requests = kv.scan(&prefix, Vec::new, |found, key| {
        found.extend(TriggerRecord::from_json(&key.value));
    });
    let requests = requests.await;
    let requests = requests
        .map_err(|error| desk.describe_unread(&error))?
        .found;
    Ok(JobSituation {
        paused: known_pause(paused.as_ref(), now()),
        all_paused: known_pause(all.as_ref(), now()),
        host: args.host.clone(),
        drained: drained.map(|drain| drain.mark),
        running: halting::find_runs(desk, Some(job), None).await?.pop(),
        jobs: desk.jobs(Some(job)).await?,
        open: requests.into_iter().find(|request| request.state.is_open()),
    })
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
