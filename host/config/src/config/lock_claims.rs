//! Locks of all jobs together: none lies inside another, and each has one number of permits.

use std::collections::BTreeMap;
use std::ops::Range;

use leasehold_diagnostics::ConfigError;

use super::context::Context;
use super::job_locks::JobLock;
use super::lockname;

/// A job's lock and its position in the file.
pub(super) struct LockClaim<'a> {
    pub(super) job: &'a str,
    pub(super) lock: &'a JobLock,
    pub(super) span: Range<usize>,
}

/// Reports every lock that lies inside another. Jobs may share a lock.
pub(super) fn refuse_nesting(locks: &[LockClaim<'_>], context: &Context<'_>) {
    let mut holders: BTreeMap<&str, &LockClaim<'_>> = BTreeMap::new();
    for claimed in locks {
        holders.entry(claimed.lock.name()).or_insert(claimed);
    }
    for inner in locks {
        let name = inner.lock.name();
        let folders = name.match_indices('/').map(|(at, _)| &name[..at]);
        for outer in folders.filter_map(|folder| holders.get(folder)) {
            let message = format!(
                "lock `{name}` of job `{}` lies inside lock `{}` of job `{}`",
                inner.job,
                outer.lock.name(),
                outer.job
            );
            context.report(
                ConfigError::at(inner.span.clone(), message)
                    .note(outer.span.clone(), format!("lock `{}`", outer.lock.name()))
                    .help(lockname::nesting_remedy(outer.lock.name())),
            );
        }
    }
}

/// Reports every lock that has another number of permits in an earlier job: neither job could count the other's.
pub(super) fn refuse_capacities(locks: &[LockClaim<'_>], context: &Context<'_>) {
    let mut first: BTreeMap<&str, (&LockClaim<'_>, u32)> = BTreeMap::new();
    for claimed in locks {
        let Some(of) = claimed.lock.mode().capacity() else {
            continue;
        };
        let name = claimed.lock.name();
        let (earlier, other) = *first.entry(name).or_insert((claimed, of));
        if of == other {
            continue;
        }
        let message = format!(
            "lock `{name}` has {of} permits in job `{}`, and {other} in job `{}`",
            claimed.job, earlier.job
        );
        context.report(
            ConfigError::at(claimed.span.clone(), message)
                .note(earlier.span.clone(), format!("{other} here"))
                .help("write the same `of` in every job of the lock, on all hosts"),
        );
    }
}
