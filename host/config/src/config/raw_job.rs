//! One table's values for a job, and the layering of an upper table over a lower one.
//!
//! The layers, from above: the job's own TOML (its table, or the sidecar of a dropped-in plugin),
//! the manifest in the plugin, `[defaults]`. The upper layer's value wins, key by key, also inside
//! `restart`, `history`, `limits` and `config`. Conflicts between values are found elsewhere.
//!
//! Keys that are a value and nothing more come from the table in `job`. The rest is listed here.

use std::collections::BTreeMap;
use std::ops::Range;
use std::time::Duration;

use toml::Spanned;

use super::guest::{self, ConfigEntries, KnownSecrets};
use super::history::RawHistory;
use super::job::RawSettings;
use super::limits::RawLimits;
use super::lock_value::{self, SpannedLocks};
use super::origin::{Layer, Origins};
use super::read;
use super::schedule::{RawRestart, RawSchedule};
use super::section::{Field, Section};
use super::source_map::SourceMap;
use super::timing::LONGEST_TTL;
use crate::allow::EnvValue;

/// Values that one table sets for a job.
#[derive(Clone, Debug)]
pub(super) struct RawJob {
    pub(super) settings: RawSettings,
    pub(super) lock: Field<SpannedLocks>,
    pub(super) schedule: RawSchedule,
    pub(super) stop_margin: Field<Duration>,
    pub(super) restart: RawRestart,
    pub(super) history: RawHistory,
    pub(super) env: Field<BTreeMap<String, EnvValue>>,
    pub(super) config: Field<ConfigEntries>,
    pub(super) limits: RawLimits,
}

impl RawJob {
    /// Reads the keys that tables of this kind may have. Secrets in `env` must be among `secrets`,
    /// if given.
    pub(super) fn read(section: &Section<'_>, secrets: Option<&KnownSecrets>) -> Self {
        Self {
            settings: RawSettings::read(section),
            lock: section.offer("lock", lock_value::locks),
            schedule: RawSchedule::read(section),
            stop_margin: section.offer("stop_margin", |node| {
                read::duration(node, Duration::from_millis(1), LONGEST_TTL)
            }),
            restart: RawRestart::read(section),
            history: RawHistory::read(section),
            env: section.offer("env", |node| guest::env(node, secrets)),
            config: section.offer("config", guest::config),
            limits: RawLimits::read(section),
        }
    }

    /// Takes each key that is absent here from `fallback`; `config` is merged key by key.
    pub(super) fn or(self, fallback: &Self) -> Self {
        Self {
            settings: self.settings.or(&fallback.settings),
            lock: self.lock.or(&fallback.lock),
            schedule: self.schedule.or(&fallback.schedule),
            stop_margin: self.stop_margin.or(&fallback.stop_margin),
            restart: self.restart.or(&fallback.restart),
            history: self.history.or(&fallback.history),
            env: self.env.or(&fallback.env),
            config: merged(self.config, &fallback.config),
            limits: self.limits.or(&fallback.limits),
        }
    }

    /// Visits each key with the position of its value.
    fn each(&self, visit: &mut dyn FnMut(String, Option<Range<usize>>)) {
        self.settings.each(visit);
        visit("lock".into(), self.lock.span());
        self.schedule.each(visit);
        visit("stop_margin".into(), self.stop_margin.span());
        visit("restart.min".into(), self.restart.min.span());
        visit("restart.max".into(), self.restart.max.span());
        visit("history.runs".into(), self.history.runs.span());
        visit("history.age".into(), self.history.age.span());
        visit("env".into(), self.env.span());
        if let Field::Value(entries) = &self.config {
            for (name, value) in entries.get_ref() {
                visit(format!("config.{name}"), Some(value.span()));
            }
        }
        for (key, amount) in self.limits.set() {
            visit(format!("limits.{key}"), Some(amount.span()));
        }
    }

    /// Returns the origin of every value: `defaults` if its position is there, else `table`.
    pub(super) fn origins(&self, defaults: &Self, table: &str, texts: &SourceMap) -> Origins {
        let mut inherited = Vec::new();
        defaults.each(&mut |_, span| inherited.extend(span));
        let mut origins = Origins::default();
        self.each(&mut |key, span| {
            let Some(span) = span else { return };
            if inherited.contains(&span) {
                origins.note(key, &span, Layer::Defaults, "defaults", texts);
            } else {
                origins.note(key, &span, Layer::Job, table, texts);
            }
        });
        origins
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
