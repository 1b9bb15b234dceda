//! Reading the configuration again: what changed, what is told, and what only a restart brings into force.
//!
//! Must never change [host] or [store] of a running host.

use std::sync::Arc;

use tokio::time::Instant;

use super::Reloader;
use super::stamp::Stamp;
use super::watch::Wholeness;
use crate::config::{Config, Job};
use crate::event::{About, What};

impl Reloader {
    /// Reads the configuration again if it has changed or somebody asked.
    pub(super) async fn reread(&mut self, asked: bool) {
        let path = self.config.path().to_owned();
        let seen = Stamp::of(&path);
        if !asked {
            if seen == self.config_seen || seen.is_none() {
                return;
            }
            if let (Some(watch), Some(seen)) = (&self.watch, &seen)
                && let Wholeness::NotYet(wait) = watch.wholeness(&path, seen)
            {
                self.next_look = self.next_look.min(Instant::now() + wait);
                return;
            }
        }
        self.config_seen = seen;
        // It looks into every plugin that is named, which is not for a worker that guests run on.
        let read = self.reload.read.clone();
        let read = match tokio::task::spawn_blocking(move || read()).await {
            Ok(read) => read,
            Err(error) => {
                tracing::error!(%error, "reading the configuration failed inside");
                return;
            }
        };
        match read {
            Ok(config) => {
                if asked || config != *self.config {
                    self.tell_reloaded(&config);
                }
                // Also when its own jobs are the same: what holds for dropped-in ones may not be.
                self.config = Arc::new(config);
            }
            Err(report) => {
                let error = report.to_string();
                self.maker
                    .timeline
                    .say(About::default(), What::ConfigRefused { error });
            }
        }
    }

    fn tell_reloaded(&self, config: &Config) {
        let (old, new) = (self.config.jobs(), config.jobs());
        let named = |jobs: &[Job], job: &Job| {
            jobs.iter()
                .find(|other| other.name() == job.name())
                .cloned()
        };
        let added = new.iter().filter(|job| named(old, job).is_none()).count();
        let removed = old.iter().filter(|job| named(new, job).is_none()).count();
        let changed = new
            .iter()
            .filter(|job| named(old, job).is_some_and(|old| old != **job))
            .count();
        self.maker.timeline.say(
            About::default(),
            What::ConfigReloaded {
                added,
                changed,
                removed,
                restart: self.needs_restart(config),
            },
        );
    }

    /// What of a new configuration only a restart brings into force.
    fn needs_restart(&self, config: &Config) -> Option<String> {
        let old = &self.started_with;
        let tables = [
            ("[host]", old.host() != config.host()),
            ("[store]", old.store() != config.store()),
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
