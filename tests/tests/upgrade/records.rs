//! Records: each field that an earlier version wrote is read, and has the same value when it is written again.

use std::collections::BTreeSet;

use anyhow::{Context as _, Result, ensure};
use leasehold_records::{
    AdminActionRecord, ControlKey, HolderRecord, HostControl, HostRecord, IdRecord, JobControl,
    JobRecord, RecordError, Root, RunRecord, StopRequest, TickRecord, TriggerRecord,
};
use serde_json::Value;

use crate::fixture::{self, StoredKey};

/// Kinds of records, by the part of the key after the root.
const KINDS: [&str; 7] = ["deeds", "hosts", "ids", "jobs", "locks", "runs", "ticks"];

/// Returns the kind of a key.
fn kind_of<'a>(root: &Root, key: &'a StoredKey) -> Result<&'a str> {
    let rest = key.key.strip_prefix(root.as_str());
    let kind = rest.and_then(|rest| rest.split('/').next());
    kind.with_context(|| format!("{} is not below the root", key.key))
}

/// Reads a value as the record that its key names, and writes it again. `None` for data of guests.
fn rewritten(root: &Root, kind: &str, key: &StoredKey) -> Result<Option<Vec<u8>>, RecordError> {
    let value = &key.value;
    if let Some(control) = root.parse_control(&key.key) {
        return rewritten_control(&control, value).map(Some);
    }
    Ok(Some(match kind {
        "deeds" => AdminActionRecord::from_json(value)?.to_json(),
        "hosts" => HostRecord::from_json(value)?.to_json(),
        "ids" => IdRecord::from_json(value)?.to_json(),
        "jobs" => JobRecord::from_json(value)?.to_json(),
        "locks" => HolderRecord::from_json(value)?.to_json(),
        "runs" => RunRecord::from_json(value)?.to_json(),
        "ticks" => TickRecord::from_json(value)?.to_json(),
        _ => return Ok(None),
    }))
}

/// Does the same for an order of an operator.
fn rewritten_control(control: &ControlKey, value: &[u8]) -> Result<Vec<u8>, RecordError> {
    Ok(match control {
        ControlKey::All | ControlKey::Job(_) => JobControl::from_json(value)?.to_json(),
        ControlKey::Host(_) => HostControl::from_json(value)?.to_json(),
        ControlKey::Stop(..) => StopRequest::from_json(value)?.to_json(),
        ControlKey::Trigger(..) => TriggerRecord::from_json(value)?.to_json(),
    })
}

/// Returns the path of the first field of `old` that `new` lacks or has with another value.
fn lost_field(old: &Value, new: &Value, path: &str) -> Option<String> {
    match (old, new) {
        (Value::Object(old), Value::Object(new)) => old.iter().find_map(|(name, value)| {
            let path = format!("{path}.{name}");
            match new.get(name) {
                Some(other) => lost_field(value, other, &path),
                None => Some(path),
            }
        }),
        (old, new) => (old != new).then(|| format!("{path}: {old} became {new}")),
    }
}

#[test]
fn records_of_every_version_keep_their_fields() -> Result<()> {
    let root = Root::default();
    for fixture in fixture::all()? {
        let mut seen = BTreeSet::new();
        for key in &fixture.keys {
            let kind = kind_of(&root, key)?;
            let written = rewritten(&root, kind, key)
                .with_context(|| format!("{} of version {}", key.key, fixture.version))?;
            let Some(written) = written else {
                continue;
            };
            seen.insert(kind);
            let old = serde_json::from_slice(&key.value)?;
            let new = serde_json::from_slice(&written)?;
            let lost = lost_field(&old, &new, "");
            ensure!(
                lost.is_none(),
                "{} of version {}: {lost:?}",
                key.key,
                fixture.version
            );
            ensure!(
                fixture.version != env!("CARGO_PKG_VERSION") || old == new,
                "{} is written with more than version {} wrote:\n{old}\n{new}\nleave a field out where it is not \
                 needed, or give the program another version and run scripts/fixtures",
                key.key,
                fixture.version
            );
        }
        let missing: Vec<_> = KINDS.iter().filter(|kind| !seen.contains(*kind)).collect();
        ensure!(
            missing.is_empty(),
            "version {} has no {missing:?}",
            fixture.version
        );
    }
    Ok(())
}

#[test]
fn runs_of_every_version_are_found_by_their_keys() -> Result<()> {
    let root = Root::default();
    for fixture in fixture::all()? {
        let (mut ended, mut merged) = (0, 0);
        for key in &fixture.keys {
            let Some(run) = root.parse_run(&key.key) else {
                ensure!(!key.key.contains("/runs/"), "{} is not understood", key.key);
                continue;
            };
            let record = RunRecord::from_json(&key.value)?;
            ensure!(
                root.run(&run) == key.key,
                "{} has another name now",
                key.key
            );
            ensure!(
                (&run.job, run.token, run.sequence) == (&record.job, record.token, record.sequence),
                "{}: {record:?}",
                key.key
            );
            ended += usize::from(record.ended_unix_ms.is_some());
            merged += usize::from(record.runs() > 1);
        }
        ensure!(
            ended > 0 && merged > 0,
            "version {}: {ended} {merged}",
            fixture.version
        );
    }
    Ok(())
}
