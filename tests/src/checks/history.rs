//! The store's own history, compared with what hosts logged. Pure: changes and events in, verdict out.
//!
//! Checks here use facts that hosts do not have: the whole queue of a lock, and every write that arrived. Revisions
//! before the first known one are left out, since they prove nothing.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use serde_json::Value;

use super::log::{Log, Release};
use crate::base64;
use crate::events::Event;

/// One change of one key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The key.
    pub key: String,
    /// The revision of the change.
    pub revision: u64,
    /// The create revision of the key and its new value; absent when the change deleted it.
    pub put: Option<(u64, String)>,
}

/// All changes of a store, in order, from one revision on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StoreHistory {
    /// The first revision whose changes are known.
    pub since: u64,
    /// The changes.
    pub changes: Vec<Change>,
}

/// A fenced write that the store acknowledged to a guest: a settled transfer of the ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Acknowledged {
    /// The grant it was made under.
    pub grant: Release,
    /// The ledger's journal.
    pub key: String,
    /// The number of the transfer, which the journal then counts.
    pub number: u64,
}

/// The life of one entry in a queue.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Entry {
    key: String,
    created: u64,
    deleted: Option<u64>,
}

impl StoreHistory {
    /// Reads the lines of `etcdctl watch "" --prefix --rev=N -w json`.
    ///
    /// # Errors
    /// A line is not a watch response.
    pub fn read<'a>(since: u64, lines: impl IntoIterator<Item = &'a str>) -> Result<Self, String> {
        let mut changes = Vec::new();
        for line in lines {
            let response: Value = serde_json::from_str(line)
                .map_err(|error| format!("reading a watch response: {error}: {line}"))?;
            let events = response["Events"].as_array();
            for event in events.into_iter().flatten() {
                let change = Change::read(event);
                changes.push(change.ok_or_else(|| format!("not a change: {event}"))?);
            }
        }
        Ok(Self { since, changes })
    }

    /// The last revision with a known change.
    pub fn until(&self) -> u64 {
        self.changes.last().map_or(0, |change| change.revision)
    }

    /// All entries that were ever put directly under `prefix`, by create revision.
    fn entries(&self, prefix: &str) -> Vec<Entry> {
        let mut entries: Vec<Entry> = Vec::new();
        for change in &self.changes {
            let direct = change.key.strip_prefix(prefix);
            if direct.is_none_or(|name| name.is_empty() || name.contains('/')) {
                continue;
            }
            let mut under_key = entries.iter_mut().rev();
            let latest = under_key.find(|entry| entry.key == change.key);
            match (&change.put, latest) {
                (Some((created, _)), Some(latest)) if latest.created == *created => {}
                (Some((created, _)), _) => entries.push(Entry {
                    key: change.key.clone(),
                    created: *created,
                    deleted: None,
                }),
                (None, Some(latest)) => latest.deleted = latest.deleted.or(Some(change.revision)),
                (None, None) => {}
            }
        }
        entries.sort_by_key(|entry| entry.created);
        entries
    }
}

impl Change {
    fn read(event: &Value) -> Option<Self> {
        let kv = &event["kv"];
        let created = kv["create_revision"].as_u64().unwrap_or_default();
        let put = if event["type"] == 1 {
            None
        } else {
            Some((created, text(kv["value"].as_str().unwrap_or_default())?))
        };
        Some(Self {
            key: text(kv["key"].as_str()?)?,
            revision: kv["mod_revision"].as_u64()?,
            put,
        })
    }
}

impl Acknowledged {
    /// The transfers that the ledgers among the jobs logged as done; `journals` has the journal of each job.
    ///
    /// # Errors
    /// A line of a ledger lacks a field that every event of a guest has.
    pub fn read(
        events: &[Event],
        journals: &BTreeMap<String, String>,
    ) -> Result<Vec<Self>, String> {
        let mut found = Vec::new();
        for event in events.iter().filter(|event| event.is("guest")) {
            let journal = event.job().and_then(|job| journals.get(job));
            let number = event.text().and_then(transfer);
            if let (Some(journal), Some(number)) = (journal, number) {
                found.push(Self {
                    grant: Release::read(event)?,
                    key: journal.clone(),
                    number,
                });
            }
        }
        Ok(found)
    }
}

/// Every check of this file. `locks` is the prefix of all locks, such as `/leasehold/locks/`.
///
/// # Errors
/// The first violation found.
pub fn all(
    history: &StoreHistory,
    locks: &str,
    log: &Log,
    writes: &[Acknowledged],
) -> Result<(), String> {
    grants_have_entries(history, locks, log)?;
    no_waiter_is_overtaken(history, locks, log)?;
    acknowledged_writes_stand_once(history, locks, writes)
}

