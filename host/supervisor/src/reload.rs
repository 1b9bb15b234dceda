//! The reloader: what a running host should run, as its files say, and the changes that lead there.
//!
//! ```text
//! kernel's hint ─┐
//! SIGHUP ────────┼─▶ look at the files ─▶ load what changed ─▶ settle: who may have which name and
//! now and then ──┘        (stamps)          (a task each)        lock ─▶ changes ─▶ supervisor
//! ```
//!
//! # Guarantees
//!
//! - Nothing that runs or waits for a lock ever waits for this: versions are read, checked and compiled in
//!   tasks, and what is handed over is ready to run.
//! - A file that cannot be used is told once, and the version before it stays.
//! - Of two sources that want the same job name, or locks inside one another, the one that was there
//!   first stays; the configuration's own jobs come before the folder's.
//!
//! This module must never stop a guest: it says what should be, and the supervisor knows when.

mod item;
mod reread;
mod settle;
mod version;
mod watch;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use leasehold_records::HostRecord;
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use crate::applied::{Applied, Standing};
use crate::event::{About, What};
use crate::job::bench::BenchMaker;
use crate::prepare::Prepared;
use crate::supervisor::Change;
use item::{Item, Key, Seen, Source};
use leasehold_config::fingerprint::ConfigStamp;
use leasehold_config::plugin_file::{list, sidecar};
use leasehold_config::{Config, Report};
use leasehold_runtime::Runtime;
use reread::Missing;
use settle::Settled;
use version::{Refusal, Version};
use watch::{Watch, Wholeness};

/// How often files are looked at where the kernel gives no hint.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// A plugin that looks unfinished is given this long, from its last change, to become whole.
const UNFINISHED: Duration = Duration::from_secs(1);
/// Versions made at the same time; the runtime itself compiles fewer.
const TASKS: usize = 4;

/// How a host learns of changes.
#[derive(Clone)]
pub struct Reload {
    /// Reads the configuration again, as the host read it when it started.
    pub read: Arc<dyn Fn() -> Result<Config, Report> + Send + Sync>,
    /// Rung to have it read again now.
    pub bell: Arc<Notify>,
}

/// Keeps a host's jobs as its files say.
pub(crate) struct Reloader {
    reload: Reload,
    /// What the host says of itself.
    record: HostRecord,
    maker: BenchMaker,
    runtime: Arc<Runtime>,
    changes: mpsc::Sender<Change>,
    /// In force, but for [host] and [store], which stay as they were at the start.
    config: Arc<Config>,
    started_with: Arc<Config>,
    config_seen: Option<ConfigStamp>,
    /// Since when the configuration's files have been missing, and whether that was logged.
    config_missing: Option<Missing>,
    items: BTreeMap<Key, Item>,
    settled: Settled,
    loads: JoinSet<(Key, Seen, Result<Version, Refusal>)>,
    watch: Option<Watch>,
    next_look: Instant,
    /// Whether something is in force that `check --diff` does not know of.
    unwritten: bool,
    /// The last fault of the plugins' folder that was logged.
    folder_fault: Option<String>,
}

impl Reloader {
    /// For a host that starts with what was prepared.
    pub(crate) fn new(
        prepared: Prepared,
        reload: Reload,
        record: HostRecord,
        maker: BenchMaker,
        changes: mpsc::Sender<Change>,
    ) -> Self {
        let mut items = BTreeMap::new();
        let mut settled = Settled::default();
        let config = Arc::new(prepared.config);
        for (job, loaded) in config.jobs().iter().zip(prepared.plugins) {
            let key = Key::Configured(job.name().to_owned());
            let version = Version {
                job: job.clone(),
                plugin: loaded.plugin,
            };
            settled.began_with(key.clone(), &version);
            let mut item = Item::new(Source::Configured(Box::new(job.clone())));
            item.seen = Some(Seen {
                plugin: loaded.stamp,
                sidecar: None,
            });
            item.version = Some(version);
            items.insert(key, item);
        }
        Self {
            reload,
            record,
            maker,
            runtime: prepared.runtime,
            changes,
            config_seen: prepared.config_stamp,
            config_missing: None,
            started_with: config.clone(),
            config,
            items,
            settled,
            loads: JoinSet::new(),
            watch: None,
            next_look: Instant::now(),
            unwritten: false,
            folder_fault: None,
        }
    }

