//! Loading the versions of items whose files have changed.

use std::time::{Duration, SystemTime};

use leasehold_config::plugin_file::sidecar;
use tokio::time::Instant;

use super::source::{JobSource, SeenFiles, SourceFiles, SourceKey};
use super::version::{self, Version, VersionRefusal};
use super::watch::{Watch, Wholeness};
use super::{LOOK_EVERY, Reloader};
use crate::event::{EventContext, EventKind};

/// Time that a plugin which looks unfinished has, from its last change, to become whole.
const UNFINISHED: Duration = Duration::from_secs(1);

impl Reloader {
    /// Starts loading the items whose files have changed.
    pub(super) fn start_loading(&mut self) {
        let mut soonest = LOOK_EVERY;
        for (key, item) in &mut self.items {
            let seen = item.source.look();
            if item.loading || item.seen == Some(seen) {
                continue;
            }
            if seen.plugin.is_none() && item.version.is_some() && item.seen.is_some() {
                // A configured plugin that is missing for now: the loaded version stays.
                item.seen = Some(seen);
                continue;
            }
            if let Wholeness::NotYet(wait) = wholeness(self.watch.as_ref(), item, &seen) {
                soonest = soonest.min(wait);
                continue;
            }
            let Some(tasks) = self.loads.room_for(&seen) else {
                // The end of a load starts the next one.
                continue;
            };
            item.loading = true;
            let (key, source, runtime) = (key.clone(), item.source.clone(), self.runtime.clone());
            tasks.spawn(async move {
                let made = match &source {
                    SourceFiles::Configured(job) => version::configured(&runtime, job).await,
                    SourceFiles::Dropped(config, path) => {
                        version::dropped(&runtime, config, path).await
                    }
                };
                (key, seen, made)
            });
        }
        self.next_look = self.next_look.min(Instant::now() + soonest);
    }

    /// Applies the result of loading an item.
    pub(super) async fn loaded(
        &mut self,
        key: &SourceKey,
        seen: SeenFiles,
        made: Result<Version, VersionRefusal>,
    ) {
        let Some(item) = self.items.get_mut(key) else {
            return;
        };
        item.loading = false;
        match made {
            Ok(version) => {
                item.seen = Some(seen);
                item.version = Some(version);
                item.told = None;
                self.reconcile().await;
            }
            // The next check loads it again.
            Err(VersionRefusal::Changing) => {}
            Err(VersionRefusal::Unfinished(_)) if is_young(&seen) => {
                self.next_look = self.next_look.min(Instant::now() + UNFINISHED / 4);
            }
            Err(refusal) => {
                item.seen = Some(seen);
                self.log_refused(key, refusal.text());
            }
        }
    }

    /// Logs the refusal of an item, once for each text.
    pub(super) fn log_refused(&mut self, key: &SourceKey, error: String) {
        let Some(item) = self.items.get_mut(key) else {
            return;
        };
        if item.told.as_ref() == Some(&error) {
            return;
        }
        item.told = Some(error.clone());
        let told = EventKind::PluginRefused {
            file: item.source.plugin().display().to_string(),
            error,
            kept: self.active.holds(key),
        };
        self.maker.event_log.emit(EventContext::default(), told);
    }
}

fn is_young(seen: &SeenFiles) -> bool {
    let now = SystemTime::now();
    [seen.plugin, seen.sidecar]
        .into_iter()
        .flatten()
        .any(|fingerprint| fingerprint.age(now) < UNFINISHED)
}

/// Judges from the files of an item whether they can be loaded now.
fn wholeness(watch: Option<&Watch>, item: &JobSource, seen: &SeenFiles) -> Wholeness {
    let plugin = item.source.plugin();
    let files = [
        (plugin.to_owned(), seen.plugin),
        (sidecar(plugin), seen.sidecar),
    ];
    for (path, fingerprint) in &files {
        let (Some(watch), Some(fingerprint)) = (watch, fingerprint) else {
            continue;
        };
        if let wait @ Wholeness::NotYet(_) = watch.wholeness(path, fingerprint) {
            return wait;
        }
    }
    Wholeness::Whole
}
