//! One table's values for a job, and the layering of an upper table over a lower one.
//!
//! The layers, from above: the job's own TOML (its table, or the sidecar of a dropped-in plugin),
//! the manifest in the plugin, `[defaults]`. Conflicts between values are found elsewhere.

use std::collections::BTreeMap;
use std::ops::Range;

use toml::Spanned;

use super::guest::{self, Entries, Known};
use super::job;
use super::lockname;
use super::policy::Policy;
use super::schedule::SaidSchedule;
use super::section::{Said, Section};
use crate::allow::EnvValue;

/// Values that one table sets for a job.
#[derive(Clone, Debug)]
pub(super) struct SaidJob {
    pub(super) sha256: Said<[u8; 32]>,
    pub(super) lock: Said<String>,
    pub(super) schedule: SaidSchedule,
    pub(super) args: Said<Vec<String>>,
    pub(super) env: Said<BTreeMap<String, EnvValue>>,
    pub(super) config: Said<Entries>,
    pub(super) policy: Policy,
}

impl SaidJob {
    /// Reads the keys that tables of this kind may have. Secrets in `env` must be among `secrets`,
    /// if given.
    pub(super) fn read(section: &Section<'_>, secrets: Option<&Known>) -> Self {
        Self {
            sha256: section.offer("sha256", job::sha256),
            lock: section.offer("lock", lockname::lock),
            schedule: SaidSchedule::read(section),
            args: section.offer("args", guest::args),
            env: section.offer("env", |node| guest::env(node, secrets)),
            config: section.offer("config", guest::config),
            policy: Policy::read(section),
        }
    }

    /// Takes each key that is absent here from `fallback`; `config` is merged key by key.
    pub(super) fn or(self, fallback: &Self) -> Self {
        Self {
            sha256: self.sha256.or(&fallback.sha256),
            lock: self.lock.or(&fallback.lock),
            schedule: self.schedule.or(&fallback.schedule),
            args: self.args.or(&fallback.args),
            env: self.env.or(&fallback.env),
            config: merged(self.config, &fallback.config),
            policy: self.policy.or(&fallback.policy),
        }
    }

    /// Visits each key with the position of its value.
    pub(super) fn each(&self, visit: &mut dyn FnMut(String, Option<Range<usize>>)) {
        visit("sha256".into(), self.sha256.span());
        visit("lock".into(), self.lock.span());
        self.schedule.each(visit);
        visit("args".into(), self.args.span());
        visit("env".into(), self.env.span());
        if let Said::This(entries) = &self.config {
            for (name, value) in entries.get_ref() {
                visit(format!("config.{name}"), Some(value.span()));
            }
        }
        self.policy.each(visit);
    }
}

fn merged(upper: Said<Entries>, lower: &Said<Entries>) -> Said<Entries> {
    match (upper, lower) {
        (Said::This(upper), Said::This(lower)) => {
            let place = upper.span();
            let entries = guest::merge(upper.into_inner(), lower.get_ref());
            Said::This(Spanned::new(place, entries))
        }
        (Said::This(_), Said::Wrong) => Said::Wrong,
        (upper, lower) => upper.or(lower),
    }
}
