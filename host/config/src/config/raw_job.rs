//! One table's values for a job, and the layering of an upper table over a lower one.
//!
//! The layers, from above: the job's own TOML (its table, or the sidecar of a dropped-in plugin),
//! the manifest in the plugin, `[defaults]`. Conflicts between values are found elsewhere.

use std::collections::BTreeMap;
use std::ops::Range;

use toml::Spanned;

use super::guest::{self, ConfigEntries, KnownSecrets};
use super::lockname;
use super::policy::Policy;
use super::read;
use super::schedule::RawSchedule;
use super::section::{Field, Section};
use crate::allow::EnvValue;

/// Values that one table sets for a job.
#[derive(Clone, Debug)]
pub(super) struct RawJob {
    pub(super) sha256: Field<[u8; 32]>,
    pub(super) lock: Field<String>,
    pub(super) schedule: RawSchedule,
    pub(super) args: Field<Vec<String>>,
    pub(super) env: Field<BTreeMap<String, EnvValue>>,
    pub(super) config: Field<ConfigEntries>,
    pub(super) policy: Policy,
}

impl RawJob {
    /// Reads the keys that tables of this kind may have. Secrets in `env` must be among `secrets`,
    /// if given.
    pub(super) fn read(section: &Section<'_>, secrets: Option<&KnownSecrets>) -> Self {
        Self {
            sha256: section.offer("sha256", read::sha256),
            lock: section.offer("lock", lockname::lock),
            schedule: RawSchedule::read(section),
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
        if let Field::Value(entries) = &self.config {
            for (name, value) in entries.get_ref() {
                visit(format!("config.{name}"), Some(value.span()));
            }
        }
        self.policy.each(visit);
    }
}

fn merged(upper: Field<ConfigEntries>, lower: &Field<ConfigEntries>) -> Field<ConfigEntries> {
    match (upper, lower) {
        (Field::Value(upper), Field::Value(lower)) => {
            let place = upper.span();
            let entries = guest::merge(upper.into_inner(), lower.get_ref());
            Field::Value(Spanned::new(place, entries))
        }
        (Field::Value(_), Field::Invalid) => Field::Invalid,
        (upper, lower) => upper.or(lower),
    }
}
