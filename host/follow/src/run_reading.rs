//! Reading the record of a run.

use leasehold_lock::{Kv, StoreError};
use leasehold_records::{Root, RunKey, RunRecord};

/// Number of later records that are read: a host merges runs into several at once, by their outcomes.
const GROUPS: usize = 16;

/// Reads the record of a run: its own, or that of a later run which covers it, as quick runs share one. A record that
/// cannot be parsed counts as absent.
///
/// # Errors
///
/// [`StoreError`] when the store cannot be read.
pub async fn read_run(kv: &Kv, root: &Root, key: &RunKey) -> Result<Option<RunRecord>, StoreError> {
    if let Some(record) = read_record(kv, root, key).await? {
        return Ok(Some(record));
    }
    let names = kv.keys(&root.runs_of(&key.job)).await?;
    let later = names.iter().filter_map(|name| root.parse_run(name));
    let mut later: Vec<RunKey> = later.filter(|later| later > key).collect();
    later.sort();
    for later in later.iter().take(GROUPS) {
        let record = read_record(kv, root, later).await?;
        if let Some(record) = record.filter(|record| record.covers(key.token, key.sequence)) {
            return Ok(Some(record));
        }
    }
    Ok(None)
}

async fn read_record(kv: &Kv, root: &Root, key: &RunKey) -> Result<Option<RunRecord>, StoreError> {
    let stored = kv.get(&root.run(key)).await?;
    Ok(stored.and_then(|stored| RunRecord::from_json(&stored.value).ok()))
}
