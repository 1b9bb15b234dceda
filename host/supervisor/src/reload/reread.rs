//! Reading the configuration again: the changes, their log events, and the tables that need a restart.
//!
//! [host] and [store] of a running host never change.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::Reloader;
use super::watch::Wholeness;
use crate::event::{EventContext, EventKind, ReloadCounts};
use leasehold_config::fingerprint::ConfigFingerprint;
use leasehold_config::{Config, Job};

/// Longest time that a file is missing while an editor deletes and writes it anew.
const MISSING: Duration = Duration::from_secs(1);

/// State of configuration files that are missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum MissingConfig {
    /// Missing since this moment, perhaps because they are being replaced.
    Since(Instant),
    /// Missing, and that is logged.
    Logged,
}

impl Reloader {
    /// Reads the configuration again if it has changed or a reload was requested.
    pub(super) async fn reread(&mut self, asked: bool) {
        let path = self.config.path().to_owned();
        if self.config.is_piped() {
            if asked {
                self.log_refused_config(
                    "it came through a pipe, which can be read once\n  \
                     = help: write it into a file, and restart the host with that"
                        .into(),
                );
            }
            return;
        }
        let seen = ConfigFingerprint::of(&path);
        if !asked {
            if seen.is_none() {
                self.is_missing();
                return;
            }
            self.config_missing = None;
            if seen == self.config_seen {
                return;
            }
            if let (Some(watch), Some(seen)) = (&self.watch, &seen) {
                let waits =
                    seen.news(self.config_seen.as_ref())
                        .filter_map(|(file, fingerprint)| {
                            match watch.wholeness(file, &fingerprint) {
                                Wholeness::Whole => None,
                                Wholeness::NotYet(wait) => Some(wait),
                            }
                        });
                if let Some(wait) = waits.min() {
                    self.next_look = self.next_look.min(Instant::now() + wait);
                    return;
                }
            }
        }
        self.config_seen = seen;
        // Reading checks every named plugin, which takes too long for a worker that guests run on.
        let read = self.reload.read.clone();
        let read = match tokio::task::spawn_blocking(move || read()).await {
            Ok(read) => read,
            Err(error) => {
                tracing::error!(%error, "internal error while reading the configuration");
                return;
            }
        };
        match read {
            Ok(config) => {
                if asked || config != *self.config {
                    self.log_reloaded(&config);
                }
                // Also when its own jobs are the same: the policy for dropped-in ones may differ.
                self.config = Arc::new(config);
            }
            Err(report) => self.log_refused_config(report.while_running()),
        }
    }

    fn log_refused_config(&self, error: String) {
        self.maker
            .event_log
            .emit(EventContext::default(), EventKind::ConfigRefused { error });
    }

    /// Records that the configuration's files are missing, and logs it once it has lasted.
    fn is_missing(&mut self) {
        let now = Instant::now();
        match self.config_missing {
            Some(MissingConfig::Logged) => {}
            Some(MissingConfig::Since(since)) if now.duration_since(since) >= MISSING => {
                self.config_missing = Some(MissingConfig::Logged);
                let file = self.config.path().display().to_string();
                self.maker
                    .event_log
                    .emit(EventContext::default(), EventKind::ConfigGone { file });
            }
            Some(MissingConfig::Since(_)) => self.next_look = self.next_look.min(now + MISSING / 4),
            None => {
                self.config_missing = Some(MissingConfig::Since(now));
                self.next_look = self.next_look.min(now + MISSING / 4);
            }
        }
    }

    fn log_reloaded<'a>(&'a self, config: &'a Config) {
        let by_name = |config: &'a Config| -> HashMap<&'a str, &'a Job> {
            config.jobs().iter().map(|job| (job.name(), job)).collect()
        };
        let (old, new) = (by_name(&self.config), by_name(config));
        let added = new.keys().filter(|name| !old.contains_key(*name)).count();
        let removed = old.keys().filter(|name| !new.contains_key(*name)).count();
        let changed = new
            .iter()
            .filter(|(name, job)| old.get(*name).is_some_and(|old| old != *job))
            .count();
        self.maker.event_log.emit(
            EventContext::default(),
            EventKind::ConfigReloaded(ReloadCounts {
                added,
                changed,
                removed,
                restart: self.needs_restart(config),
            }),
        );
    }

    /// Returns the tables of a new configuration that take effect only after a restart.
    fn needs_restart(&self, config: &Config) -> Option<String> {
        let old = &self.started_with;
        let tables = [
            ("[host]", old.host() != config.host()),
            ("[store]", old.store() != config.store()),
            ("[notify]", old.notify() != config.notify()),
            ("[otlp]", old.otlp() != config.otlp()),
            (
                "[plugins]",
                old.plugins().is_some() != config.plugins().is_some(),
            ),
        ];
        let changed: Vec<&str> = tables
            .iter()
            .filter_map(|(table, differs)| differs.then_some(*table))
            .collect();
        (!changed.is_empty()).then(|| {
            format!(
                "{} changed, which needs a restart of the host",
                changed.join(" and ")
            )
        })
    }
}
