//! Error for an unknown job's name: neither the configuration nor any record has it.

use std::collections::BTreeSet;

use leasehold_lock::{Kv, StoreError};
use leasehold_records::Root;

use crate::exit::Exit;
use crate::failure::Failure;
use crate::known_names::{KnownNames, describe};

/// Returns the failure to report if no configuration and no record has a job of this name.
///
/// # Errors
///
/// The store cannot be read.
pub(crate) async fn unknown_job(
    kv: &Kv,
    root: &Root,
    configured: &[String],
    job: &str,
) -> Result<Option<Failure>, StoreError> {
    let mut known: BTreeSet<String> = configured.iter().cloned().collect();
    for prefix in [root.jobs(), root.ticks(), root.runs()] {
        let keys = kv.keys(&prefix).await?;
        let names = keys.iter().filter_map(|key| {
            let name = key.strip_prefix(&prefix)?;
            Some(name.split('/').next().unwrap_or(name).to_owned())
        });
        known.extend(names);
    }
    let names = KnownNames {
        noun: "job",
        none: "neither the configuration nor the store has any job",
        known: &known,
    };
    Ok((!known.contains(job)).then(|| Failure::new(Exit::Usage, describe(job, &names))))
}