    /// Runs until the host ends it.
    pub(crate) async fn run(mut self) {
        match Watch::new() {
            Ok(watch) => self.watch = Some(watch),
            // The files are still looked at now and then.
            Err(error) => tracing::warn!(%error, "changes of files are noticed late: no inotify"),
        }
        self.unwritten = true;
        let mut asked = false;
        loop {
            self.look(asked).await;
            asked = false;
            // Not for each of many changes in a row.
            if self.unwritten && self.loads.is_empty() {
                self.write_applied().await;
            }
            tokio::select! {
                () = hint(self.watch.as_mut()) => {}
                () = self.reload.bell.notified() => asked = true,
                Some(done) = self.loads.join_next() => match done {
                    Ok((key, seen, made)) => self.made(&key, seen, made).await,
                    Err(error) => tracing::error!(%error, "loading a plugin failed inside"),
                },
                () = sleep_until(self.next_look) => {}
            }
        }
    }

    /// Looks at all files, and starts loading what has changed.
    async fn look(&mut self, asked: bool) {
        self.next_look = Instant::now() + LOOK_EVERY;
        self.reread(asked).await;
        let wanted = self.wanted();
        let gone: Vec<Key> = self
            .items
            .keys()
            .filter(|key| !wanted.contains_key(key))
            .cloned()
            .collect();
        let is_less = !gone.is_empty();
        for key in gone {
            self.items.remove(&key);
        }
        let mut folders: BTreeSet<PathBuf> = config_folder(&self.config).into_iter().collect();
        folders.extend(
            self.config
                .plugins()
                .map(|plugins| plugins.dir().to_owned()),
        );
        for (key, source) in wanted {
            folders.insert(folder_of(source.plugin()));
            let item = self
                .items
                .entry(key)
                .or_insert_with(|| Item::new(source.clone()));
            if !item.source.is_like(&source) {
                item.source = source;
                item.seen = None;
            }
        }
        if let Some(watch) = &mut self.watch {
            watch.watch_only(&folders);
        }
        if is_less {
            self.settle().await;
        }
        self.start_loading();
    }

    fn start_loading(&mut self) {
        let mut soonest = LOOK_EVERY;
        for (key, item) in &mut self.items {
            if self.loads.len() >= TASKS {
                // The next one that is done looks again.
                break;
            }
            let seen = item.source.look();
            if item.loading || item.seen == Some(seen) {
                continue;
            }
            if seen.plugin.is_none() && item.version.is_some() && item.seen.is_some() {
                // A configured plugin that is gone for now: what was loaded stays.
                item.seen = Some(seen);
                continue;
            }
            if let Wholeness::NotYet(wait) = wholeness(self.watch.as_ref(), item, &seen) {
                soonest = soonest.min(wait);
                continue;
            }
            item.loading = true;
            let (key, source, runtime) = (key.clone(), item.source.clone(), self.runtime.clone());
            self.loads.spawn(async move {
                let made = match &source {
                    Source::Configured(job) => version::configured(&runtime, job).await,
                    Source::Dropped(config, path) => version::dropped(&runtime, config, path).await,
                };
                (key, seen, made)
            });
        }
        self.next_look = self.next_look.min(Instant::now() + soonest);
    }

    /// Takes in what came of loading an item.
    async fn made(&mut self, key: &Key, seen: Seen, made: Result<Version, Refusal>) {
        let Some(item) = self.items.get_mut(key) else {
            return;
        };
        item.loading = false;
        match made {
            Ok(version) => {
                item.seen = Some(seen);
                item.version = Some(version);
                item.told = None;
                self.settle().await;
            }
            // The next look starts over.
            Err(Refusal::Changing) => {}
            Err(Refusal::Unfinished(_)) if is_young(&seen) => {
                self.next_look = self.next_look.min(Instant::now() + UNFINISHED / 4);
            }
            Err(refusal) => {
                item.seen = Some(seen);
                self.tell_refused(key, refusal.text());
            }
        }
    }

    fn tell_refused(&mut self, key: &Key, error: String) {
        let Some(item) = self.items.get_mut(key) else {
            return;
        };
        if item.told.as_ref() == Some(&error) {
            return;
        }
        item.told = Some(error.clone());
        let told = What::PluginRefused {
            file: item.source.plugin().display().to_string(),
            error,
            kept: self.settled.holds(key),
        };
        self.maker.timeline.say(About::default(), told);
    }

