//! The namespace of dropped-in jobs, and the resources that the operator lets them share.
//!
//! A user who puts a file into the folder chooses its name, and a job's keys, ticks, runs and lock
//! follow from its name. So a dropped-in job's name begins with [`NAMESPACE`], which no configured
//! job's does. That prefix separates all of these resources, on every host.

use std::collections::BTreeSet;
use std::ops::Bound;
use std::time::Duration;

use super::lockname;
use super::lockname::for_job;
use super::node::Node;
use super::read;
use super::section::{Field, Section};
use super::timing::{LONGEST_TTL, ttl};

/// Beginning of the name of every dropped-in job that has no other by policy.
pub(super) const NAMESPACE: &str = "dropped.";

/// Longest lease of a dropped-in job, unless [defaults] has a longer one.
///
/// A lock outlives a dead host by its TTL. A minute lets six renewals in a row fail at the default
/// TTL of 10 s. A lock that is shared by policy is free again before a person has looked.
const DEFAULT_MAX_TTL: Duration = Duration::from_mins(1);

/// Names, locks and leases that dropped-in jobs may have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Sharing {
    names: Vec<String>,
    locks: Vec<String>,
    pub(super) max_ttl: Duration,
}

impl Sharing {
    /// No bounds, for a plugin that is tried or inspected and lies in no folder.
    pub(super) fn unbounded() -> Self {
        Self {
            names: vec!["*".to_owned()],
            locks: vec!["*".to_owned()],
            max_ttl: LONGEST_TTL,
        }
    }

    /// Reads the keys of `[plugins]`; `None` if any is wrong.
    pub(super) fn read(section: &Section<'_>, default_ttl: &Field<Duration>) -> Option<Self> {
        let names = section.take("names", names);
        let locks = section.take("locks", locks);
        let max_ttl = section.take("max_ttl", ttl);
        let usual = default_ttl.clone().or_default(DEFAULT_MAX_TTL);
        let usual = usual.unwrap_or(DEFAULT_MAX_TTL).max(DEFAULT_MAX_TTL);
        Some(Self {
            names: names.or_default(Vec::new())?,
            locks: locks.or_default(Vec::new())?,
            max_ttl: max_ttl.or_default(usual)?,
        })
    }

    /// Returns the name of the job that is called `own` in its manifest or file.
    pub(super) fn name_for(&self, own: &str) -> String {
        let is_shared = !own.starts_with(NAMESPACE) && matches_any(&self.names, own);
        let namespace = if is_shared { "" } else { NAMESPACE };
        format!("{namespace}{own}")
    }

    /// True if the policy names this lock for the job.
    pub(super) fn covers_lock(&self, job: &str, lock: &str) -> bool {
        let patterns = self.locks.iter().map(|pattern| for_job(pattern, job));
        matches_any(&patterns.collect::<Vec<_>>(), lock)
    }
}

/// True if the lock is the job's own: its name, or in a folder of that name.
pub(super) fn is_own_lock(job: &str, lock: &str) -> bool {
    lock == job || lockname::lies_in(lock, job)
}

/// True if the name is in the namespace.
pub(super) fn is_reserved(name: &str) -> bool {
    name.starts_with(NAMESPACE)
}

/// True if one of two prefixes of keys, which end in `/`, lies in the other.
pub(super) fn overlap(one: &str, other: &str) -> bool {
    one.starts_with(other) || other.starts_with(one)
}

/// True if one of `prefixes` overlaps `prefix`; as `overlap`, quickly.
pub fn overlaps_any(prefixes: &BTreeSet<&str>, prefix: &str) -> bool {
    let from = (Bound::Included(prefix), Bound::Unbounded);
    let mut after = prefixes.range::<str, _>(from);
    prefix
        .match_indices('/')
        .any(|(at, _)| prefixes.contains(&prefix[..=at]))
        || after.next().is_some_and(|other| other.starts_with(prefix))
}

/// True if a pattern is the text, or ends with `*` and begins it.
fn matches_any(patterns: &[String], text: &str) -> bool {
    patterns.iter().any(|pattern| {
        pattern
            .strip_suffix('*')
            .map_or(pattern == text, |begin| text.starts_with(begin))
    })
}

fn names(node: &Node<'_>) -> Option<Vec<String>> {
    let items = node.items("names", "[\"report\", \"team-*\"]")?;
    let names: Vec<_> = items.iter().map(name).collect();
    names.into_iter().collect()
}

fn name(node: &Node<'_>) -> Option<String> {
    let pattern = read::text(node)?;
    let begin = pattern.strip_suffix('*').unwrap_or(&pattern);
    if is_reserved(&pattern) {
        return node.reject(
            "is a name for dropped-in jobs by default",
            "leave it out: every dropped-in job has such a name",
        );
    }
    if begin.is_empty() && pattern == "*" || read::is_name(begin) {
        return Some(pattern);
    }
    node.reject("is not a name for a job", read::NAME_RULE)
}

fn locks(node: &Node<'_>) -> Option<Vec<String>> {
    let items = node.items("locks", "[\"team/*\"]")?;
    let locks: Vec<_> = items.iter().map(lockname::lock_pattern).collect();
    locks.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sharing(names: &[&str], locks: &[&str]) -> Sharing {
        let owned = |texts: &[&str]| texts.iter().map(|&text| text.to_owned()).collect();
        Sharing {
            names: owned(names),
            locks: owned(locks),
            max_ttl: DEFAULT_MAX_TTL,
        }
    }

    #[test]
    fn a_name_is_in_the_namespace_unless_the_policy_has_it() {
        let none = sharing(&[], &[]);
        assert_eq!(none.name_for("ledger"), "dropped.ledger");
        let some = sharing(&["ledger", "team-*"], &[]);
        for (own, name) in [
            ("ledger", "ledger"),
            ("ledgers", "dropped.ledgers"),
            ("team-a", "team-a"),
            ("dropped.ledger", "dropped.dropped.ledger"),
        ] {
            assert_eq!(some.name_for(own), name);
        }
        // Even then another job's namespace cannot be used.
        let all = sharing(&["*"], &[]);
        assert_eq!(all.name_for("x"), "x");
        assert_eq!(all.name_for("dropped.x"), "dropped.dropped.x");
    }

    #[test]
    fn locks_are_covered_by_name_by_folder_and_by_job() {
        let some = sharing(&[], &["billing/ledger", "team/*", "own/{job}"]);
        for (lock, expected) in [
            ("billing/ledger", true),
            ("billing/ledger/x", false),
            ("team/a", true),
            ("team", false),
            ("teams/a", false),
            ("own/dropped.x", true),
            ("own/x", false),
        ] {
            assert_eq!(some.covers_lock("dropped.x", lock), expected, "{lock}");
        }
        assert!(is_own_lock("dropped.x", "dropped.x/inner"));
        assert!(!is_own_lock("dropped.x", "dropped.xy"));
    }

    #[test]
    fn prefixes_overlap_when_one_lies_in_the_other() {
        let prefixes = BTreeSet::from(["ledger/", "a/b/"]);
        for (prefix, expected) in [
            ("ledger/", true),
            ("ledger/x/", true),
            ("a/", true),
            ("a/b/c/", true),
            ("a/c/", false),
            ("ledgers/", false),
            ("b/", false),
        ] {
            assert_eq!(overlaps_any(&prefixes, prefix), expected, "{prefix}");
            let one_by_one = prefixes.iter().any(|other| overlap(other, prefix));
            assert_eq!(one_by_one, expected, "{prefix}");
        }
    }
}