/// H1: each token is the create revision of an entry of its lock.
///
/// # Errors
/// The first grant without an entry.
pub fn grants_have_entries(history: &StoreHistory, locks: &str, log: &Log) -> Result<(), String> {
    for (lock, grants) in by_lock(&log.grants) {
        let entries = history.entries(&format!("{locks}{lock}/"));
        let known = grants.iter().filter(|grant| grant.token >= history.since);
        for grant in known {
            if !entries.iter().any(|entry| entry.created == grant.token) {
                return Err(format!(
                    "H1: {} was granted lock {lock} with token {}, and no entry was created at that revision",
                    grant.host, grant.token
                ));
            }
        }
    }
    Ok(())
}

/// H2: an entry that was granted outlived every entry before it, foreign ones included.
///
/// # Errors
/// The first grant that passed an earlier entry.
pub fn no_waiter_is_overtaken(
    history: &StoreHistory,
    locks: &str,
    log: &Log,
) -> Result<(), String> {
    for (lock, grants) in by_lock(&log.grants) {
        let entries = history.entries(&format!("{locks}{lock}/"));
        for grant in grants {
            let Some(own) = entries.iter().find(|entry| entry.created == grant.token) else {
                continue;
            };
            let ended = own.deleted.unwrap_or(u64::MAX);
            let before = entries.iter().filter(|entry| entry.created < own.created);
            // Entries that end in one transaction, as with one lease, have one revision.
            if let Some(passed) = before
                .filter(|entry| entry.deleted.is_none_or(|at| at > ended))
                .max_by_key(|entry| entry.deleted.unwrap_or(u64::MAX))
            {
                return Err(format!(
                    "H2: {} was granted lock {lock} with token {} ({}), though {} came before it at {} and was {}",
                    grant.host,
                    grant.token,
                    lifetime(own),
                    passed.key,
                    passed.created,
                    lifetime(passed),
                ));
            }
        }
    }
    Ok(())
}

/// H3 (C5): each acknowledged fenced write is in the history exactly once, and was made while its entry existed.
///
/// # Errors
/// The first write that is missing, doubled, or not covered by its entry.
pub fn acknowledged_writes_stand_once(
    history: &StoreHistory,
    locks: &str,
    writes: &[Acknowledged],
) -> Result<(), String> {
    let mut settled: BTreeMap<(&str, u64), Vec<u64>> = BTreeMap::new();
    for change in &history.changes {
        let number = change.put.as_ref().and_then(|(_, value)| settles(value));
        if let Some(number) = number {
            let revisions = settled.entry((&change.key, number)).or_default();
            revisions.push(change.revision);
        }
    }
    let mut entries: BTreeMap<&str, Vec<Entry>> = BTreeMap::new();
    for write in writes {
        let Release {
            host, lock, token, ..
        } = &write.grant;
        if *token < history.since {
            continue;
        }
        let what = format!(
            "transfer {} of {}, acknowledged to {host} under token {token} of lock {lock}",
            write.number, write.key
        );
        let revision = match settled
            .get(&(write.key.as_str(), write.number))
            .map(Vec::as_slice)
        {
            Some([once]) => *once,
            Some(several) => {
                return Err(format!(
                    "H3: {what}, was written {} times: at {several:?}",
                    several.len()
                ));
            }
            None => return Err(format!("H3: {what}, is not in the store's history")),
        };
        let entries = entries
            .entry(lock)
            .or_insert_with(|| history.entries(&format!("{locks}{lock}/")));
        let own = entries.iter().find(|entry| entry.created == *token);
        let Some(own) = own else {
            return Err(format!("H3: {what}, has no entry"));
        };
        if revision <= own.created || own.deleted.is_some_and(|at| at <= revision) {
            return Err(format!(
                "H3: {what}, was written at {revision}, outside its entry's life ({})",
                lifetime(own)
            ));
        }
    }
    Ok(())
}

fn by_lock(grants: &[Release]) -> BTreeMap<&str, Vec<&Release>> {
    let mut locks: BTreeMap<&str, Vec<&Release>> = BTreeMap::new();
    for grant in grants {
        locks.entry(&grant.lock).or_default().push(grant);
    }
    locks
}

fn lifetime(entry: &Entry) -> String {
    match entry.deleted {
        Some(at) => format!("created at {}, deleted at {at}", entry.created),
        None => format!("created at {}, never deleted", entry.created),
    }
}

/// The number in `transfer 17: 5 from account 1 to account 2`.
fn transfer(text: &str) -> Option<u64> {
    let (number, _) = text.strip_prefix("transfer ")?.split_once(": ")?;
    number.parse().ok()
}

/// The number of transfers in a journal without a pending one, if at least one was made.
fn settles(value: &str) -> Option<u64> {
    let journal: Value = serde_json::from_str(value).ok()?;
    let settled = journal.get("pending")?.is_null();
    journal["transfers"]
        .as_u64()
        .filter(|number| settled && *number > 0)
}

/// Decodes base64; bytes that are not text become replacement characters.
fn text(encoded: &str) -> Option<String> {
    let bytes = base64::decode(encoded)?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}
