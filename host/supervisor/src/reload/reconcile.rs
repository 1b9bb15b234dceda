//! Reconciling jobs: which source owns a job name and a lock, and the steps from the jobs in force to the desired
//! ones.
//!
//! Pure: no files, no clocks, no tasks.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use super::source::{JobSource, SourceKey};
use super::version::Version;
use leasehold_config::{clash, overlaps_any};

/// One step for the supervisor.
#[derive(Debug)]
pub(super) enum Step {
    /// A version, and the reason for which it replaces another source's.
    Set(Box<Version>, Option<String>),
    Remove(String),
}

/// A job that is in force.
#[derive(Debug)]
struct Standing {
    key: SourceKey,
    version: Version,
}

/// The jobs in force, by name.
#[derive(Debug, Default)]
pub(super) struct ActiveJobs(BTreeMap<String, Standing>);

impl ActiveJobs {
    /// Records a job with which the host started.
    pub(super) fn began_with(&mut self, key: SourceKey, version: &Version) {
        self.stand(key, version);
    }

    fn stand(&mut self, key: SourceKey, version: &Version) {
        let standing = Standing {
            key,
            version: version.clone(),
        };
        self.0.insert(version.job.name().to_owned(), standing);
    }

    pub(super) fn names(&self) -> Vec<String> {
        self.0.keys().cloned().collect()
    }

    pub(super) fn versions(&self) -> impl Iterator<Item = &Version> {
        self.0.values().map(|standing| &standing.version)
    }

    /// True if a version of this item is in force.
    pub(super) fn holds(&self, key: &SourceKey) -> bool {
        self.0.values().any(|standing| standing.key == *key)
    }

    /// Returns the steps to the jobs that the items define, removals first. Also returns the items that are
    /// refused, with the reason.
    pub(super) fn step(
        &mut self,
        items: &BTreeMap<SourceKey, JobSource>,
    ) -> (Vec<Step>, Vec<(SourceKey, String)>) {
        let mut chosen: BTreeMap<&str, (&SourceKey, &Version)> = BTreeMap::new();
        let mut locks: BTreeSet<&str> = BTreeSet::new();
        let mut capacities: BTreeMap<&str, u32> = BTreeMap::new();
        let mut keys: BTreeSet<&str> = BTreeSet::new();
        let mut refused = Vec::new();
        for (key, version) in self.in_turn(items) {
            let (name, own) = (version.job.name(), version.job.own());
            let is_shared = own.locks.iter().any(|lock| locks.contains(lock.as_str()))
                || own.keys.iter().any(|prefix| overlaps_any(&keys, prefix));
            let is_nested = version
                .job
                .locks()
                .names()
                .any(|lock| is_nested(&locks, lock));
            let differs = version.job.locks().iter().any(|lock| {
                let of = lock.mode().capacity();
                let other = capacities.get(lock.name());
                other.is_some_and(|other| of.is_some_and(|of| of != *other))
            });
            if chosen.contains_key(name) || is_nested || differs || is_shared {
                let present = chosen.values().map(|(_, version)| &version.job);
                if let Some(clash) = clash(present, &version.job) {
                    refused.push((key.clone(), clash.to_string()));
                    continue;
                }
            }
            chosen.insert(name, (key, version));
            for lock in version.job.locks().iter() {
                locks.insert(lock.name());
                if let Some(of) = lock.mode().capacity() {
                    capacities.insert(lock.name(), of);
                }
            }
            keys.extend(version.job.allow().kv.iter().map(String::as_str));
        }
        let gone: Vec<String> = self
            .0
            .keys()
            .filter(|name| !chosen.contains_key(name.as_str()))
            .cloned()
            .collect();
        let mut steps = Vec::new();
        for name in gone {
            self.0.remove(&name);
            steps.push(Step::Remove(name));
        }
        for (name, (key, version)) in chosen {
            let is_new = self
                .0
                .get(name)
                .is_none_or(|standing| !is_same(&standing.version, version));
            if is_new {
                let before = self.0.get(name).filter(|standing| standing.key != *key);
                let why = before.map(|standing| why_instead(&standing.key, items));
                steps.push(Step::Set(Box::new(version.clone()), why));
            }
            if is_new || self.0.get(name).is_none_or(|standing| standing.key != *key) {
                self.stand(key.clone(), version);
            }
        }
        (steps, refused)
    }

    /// Returns the items that have a version: configured ones, then those in force already, then new ones.
    fn in_turn<'a>(
        &self,
        items: &'a BTreeMap<SourceKey, JobSource>,
    ) -> Vec<(&'a SourceKey, &'a Version)> {
        let mut turn: Vec<(&SourceKey, &Version)> = items
            .iter()
            .filter_map(|(key, item)| Some((key, item.version.as_ref()?)))
            .collect();
        turn.sort_by_key(|(key, version)| match key {
            SourceKey::Configured(_) => 0,
            SourceKey::Dropped(_) => {
                let standing = self.0.get(version.job.name());
                if standing.is_some_and(|standing| standing.key == **key) {
                    1
                } else {
                    2
                }
            }
        });
        turn
    }
}

/// Returns the reason for which a job comes from another source than before.
fn why_instead(before: &SourceKey, items: &BTreeMap<SourceKey, JobSource>) -> String {
    let is_there = items.contains_key(before);
    match before {
        SourceKey::Configured(_) => "the configuration has no such job any more".to_owned(),
        SourceKey::Dropped(path) if is_there => {
            format!("{} no longer defines this job", path.display())
        }
        SourceKey::Dropped(path) => format!("{} was removed", path.display()),
    }
}

fn is_same(one: &Version, other: &Version) -> bool {
    one.job == other.job && one.plugin.facts().sha256 == other.plugin.facts().sha256
}

/// True if one of `locks` lies inside `lock`, or `lock` inside one of them. Quick; the configuration's check writes
/// the error text.
fn is_nested(locks: &BTreeSet<&str>, lock: &str) -> bool {
    let inside = format!("{lock}/");
    let from = (Bound::Included(inside.as_str()), Bound::Unbounded);
    let mut after = locks.range::<str, _>(from);
    lock.match_indices('/')
        .any(|(at, _)| locks.contains(&lock[..at]))
        || after.next().is_some_and(|other| other.starts_with(&inside))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locks_inside_one_another_are_found_from_both_sides() {
        let locks = BTreeSet::from(["a/b", "c"]);
        for (lock, expected) in [
            ("a", true),
            ("a/b/x", true),
            ("c/d", true),
            // Jobs may share a lock.
            ("a/b", false),
            ("a/bc", false),
            ("cc", false),
        ] {
            assert_eq!(is_nested(&locks, lock), expected, "{lock}");
        }
    }
}
