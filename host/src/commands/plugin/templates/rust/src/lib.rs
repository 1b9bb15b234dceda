//! NAME: counts beats in the fenced store until the host requests a stop.
//!
//! It runs only while it holds its lock, and may be interrupted at any instruction when the lock is
//! lost. So the key it writes always holds a state from which the next holder can continue.

use std::time::Duration;

use leasehold_job::{Context, Failure, Outcome, job, log};
use serde::Deserialize;

job!(run, manifest = "job.toml");

/// The table `[jobs.NAME.config]`; its defaults are in `job.toml`.
#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Config {
    interval_ms: u64,
    work: u64,
    beats: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            interval_ms: 1000,
            work: 1000,
            beats: 0,
        }
    }
}

fn run(ctx: &Context) -> Result<Outcome, Failure> {
    let config: Config = ctx.config()?;
    let (lock, kv) = (ctx.lock(), ctx.kv());
    let key = format!("{}/beats", ctx.job());

    // The last count of the previous holder. Comparing the revision keeps a write from replacing a newer
    // value.
    let (mut count, mut revision) = match kv.get(&key)? {
        Some(entry) => (entry.text()?.parse::<u64>()?, entry.mod_revision),
        None => (0, 0),
    };
    log::info!("begins at {count}"; "token" => lock.token());

    let mut beats = 0;
    // Sleeps; returns true early when the host requests a stop.
    while !lock.stop_requested(Duration::from_millis(config.interval_ms)) {
        let result = work(config.work);
        count += 1;
        beats += 1;
        revision = kv.compare_and_put(&key, revision, count.to_string())?;
        log::info!("beat {count}"; "token" => lock.token(), "result" => result);
        ctx.progress(beats, (config.beats > 0).then_some(config.beats), "beating");
        if beats == config.beats {
            break;
        }
    }
    Ok(Outcome::done_with(format!("{beats} beats, {count} in all")))
}

/// Put your work here. However long it takes, it is stopped before the lock can pass to another host.
fn work(amount: u64) -> u64 {
    (0..amount).fold(0, |sum: u64, n| sum.wrapping_mul(31).wrapping_add(n))
}

#[cfg(test)]
mod tests {
    use leasehold_job::mock::{Ended, Fault, Host, When};

    use super::*;

    fn host() -> Host {
        Host::new().job("NAME").allow_kv(&["NAME/"])
    }

    #[test]
    fn it_beats_once_a_second_until_it_is_asked_to_stop() {
        let host = host().request_stop(When::After(Duration::from_secs(10)));
        let note = "9 beats, 9 in all";
        assert_eq!(host.run(run), Ended::Finished(Outcome::done_with(note)));
        assert_eq!(host.text("NAME/beats").as_deref(), Some("9"));
        assert_eq!(host.lines()[1].message, "beat 1");
    }

    #[test]
    fn no_beat_is_counted_twice_however_a_holder_ends() {
        for fault in [
            Fault::Stopped,
            Fault::DoneThenStopped,
            Fault::UnavailableButDone,
        ] {
            let host = host().fail(When::Write(3), fault);
            assert!(!matches!(host.run(run), Ended::Finished(_)));
            let counted: u64 = host.history().len() as u64;

            host.succeed();
            let host = host.request_stop(When::Ask(1));
            let note = format!("0 beats, {counted} in all");
            assert_eq!(
                host.run(run).outcome(),
                Outcome::done_with(note),
                "{fault:?}"
            );
        }
    }

    #[test]
    fn a_misspelt_key_of_the_configuration_is_for_a_person() {
        let host = host().config(&std::collections::BTreeMap::from([("beat", 1)]));
        assert!(matches!(host.run(run), Ended::Failed(Failure::Fatal(_))));
    }
}
