//! Names of locks and prefixes of guest data: paths of plain segments.
//!
//! A lock's name is a folder of keys in the store, so no lock may lie inside another. The store is
//! not read here.

use leasehold_diagnostics::shown;
use toml::Spanned;

use super::node::Node;
use super::read::{is_name_char, text};

/// Longest lock name or data prefix, in bytes.
const LONGEST: usize = 200;

/// Placeholder for a job's name in a pattern.
const JOB: &str = "{job}";

/// Expands a pattern for this job.
pub(super) fn for_job(pattern: &str, job: &str) -> String {
    pattern.replace(JOB, job)
}

/// Reads the name of a lock, such as `billing/ledger`.
pub(super) fn lock(node: &Node<'_>) -> Option<String> {
    let name = text(node)?;
    match fault(&name) {
        None => Some(name),
        Some((what, help)) => node.reject(&what, help),
    }
}

/// Returns the fault of a lock's name, such as `is empty`, and the text to write instead. `None` for a usable name.
pub fn lock_name_fault(name: &str) -> Option<(String, &'static str)> {
    fault(name)
}

/// Reads the name of a lock, or with `*` at its end the beginning of several names; `{job}` stands
/// for a job's name.
pub(super) fn lock_pattern(node: &Node<'_>) -> Option<String> {
    let pattern = text(node)?;
    let judged = for_job(&pattern, "job");
    let begin = judged.strip_suffix('*').unwrap_or(&judged);
    let begin = begin.strip_suffix('/').unwrap_or(begin);
    if pattern == "*" {
        return Some(pattern);
    }
    match fault(begin) {
        None => Some(pattern),
        Some((what, help)) => node.reject(&what, help),
    }
}

/// Reads the prefixes that a job may write under, such as `ledger/`.
pub(super) fn prefixes(node: &Node<'_>) -> Option<Vec<Spanned<String>>> {
    let items = node.items("prefixes", "[\"ledger/\"]")?;
    let prefixes: Vec<_> = items.iter().map(|item| prefix(item, false)).collect();
    prefixes.into_iter().collect()
}

/// Reads as `prefixes` does; `{job}` stands for the name of a job.
pub(super) fn patterns(node: &Node<'_>) -> Option<Vec<Spanned<String>>> {
    let items = node.items("prefixes", "[\"{job}/\"]")?;
    let patterns: Vec<_> = items.iter().map(|item| prefix(item, true)).collect();
    patterns.into_iter().collect()
}

fn prefix(node: &Node<'_>, is_pattern: bool) -> Option<Spanned<String>> {
    let prefix = text(node)?;
    let judged = if is_pattern {
        for_job(&prefix, "job")
    } else {
        prefix.clone()
    };
    let Some(path) = judged.strip_suffix('/') else {
        return node.reject(
            "holds a prefix that does not end with `/`",
            "write it as in \"ledger/\"",
        );
    };
    match fault(path) {
        None => Some(Spanned::new(node.span(), prefix)),
        Some((what, help)) => node.reject(&what, help),
    }
}

/// Returns the fault of a path and the text to write instead.
fn fault(path: &str) -> Option<(String, &'static str)> {
    let odd = |c: char| !is_name_char(c) && c != '/';
    if path.is_empty() {
        Some(("is empty".into(), "write it as in \"billing/ledger\""))
    } else if path.len() > LONGEST {
        let what = format!("is longer than {LONGEST} bytes");
        Some((what, "shorten it"))
    } else if path.starts_with('/') || path.ends_with('/') {
        let what = "starts or ends with an extra `/`";
        Some((what.into(), "write it as in \"billing/ledger\""))
    } else if path.contains("//") {
        let what = "holds an empty part";
        Some((what.into(), "write one `/` where there are two"))
    } else if let Some(part) = path.split('/').find(|part| matches!(*part, "." | "..")) {
        let what = format!("holds the part `{part}`, which reads like a step to another folder");
        Some((what, "name the folder itself; there are no steps in names"))
    } else {
        path.contains(odd).then(|| {
            let odd: String = path.chars().filter(|c| odd(*c)).take(1).collect();
            let what = format!("holds `{}`", shown(&odd));
            (
                what,
                "use letters, digits, `.`, `_` and `-`, with `/` between parts",
            )
        })
    }
}

/// Returns true if lock `inner` lies inside lock `outer`.
pub(super) fn lies_in(inner: &str, outer: &str) -> bool {
    inner
        .strip_prefix(outer)
        .is_some_and(|rest| rest.starts_with('/'))
}

/// Remedy for a lock that lies inside lock `outer`.
pub(super) fn nesting_remedy(outer: &str) -> String {
    format!(
        "name the outer lock like a file in it, as in `{outer}/main`, or move the inner one elsewhere"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_plain_segments() {
        for good in [
            "a",
            "billing/ledger",
            "a.b/c_d/e-f",
            "..a/b..",
            "...",
            &"x".repeat(200),
        ] {
            assert!(fault(good).is_none(), "{good}");
        }
        for bad in [
            "",
            "/",
            "/a",
            "a/",
            "a//b",
            "a b",
            "é",
            "a\\b",
            "a\n",
            "..",
            ".",
            "../a",
            "a/../b",
            "a/./b",
            "a/..",
            "a\u{7f}",
            "a\u{0}b",
            &"x".repeat(201),
        ] {
            assert!(fault(bad).is_some(), "{bad}");
        }
    }
}