    /// Writes down what is in force, for `check --diff`.
    async fn write_applied(&mut self) {
        self.unwritten = false;
        let standing = self.settled.versions().map(|version| Standing {
            job: &version.job,
            sha256: &version.plugin.facts().sha256,
        });
        let applied = Applied::now(&self.started_with, standing);
        let started_with = self.started_with.clone();
        let written = tokio::task::spawn_blocking(move || applied.write(&started_with)).await;
        if let Ok(Err(error)) = written {
            tracing::warn!(%error, "`leasehold check --diff` will not know of this: the data_dir takes no file");
        }
    }

    /// All sources of jobs that there should be.
    fn wanted(&mut self) -> BTreeMap<Key, Source> {
        let configured = self.config.jobs().iter().map(|job| {
            let key = Key::Configured(job.name().to_owned());
            (key, Source::Configured(Box::new(job.clone())))
        });
        let mut wanted: BTreeMap<Key, Source> = configured.collect();
        let read = self.config.plugins().map(|plugins| list(plugins.dir()));
        let fault = read.as_ref().and_then(|read| read.as_ref().err()).cloned();
        // A folder that cannot be read right now changes nothing.
        let files = match read {
            None => Vec::new(),
            Some(Ok(files)) => files,
            Some(Err(_)) => {
                let known = self.items.keys();
                known
                    .filter_map(|key| match key {
                        Key::Dropped(path) => Some(path.clone()),
                        Key::Configured(_) => None,
                    })
                    .collect()
            }
        };
        for path in files {
            let source = Source::Dropped(self.config.clone(), path.clone());
            wanted.insert(Key::Dropped(path), source);
        }
        self.note_folder(fault);
        wanted
    }

    /// Logs a fault of the plugins' folder when it is another than before.
    fn note_folder(&mut self, fault: Option<String>) {
        if let (Some(error), Some(plugins)) = (&fault, self.config.plugins())
            && self.folder_fault != fault
        {
            let refused = What::PluginRefused {
                file: plugins.dir().display().to_string(),
                error: error.clone(),
                kept: true,
            };
            self.maker.timeline.say(About::default(), refused);
        }
        self.folder_fault = fault;
    }

    /// Decides which versions are in force, and has the supervisor follow.
    async fn settle(&mut self) {
        let (steps, refused) = self.settled.step(&self.items);
        for (key, error) in refused {
            self.tell_refused(&key, error);
        }
        if steps.is_empty() {
            return;
        }
        for step in steps {
            let change = match step {
                settle::Step::Set(version, why) => {
                    let bench = self.maker.bench(version.job, version.plugin);
                    Change::Set(Box::new(bench), why)
                }
                settle::Step::Remove(name) => Change::Remove(name.into()),
            };
            if self.changes.send(change).await.is_err() {
                return; // The host is ending.
            }
        }
        let names = self.settled.names();
        self.record.jobs = names;
        self.maker.journal.host(self.record.clone());
        self.unwritten = true;
    }
}

/// The folder to watch for changes of the configuration; none for one that came through a pipe.
fn config_folder(config: &Config) -> Option<PathBuf> {
    let path = config.path();
    if config.is_piped() {
        None
    } else if path.is_dir() {
        Some(path.to_owned())
    } else {
        Some(folder_of(path))
    }
}

fn folder_of(path: &Path) -> PathBuf {
    match path.parent() {
        Some(parent) if parent != Path::new("") => parent.to_owned(),
        _ => PathBuf::from("."),
    }
}

fn is_young(seen: &Seen) -> bool {
    let now = SystemTime::now();
    [seen.plugin, seen.sidecar]
        .into_iter()
        .flatten()
        .any(|stamp| stamp.age(now) < UNFINISHED)
}

/// Whether the files of an item can be taken as they are.
fn wholeness(watch: Option<&Watch>, item: &Item, seen: &Seen) -> Wholeness {
    let plugin = item.source.plugin();
    let files = [
        (plugin.to_owned(), seen.plugin),
        (sidecar(plugin), seen.sidecar),
    ];
    for (path, stamp) in &files {
        let (Some(watch), Some(stamp)) = (watch, stamp) else {
            continue;
        };
        if let wait @ Wholeness::NotYet(_) = watch.wholeness(path, stamp) {
            return wait;
        }
    }
    Wholeness::Whole
}

async fn hint(watch: Option<&mut Watch>) {
    match watch {
        Some(watch) => {
            if let Err(error) = watch.changed().await {
                tracing::warn!(%error, "cannot hear of changes");
                std::future::pending::<()>().await;
            }
        }
        None => std::future::pending().await,
    }
}
