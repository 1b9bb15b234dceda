//! Reader of `lock`: the lock of a job, or several that a run holds together.

use leasehold_diagnostics::{ConfigError, shown};
use leasehold_ids::LockMode;
use toml::Spanned;
use toml::de::DeValue;

use super::job_locks::{JobLock, MOST_JOB_LOCKS};
use super::lockname;
use super::node::Node;
use super::read;
use super::schema;
use super::section::{Field, Section};

/// Locks of one job, each with its position. There is at least one.
pub(super) type SpannedLocks = Vec<Spanned<JobLock>>;

/// The form of `lock`, for messages.
const EXAMPLE: &str = "\"billing/ledger\"";

/// Reads a lock, or an array of locks.
pub(super) fn locks(node: &Node<'_>) -> Option<SpannedLocks> {
    let DeValue::Array(_) = node.value() else {
        return Some(vec![lock(node)?]);
    };
    let items = node.items("locks", EXAMPLE)?;
    if items.is_empty() {
        return node.reject(
            "names no lock",
            "name one, or leave the key out: the lock is then called like the job",
        );
    }
    if items.len() > MOST_JOB_LOCKS {
        return node.reject(
            &format!("names {} locks", items.len()),
            format!(
                "name {MOST_JOB_LOCKS} at most: they are taken in one transaction of the store"
            ),
        );
    }
    let locks: Vec<_> = items.iter().map(lock).collect();
    let locks: SpannedLocks = locks.into_iter().collect::<Option<_>>()?;
    is_apart(node, &locks).then_some(locks)
}

/// Reads one lock: a name, or a table.
fn lock(node: &Node<'_>) -> Option<Spanned<JobLock>> {
    let (name, mode) = match node.value() {
        DeValue::String(_) => (lockname::lock(node)?, LockMode::Exclusive),
        DeValue::Table(_) => {
            let table = Section::of(node, node.key, schema::LOCK);
            let name = table.require("name", "add `name = \"billing/ledger\"`", lockname::lock);
            let mode = mode(&table, node);
            (name?.into_inner(), mode?)
        }
        _ => return node.wrong_kind("a name, a table, or an array of both", EXAMPLE),
    };
    Some(Spanned::new(node.span(), JobLock::new(name, mode)))
}

/// Reads the mode of the lock in this table: `mode`, or `of` with `permits`.
fn mode(table: &Section<'_>, node: &Node<'_>) -> Option<LockMode> {
    let mode = table.take("mode", word);
    let number = |node: &Node<'_>| read::integer_u32(node, 0, u32::MAX);
    let (permits, of) = (table.take("permits", number), table.take("of", number));
    let has_permits = table.has("permits") || table.has("of");
    let reject = |message: String, help: String| {
        let finding = ConfigError::at(node.span(), message).help(help);
        table.context().report(finding);
        None
    };
    if table.has("mode") && has_permits {
        return reject(
            format!("{} has both a `mode` and permits", table.shown()),
            "keep one: a lock is exclusive, shared, or has permits".into(),
        );
    }
    if !has_permits {
        return mode.or_default(LockMode::Exclusive);
    }
    if matches!(of, Field::Absent) {
        return reject(
            format!("{} has `permits` and no `of`", table.shown()),
            "add `of`, the number of all permits, as in `permits = 1, of = 3`".into(),
        );
    }
    let (weight, of) = (permits.or_default(1)?, of.or_default(0)?);
    LockMode::permits(weight, of).ok().or_else(|| {
        let help = if of == 0 {
            "`of` is the number of all permits, at least 1".into()
        } else {
            format!("write `permits` from 1 to {of}, or a larger `of`")
        };
        reject(
            format!(
                "{} takes {weight} of {of} permits, which can never be granted",
                table.shown()
            ),
            help,
        )
    })
}

fn word(node: &Node<'_>) -> Option<LockMode> {
    match node.value() {
        DeValue::String(text) if text == "exclusive" => Some(LockMode::Exclusive),
        DeValue::String(text) if text == "shared" => Some(LockMode::Shared),
        DeValue::String(_) => node.reject(
            "is none of its words",
            "write \"exclusive\" (no other run beside it) or \"shared\" (beside other shared ones)",
        ),
        _ => node.wrong_kind("\"exclusive\" or \"shared\"", "\"shared\""),
    }
}

/// Reports locks of one job that are named twice or lie inside one another. Returns true if there are none.
fn is_apart(node: &Node<'_>, locks: &SpannedLocks) -> bool {
    let mut is_apart = true;
    for (at, lock) in locks.iter().enumerate() {
        let name = lock.get_ref().name();
        for earlier in &locks[..at] {
            let other = earlier.get_ref().name();
            let (what, help) = if name == other {
                (
                    format!("{} names lock `{}` twice", node.name(), shown(name)),
                    "keep one of them: the second would wait for the first".to_owned(),
                )
            } else if lockname::lies_in(name, other) || lockname::lies_in(other, name) {
                (
                    format!(
                        "{} names locks `{}` and `{}`, which lie inside one another",
                        node.name(),
                        shown(other),
                        shown(name)
                    ),
                    lockname::nesting_remedy(other.min(name)),
                )
            } else {
                continue;
            };
            is_apart = false;
            node.context().report(
                ConfigError::at(lock.span(), what)
                    .note(earlier.span(), "the other one")
                    .help(help),
            );
        }
    }
    is_apart
}
