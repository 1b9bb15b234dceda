//! The reloader: reads which jobs a running host should run from its files, and sends the changes to the
//! supervisor.
//!
//! ```text
//! kernel's hint ─┐
//! SIGHUP ────────┼─▶ check the files ──▶ load what changed ─▶ reconcile: one owner for each name and
//! now and then ──┘    (fingerprints)        (a task each)        lock ─▶ changes ─▶ supervisor
//! ```
//!
//! # Guarantees
//!
//! - No running guest and no waiting job ever waits for the reloader. Versions are read, checked and compiled in
//!   tasks, and a version handed over is ready to run.
//! - A file that cannot be used is logged once, and the version before it stays.
//! - Of two sources that define the same job name, or locks inside one another, the older one stays. The
//!   configuration's own jobs have precedence over the folder's.
//!
//! This module never stops a guest: it sends the desired jobs, and the supervisor decides when they take effect.

mod loading;
mod reconcile;
mod reread;
mod source;
mod tasks;
mod version;
mod watch;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use leasehold_records::HostRecord;
use tokio::sync::{Notify, mpsc};
use tokio::time::{Instant, sleep_until};

use crate::applied::{Applied, JobInForce};
use crate::event::{EventContext, EventKind};
use crate::file_digest::files_digest;
use crate::job::context::JobContextMaker;
use crate::prepare::Prepared;
use crate::supervisor::JobChange;
use leasehold_config::fingerprint::ConfigFingerprint;
use leasehold_config::plugin_file::list;
use leasehold_config::{Config, Report};
use leasehold_runtime::Runtime;
use reconcile::ActiveJobs;
use reread::MissingConfig;
use source::{JobSource, SeenFiles, SourceFiles, SourceKey};
use tasks::LoadTasks;
use version::Version;
use watch::Watch;

/// Interval between checks of the files where the kernel gives no hint.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// Handles by which a host is notified of changes.
#[derive(Clone)]
pub struct Reload {
    /// Reads the configuration again, as the host read it when it started.
    pub read: Arc<dyn Fn() -> Result<Config, Report> + Send + Sync>,
    /// Notified to have the configuration read again now.
    pub trigger: Arc<Notify>,
}

/// Keeps a host's jobs in line with its files.
pub(crate) struct Reloader {
    reload: Reload,
    /// The host's own record.
    record: HostRecord,
    maker: JobContextMaker,
    runtime: Arc<Runtime>,
    changes: mpsc::Sender<JobChange>,
    /// The configuration in force, except [host] and [store], which stay as they were at the start.
    config: Arc<Config>,
    started_with: Arc<Config>,
    config_seen: Option<ConfigFingerprint>,
    /// Time since which the configuration's files have been missing, and a mark once that is logged.
    config_missing: Option<MissingConfig>,
    items: BTreeMap<SourceKey, JobSource>,
    active: ActiveJobs,
    loads: LoadTasks,
    watch: Option<Watch>,
    next_look: Instant,
    /// True if jobs are in force that are not written for `check --diff`.
    unwritten: bool,
    /// The last error of the plugins' folder that was logged.
    folder_fault: Option<String>,
}

