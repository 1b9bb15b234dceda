//! Recorded runs to show: one by its token, or the last ones.

use leasehold_follow::read_run;
use leasehold_lock::{Kv, StoreError};
use leasehold_records::{Root, RunKey, RunName, RunRecord};

/// Runs to show.
#[derive(Clone, Copy, Debug)]
pub(super) enum RunSelection {
    Run(RunName),
    /// So many of the last runs.
    Last(usize),
}

/// Reads the selected runs of a job, on one host if given, oldest first.
pub(super) async fn select(
    kv: &Kv,
    root: &Root,
    job: &str,
    selection: RunSelection,
    host: Option<&str>,
) -> Result<Vec<RunRecord>, StoreError> {
    let names = kv.keys(&root.runs_of(job)).await?;
    let mut keys: Vec<RunKey> = names.iter().filter_map(|key| root.parse_run(key)).collect();
    keys.sort();
    let mut runs = Vec::new();
    match selection {
        RunSelection::Run(run) => {
            for key in keys.iter().filter(|key| run.names(key)) {
                runs.extend(read(kv, root, key, host).await?);
            }
            if runs.is_empty() {
                // Quick runs share the record of the last of them.
                let key = RunKey {
                    job: job.to_owned(),
                    token: run.token,
                    sequence: run.sequence.unwrap_or(0),
                };
                runs.extend(read(kv, root, &key, host).await?);
            }
        }
        RunSelection::Last(count) => {
            for key in keys.iter().rev() {
                if runs.len() == count {
                    break;
                }
                runs.extend(read(kv, root, key, host).await?);
            }
            runs.reverse();
        }
    }
    Ok(runs)
}

/// Reads one run, if it is on that host. A record that cannot be read is left out.
async fn read(
    kv: &Kv,
    root: &Root,
    key: &RunKey,
    host: Option<&str>,
) -> Result<Option<RunRecord>, StoreError> {
    let run = read_run(kv, root, key).await?;
    Ok(run.filter(|run| host.is_none_or(|host| run.host == host)))
}
