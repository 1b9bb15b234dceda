//! The keys that `[defaults]` and a job share, and their layering.
//!
//! The upper layer's value always wins, key by key, also inside `restart` and `limits`.

use std::ops::Range;
use std::time::Duration;

use super::limits::RawLimits;
use super::node::Node;
use super::read::{self, LONGEST};
use super::schedule::{self, RawRestart, Wait};
use super::section::{Field, Section};
use super::timing::{LONGEST_TTL, SHORTEST_TTL};

/// Shortest timeout: a shorter run ends before it does anything.
const SHORTEST_TIMEOUT: Duration = Duration::from_millis(10);

/// Values of the shared keys in one table.
#[derive(Clone, Debug)]
pub(super) struct Policy {
    pub(super) wait: Field<Wait>,
    pub(super) timeout: Field<Duration>,
    pub(super) ttl: Field<Duration>,
    pub(super) stop_margin: Field<Duration>,
    pub(super) retries: Field<u32>,
    pub(super) restart: RawRestart,
    pub(super) limits: RawLimits,
}

impl Policy {
    /// Reads the keys that tables of this kind may have.
    pub(super) fn read(section: &Section<'_>) -> Self {
        Self {
            wait: section.offer("wait", schedule::wait),
            timeout: section.offer("timeout", |node| {
                read::duration(node, SHORTEST_TIMEOUT, LONGEST)
            }),
            ttl: section.offer("ttl", ttl),
            stop_margin: section.offer("stop_margin", |node| {
                read::duration(node, Duration::from_millis(1), LONGEST_TTL)
            }),
            retries: section.offer("retries", |node| read::integer_u32(node, 0, u32::MAX)),
            restart: RawRestart::read(section),
            limits: RawLimits::read(section),
        }
    }

    /// Takes each key that is absent here from `fallback`.
    pub(super) fn or(self, fallback: &Self) -> Self {
        Self {
            wait: self.wait.or(&fallback.wait),
            timeout: self.timeout.or(&fallback.timeout),
            ttl: self.ttl.or(&fallback.ttl),
            stop_margin: self.stop_margin.or(&fallback.stop_margin),
            retries: self.retries.or(&fallback.retries),
            restart: self.restart.or(&fallback.restart),
            limits: self.limits.or(&fallback.limits),
        }
    }

    /// Visits each key with the position of its value.
    pub(super) fn each(&self, visit: &mut dyn FnMut(String, Option<Range<usize>>)) {
        visit("wait".into(), self.wait.span());
        visit("timeout".into(), self.timeout.span());
        visit("ttl".into(), self.ttl.span());
        visit("stop_margin".into(), self.stop_margin.span());
        visit("retries".into(), self.retries.span());
        visit("restart.min".into(), self.restart.min.span());
        visit("restart.max".into(), self.restart.max.span());
        for (key, amount) in self.limits.set() {
            visit(format!("limits.{key}"), Some(amount.span()));
        }
    }
}

/// Reads a lease's time to live.
pub(super) fn ttl(node: &Node<'_>) -> Option<Duration> {
    let ttl = read::duration(node, SHORTEST_TTL, LONGEST_TTL)?;
    if ttl.subsec_nanos() == 0 {
        return Some(ttl);
    }
    node.reject(
        "must be whole seconds: leases are granted in them",
        format!("write \"{}s\" or \"{}s\"", ttl.as_secs(), ttl.as_secs() + 1),
    )
}