impl Reloader {
    /// Creates the reloader of a host that starts with these prepared jobs.
    pub(crate) fn new(
        prepared: Prepared,
        reload: Reload,
        record: HostRecord,
        maker: JobContextMaker,
        changes: mpsc::Sender<JobChange>,
    ) -> Self {
        let mut items = BTreeMap::new();
        let mut active = ActiveJobs::default();
        let config = Arc::new(prepared.config);
        for (job, loaded) in config.jobs().iter().zip(prepared.plugins) {
            let key = SourceKey::Configured(job.name().to_owned());
            let version = Version {
                job: job.clone(),
                plugin: loaded.plugin,
            };
            active.began_with(key.clone(), &version);
            let mut item = JobSource::new(SourceFiles::Configured(Box::new(job.clone())));
            item.seen = Some(SeenFiles {
                plugin: loaded.fingerprint,
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
            config_seen: prepared.config_fingerprint,
            config_missing: None,
            started_with: config.clone(),
            config,
            items,
            active,
            loads: LoadTasks::default(),
            watch: None,
            next_look: Instant::now(),
            unwritten: false,
            folder_fault: None,
        }
    }

    /// Runs until the host drops it.
    pub(crate) async fn run(mut self) {
        match Watch::new() {
            Ok(watch) => self.watch = Some(watch),
            // The files are still checked at intervals.
            Err(error) => tracing::warn!(%error, "changes of files are noticed late: no inotify"),
        }
        self.unwritten = true;
        let mut asked = false;
        loop {
            self.look(asked).await;
            asked = false;
            // Written once after many changes in a row.
            if self.unwritten && self.loads.is_empty() {
                self.write_applied().await;
            }
            tokio::select! {
                () = hint(self.watch.as_mut()) => {}
                () = self.reload.trigger.notified() => asked = true,
                Some(done) = self.loads.join_next() => match done {
                    Ok((key, seen, made)) => self.loaded(&key, seen, made).await,
                    Err(error) => tracing::error!(%error, "internal error while loading a plugin"),
                },
                () = sleep_until(self.next_look) => {}
            }
        }
    }

    /// Checks all files, and starts loading those that have changed.
    async fn look(&mut self, asked: bool) {
        self.next_look = Instant::now() + LOOK_EVERY;
        self.reread(asked).await;
        let wanted = self.wanted();
        let gone: Vec<SourceKey> = self
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
                .or_insert_with(|| JobSource::new(source.clone()));
            if !item.source.is_like(&source) {
                item.source = source;
                item.seen = None;
            }
        }
        if let Some(watch) = &mut self.watch {
            watch.watch_only(&folders);
        }
        if is_less {
            self.reconcile().await;
        }
        self.start_loading();
    }

    /// Writes the jobs in force, for `check --diff`.
    async fn write_applied(&mut self) {
        self.unwritten = false;
        let standing = self.active.versions().map(|version| JobInForce {
            job: &version.job,
            sha256: &version.plugin.facts().sha256,
        });
        let applied = Applied::now(&self.started_with, standing);
        let started_with = self.started_with.clone();
        let written = tokio::task::spawn_blocking(move || applied.write(&started_with)).await;
        if let Ok(Err(error)) = written {
            tracing::warn!(%error, "`leasehold check --diff` will not show this change: data_dir cannot be written");
        }
    }

    /// Returns all sources of jobs that should be in force.
    fn wanted(&mut self) -> BTreeMap<SourceKey, SourceFiles> {
        let configured = self.config.jobs().iter().map(|job| {
            let key = SourceKey::Configured(job.name().to_owned());
            (key, SourceFiles::Configured(Box::new(job.clone())))
        });
        let mut wanted: BTreeMap<SourceKey, SourceFiles> = configured.collect();
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
                        SourceKey::Dropped(path) => Some(path.clone()),
                        SourceKey::Configured(_) => None,
                    })
                    .collect()
            }
        };
        for path in files {
            let source = SourceFiles::Dropped(self.config.clone(), path.clone());
            wanted.insert(SourceKey::Dropped(path), source);
        }
        self.note_folder(fault);
        wanted
    }

    /// Logs an error of the plugins' folder when it differs from the last one.
    fn note_folder(&mut self, fault: Option<String>) {
        if let (Some(error), Some(plugins)) = (&fault, self.config.plugins())
            && self.folder_fault != fault
        {
            let refused = EventKind::PluginRefused {
                file: plugins.dir().display().to_string(),
                error: error.clone(),
                kept: true,
            };
            self.maker.event_log.emit(EventContext::default(), refused);
        }
        self.folder_fault = fault;
    }

    /// Decides which versions are in force, and sends the changes to the supervisor.
    async fn reconcile(&mut self) {
        let (steps, refused) = self.active.step(&self.items);
        for (key, error) in refused {
            self.log_refused(&key, error);
        }
        if steps.is_empty() {
            return;
        }
        for step in steps {
            let change = match step {
                reconcile::Step::Set(version, why) => {
                    let context = self.maker.make(version.job, version.plugin);
                    JobChange::Set(Box::new(context), why)
                }
                reconcile::Step::Remove(name) => JobChange::Remove(name.into()),
            };
            if self.changes.send(change).await.is_err() {
                return; // The host is ending.
            }
        }
        self.record.jobs = self.active.names();
        self.record.files = files_digest(self.active.versions().map(|version| {
            let sha256 = version.plugin.facts().sha256.as_str();
            (&version.job, sha256)
        }));
        self.maker.record_writer.host(self.record.clone());
        self.unwritten = true;
    }
}

/// Returns the folder to watch for changes of the configuration; `None` for one that came through a pipe.
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

async fn hint(watch: Option<&mut Watch>) {
    match watch {
        Some(watch) => {
            if let Err(error) = watch.changed().await {
                tracing::warn!(%error, "no more notifications of changed files");
                std::future::pending::<()>().await;
            }
        }
        None => std::future::pending().await,
    }
}
