//! The keys that `[defaults]` and a job share, and how one stands in for the other.
//!
//! A job's own word always wins, key by key: also inside `restart`, `allow` and `limits`.

use std::time::Duration;

use super::allow::SaidAllow;
use super::job::{LONGEST_TTL, SHORTEST_TTL};
use super::limits::SaidLimits;
use super::node::Node;
use super::read::{self, LONGEST};
use super::schedule::{self, SaidRestart, Wait};
use super::schema;
use super::section::{Said, Section};

/// A run shorter than this ends before it does anything.
const SHORTEST_TIMEOUT: Duration = Duration::from_millis(10);

/// What a table says about the shared keys.
#[derive(Clone, Debug)]
pub(super) struct Policy {
    pub(super) wait: Said<Wait>,
    pub(super) timeout: Said<Duration>,
    pub(super) ttl: Said<Duration>,
    pub(super) stop_margin: Said<Duration>,
    pub(super) retries: Said<u32>,
    pub(super) restart: SaidRestart,
    pub(super) allow: SaidAllow,
    pub(super) limits: SaidLimits,
}

impl Policy {
    /// Reads `[defaults]`.
    pub(super) fn defaults(root: &Section<'_>) -> Self {
        let section = root.table("defaults", "defaults", schema::DEFAULTS);
        Self::read(&section, &SaidLimits::none())
    }

    /// Reads a job's own, over the defaults.
    pub(super) fn of_job(section: &Section<'_>, defaults: &Self) -> Self {
        let own = Self::read(section, &defaults.limits);
        Self {
            wait: own.wait.or(&defaults.wait),
            timeout: own.timeout.or(&defaults.timeout),
            ttl: own.ttl.or(&defaults.ttl),
            stop_margin: own.stop_margin.or(&defaults.stop_margin),
            retries: own.retries.or(&defaults.retries),
            restart: own.restart.or(&defaults.restart),
            allow: own.allow.or(&defaults.allow),
            limits: own.limits,
        }
    }

    fn read(section: &Section<'_>, limits: &SaidLimits) -> Self {
        Self {
            wait: section.take("wait", schedule::wait),
            timeout: section.take("timeout", |node| {
                read::duration(node, SHORTEST_TIMEOUT, LONGEST)
            }),
            ttl: section.take("ttl", ttl),
            stop_margin: section.take("stop_margin", |node| {
                read::duration(node, Duration::from_millis(1), LONGEST_TTL)
            }),
            retries: section.take("retries", |node| read::integer_u32(node, 0, u32::MAX)),
            restart: SaidRestart::read(section),
            allow: SaidAllow::read(section),
            limits: SaidLimits::read(section, limits),
        }
    }
}

fn ttl(node: &Node<'_>) -> Option<Duration> {
    let ttl = read::duration(node, SHORTEST_TTL, LONGEST_TTL)?;
    if ttl.subsec_nanos() == 0 {
        return Some(ttl);
    }
    node.reject(
        "must be whole seconds: leases are granted in them",
        format!("write \"{}s\" or \"{}s\"", ttl.as_secs(), ttl.as_secs() + 1),
    )
}
