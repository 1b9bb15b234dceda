//! Kinds of keys: entries of queues, under the root and under other prefixes, and records of hosts.

use std::sync::Arc;

use leasehold_lock::view::lock_of;
use leasehold_records::{ControlKey, Root, RunKey, printable};

/// The root and the prefixes that are shown.
#[derive(Clone, Debug)]
pub(crate) struct KeyScope {
    root: Root,
    /// Further prefixes under which every key is an entry of a queue.
    prefixes: Vec<String>,
}

/// Kind of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum KeyKind {
    /// An entry of the queue of this lock (its full name).
    Entry(Arc<str>),
    Host(String),
    Job(String, String),
    Run(RunKey),
    Deed,
    /// A pause or a drain.
    Hold(ControlKey),
    /// A key that is not shown.
    Nothing,
}

impl KeyScope {
    pub(crate) fn new(root: Root, prefixes: Vec<String>) -> Self {
        Self { root, prefixes }
    }

    pub(crate) const fn root(&self) -> &Root {
        &self.root
    }

    pub(crate) fn prefixes(&self) -> &[String] {
        &self.prefixes
    }

    /// The prefixes to follow. The root is one of them, so that all changes of one revision arrive at once; guests'
    /// own data under it is left out by the feed.
    pub(crate) fn watched(&self) -> Vec<String> {
        let mut all = vec![self.root.as_str().to_owned()];
        all.extend_from_slice(&self.prefixes);
        // After sorting, a covering prefix comes before the prefixes that it covers.
        all.sort();
        let mut kept: Vec<String> = Vec::new();
        for prefix in all {
            if !kept.iter().any(|other| prefix.starts_with(other.as_str())) {
                kept.push(prefix);
            }
        }
        kept
    }

    /// The parts of the root to follow if the user may not read all of it.
    pub(crate) fn parts(&self) -> [String; 6] {
        let root = &self.root;
        [
            root.locks(),
            root.hosts(),
            root.jobs(),
            root.runs(),
            root.admin_actions(),
            root.control(),
        ]
    }

    /// Classifies `key`.
    pub(crate) fn classify(&self, key: &str) -> KeyKind {
        if let Some(ours) = self.classify_ours(key) {
            return ours;
        }
        if self.prefixes.iter().any(|prefix| key.starts_with(prefix)) {
            return lock_of(key).map_or(KeyKind::Nothing, |lock| KeyKind::Entry(lock.into()));
        }
        KeyKind::Nothing
    }

    fn classify_ours(&self, key: &str) -> Option<KeyKind> {
        let rest = key.strip_prefix(self.root.as_str())?;
        let (kind, rest) = rest.split_once('/')?;
        Some(match kind {
            "locks" => KeyKind::Entry(lock_of(key)?.into()),
            "hosts" => KeyKind::Host(rest.to_owned()),
            "jobs" => {
                let (job, host) = rest.split_once('/')?;
                KeyKind::Job(job.to_owned(), host.to_owned())
            }
            "runs" => KeyKind::Run(self.root.parse_run(key)?),
            "deeds" => KeyKind::Deed,
            "control" => match self.root.parse_control(key)? {
                ControlKey::Stop(..) | ControlKey::Trigger(..) => return None,
                hold => KeyKind::Hold(hold),
            },
            _ => return None,
        })
    }

    /// Label of a lock on the screen: without the root, and printable.
    pub(crate) fn label(&self, lock: &str) -> String {
        printable::line(self.root.lock_name(lock).unwrap_or(lock))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_classified_by_their_path() {
        let scope = KeyScope::new(Root::default(), vec!["/legacy/".into()]);
        let lock = KeyKind::Entry("/leasehold/locks/a/b".into());
        assert_eq!(scope.classify("/leasehold/locks/a/b/694d"), lock);
        assert_eq!(
            scope.classify("/legacy/x/694d"),
            KeyKind::Entry("/legacy/x".into())
        );
        assert_eq!(scope.classify("/leasehold/kv/a"), KeyKind::Nothing);
        assert_eq!(scope.classify("/else/x/694d"), KeyKind::Nothing);
        let job = KeyKind::Job("j".into(), "h".into());
        assert_eq!(scope.classify("/leasehold/jobs/j/h"), job);
        let pause = KeyKind::Hold(ControlKey::Job("j".into()));
        assert_eq!(scope.classify("/leasehold/control/jobs/j"), pause);
        let all = KeyKind::Hold(ControlKey::All);
        assert_eq!(scope.classify("/leasehold/control/all"), all);
        let stop = "/leasehold/control/stops/j/00000000000000000007";
        assert_eq!(scope.classify(stop), KeyKind::Nothing);
        assert_eq!(scope.label("/leasehold/locks/a/b"), "a/b");
        assert_eq!(scope.label("/legacy/x"), "/legacy/x");
    }

    #[test]
    fn prefix_inside_another_is_followed_once() {
        let more = ["/leasehold/locks/a/", "/legacy/", "/legacy/sub/"].map(String::from);
        let scope = KeyScope::new(Root::default(), more.into());
        assert_eq!(scope.watched(), ["/leasehold/", "/legacy/"]);
        let all = KeyScope::new(Root::default(), vec!["/".into()]);
        assert_eq!(all.watched(), ["/"]);
    }
}
