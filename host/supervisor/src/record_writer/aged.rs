//! Records of runs that are old enough to be deleted, and the runs of jobs that no host has any more.

use std::collections::BTreeSet;
use std::time::Duration;

use leasehold_lock::{Batch, Kv, StoreError};
use leasehold_records::{HostRecord, Outcome, Root, RunRecord, UnixMs};

/// Age of a job's newest run from which its runs are deleted if no live host has the job.
pub(super) const FORGOTTEN: Duration = Duration::from_hours(90 * 24);

/// Returns the number of the oldest runs that are older than `age`; the newest always stays. Runs of a job follow one
/// another, so the old ones come first.
pub(super) async fn count_aged(
    kv: &Kv,
    keys: &[String],
    age: Duration,
    now: UnixMs,
) -> Result<usize, StoreError> {
    let (mut from, mut to) = (0, keys.len().saturating_sub(1));
    // Most visits find nothing, with one request.
    let mut at = 0;
    while from < to {
        if is_aged(kv, &keys[at], age, now).await? {
            from = at + 1;
        } else {
            to = at;
        }
        at = usize::midpoint(from, to);
    }
    Ok(from)
}

/// True for a run that ended so long ago. A run under way is never old.
async fn is_aged(kv: &Kv, key: &str, age: Duration, now: UnixMs) -> Result<bool, StoreError> {
    let Some(run) = read_run(kv, key).await? else {
        return Ok(false);
    };
    Ok(run.outcome != Outcome::Running && now.since(last_moment(&run)) >= age)
}

async fn read_run(kv: &Kv, key: &str) -> Result<Option<RunRecord>, StoreError> {
    let found = kv.scan_range(key, &after(key)).await?.found;
    let run = found.first().map(|kv| RunRecord::from_json(&kv.value));
    Ok(run.and_then(Result::ok))
}

fn last_moment(run: &RunRecord) -> UnixMs {
    run.ended_unix_ms.unwrap_or(run.started_unix_ms)
}

/// Returns the first key after this one.
fn after(key: &str) -> String {
    format!("{key}\0")
}

/// Deletes the runs of jobs that no live host has, once the newest is [`FORGOTTEN`]. Returns their jobs.
pub(super) async fn sweep(kv: Kv, root: Root, now: UnixMs) -> Result<Vec<String>, StoreError> {
    let hosts = kv.scan(&root.hosts(), Vec::new, Vec::push).await?;
    // A record that cannot be read may be of a host that has any job.
    if hosts.found.is_empty() || !hosts.unreadable.is_empty() {
        return Ok(Vec::new());
    }
    let mut live = BTreeSet::new();
    for entry in &hosts.found {
        match HostRecord::from_json(&entry.value) {
            Ok(host) => live.extend(host.jobs),
            Err(_) => return Ok(Vec::new()),
        }
    }
    let mut swept = Vec::new();
    let mut next = kv.first_key(&root.runs()).await?;
    while let Some(job) = next.and_then(|key| Some(root.parse_run(&key)?.job)) {
        if !live.contains(&job) && sweep_job(&kv, &root.runs_of(&job), now).await? {
            swept.push(job.clone());
        }
        // `0` follows the slash at the end of the job's prefix.
        let beyond = root.runs_of(&job).trim_end_matches('/').to_owned() + "0";
        let end = root.runs().trim_end_matches('/').to_owned() + "0";
        next = kv.first_key_in(&beyond, &end).await?;
    }
    Ok(swept)
}

/// Deletes the runs under a prefix if the newest is old enough.
async fn sweep_job(kv: &Kv, prefix: &str, now: UnixMs) -> Result<bool, StoreError> {
    let keys = kv.keys(prefix).await?;
    let (Some(first), Some(newest)) = (keys.first(), keys.last()) else {
        return Ok(false);
    };
    let Some(run) = read_run(kv, newest).await? else {
        return Ok(false);
    };
    if now.since(last_moment(&run)) < FORGOTTEN {
        return Ok(false);
    }
    let mut batch = Batch::default();
    // A run that began meanwhile is later, and stays.
    batch.delete_range(first, &after(newest));
    kv.commit(batch).await?;
    Ok(true)
}
