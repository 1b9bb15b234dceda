//! One host: from the connection to running jobs and an orderly shutdown.
//!
//! Several may run in one process; they share nothing but what they are given.

mod services;

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use leasehold_lock::{Backoff, Clock, ConnectOptions, Locks};
use leasehold_records::{HostRecord, Progress, Root, printable};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use crate::claim::IdClaim;
use crate::connect::connect;
use crate::end::{HostEnd, HostError};
use crate::event::{EventContext, EventKind};
use crate::event_log::EventLog;
use crate::file_digest::files_digest;
use crate::identity::HostIdentity;
use crate::job::context::JobContextMaker;
use crate::load_events::LoadEvents;
use crate::output::{CutOffOutput, find_cut_off};
use crate::prepare::Prepared;
use crate::quarantine::{CrashedRun, Quarantine};
use crate::record_writer::RecordWriter;
use crate::reload::{Reload, Reloader};
use crate::shutdown::{Shutdown, cut_short};
use crate::stage::{HostStage, StageSink};
use crate::supervisor::Supervisor;
use leasehold_config::Job;
use leasehold_config::wall::UnixMs;
use leasehold_config::wall::{SystemWall, WallClock as _};
use services::{HostServices, HostStore, ServiceHandles, record_store, take_output};

/// TTL of the lease of a host's records if it has no job to take one from.
const RECORDS_TTL: Duration = Duration::from_secs(10);

/// Number of job changes that may wait for the supervisor; the reloader waits when it is behind.
const CHANGES: usize = 16;

/// Parts from which a host is made.
pub struct Host {
    /// Configuration and plugins, checked.
    pub prepared: Prepared,
    /// Connection settings of the store.
    pub options: ConnectOptions,
    /// Boot-time clock.
    pub clock: Arc<dyn Clock>,
    /// Log of its events.
    pub event_log: EventLog,
    /// Notifications of changes while it runs.
    pub reload: Reload,
    /// Receiver of the stages that it enters.
    pub stages: Arc<dyn StageSink>,
}

impl Host {
    /// Runs its jobs until they have ended or a shutdown is requested. By then every guest has stopped and, unless
    /// the shutdown was cut short, every lock has been given back.
    pub async fn run(mut self, shutdown: Shutdown) -> Result<HostEnd, HostError> {
        self.event_log.emit(
            EventContext::default(),
            EventKind::HostStarted {
                pid: std::process::id(),
                version: env!("CARGO_PKG_VERSION"),
                jobs: self.prepared.plugins.len(),
            },
        );
        let stages = self.stages.clone();
        stages.enter(HostStage::Connecting);
        let begun = Box::pin(self.begin(&shutdown.stopping)).await;
        // The host may have another name now.
        let event_log = self.event_log.clone();
        let ended = match begun {
            Ok(Some(begun)) => Box::pin(self.work(begun, shutdown)).await,
            Ok(None) => Ok(HostEnd::Done),
            Err(failure) => Err(failure),
        };
        stages.enter(HostStage::Stopping);
        event_log.emit(EventContext::default(), EventKind::HostStopped);
        ended
    }

    /// Connects and takes the host's id. `None` when a shutdown is requested meanwhile.
    async fn begin(&mut self, stopping: &CancellationToken) -> Result<Option<Begun>, HostError> {
        let Some(locks) = self.reach_store(stopping).await? else {
            return Ok(None);
        };
        let config = &self.prepared.config;
        let root = Root::new(config.store().root()).map_err(|e| HostError::internal(&e))?;
        let ttl = config.jobs().first().map_or(RECORDS_TTL, Job::ttl);
        let id = config.host().id().to_owned();
        let data_dir = config.host().data_dir().to_owned();
        let now = SystemWall.now();
        let store = record_store(&locks, &root);
        let identity = tokio::task::spawn_blocking(move || {
            let identity = HostIdentity::take(&data_dir);
            let (quarantine, crashes) = Quarantine::open(&data_dir, &identity, now);
            let cut_off = find_cut_off(&data_dir, &identity, &store);
            (identity, quarantine, crashes, cut_off)
        });
        let (identity, quarantine, crashes, cut_off) = identity
            .await
            .map_err(|error| HostError::internal(&error))?;
        let life = identity.life_on_disk().map(str::to_owned);
        let mut claim = IdClaim {
            locks: locks.clone(),
            root: root.clone(),
            identity: Arc::new(identity),
            ttl,
            event_log: self.event_log.clone(),
        };
        let taken = tokio::select! {
            () = stopping.cancelled() => Ok(None),
            taken = claim.take(&id) => taken.map(Some),
        };
        let name = match taken {
            Ok(Some(name)) => name,
            not_taken => {
                locks.close().await;
                return not_taken.map(|_| None);
            }
        };
        if name != id {
            self.rename(&name);
            claim.event_log = self.event_log.clone();
        }
        Ok(Some(Begun {
            store: HostStore {
                locks,
                root,
                records_ttl: ttl,
                life,
            },
            claim: claim.keep(name),
            quarantine: Arc::new(quarantine),
            crashes,
            cut_off,
        }))
    }

    /// Continues under another name, also where the configuration is read again.
    fn rename(&mut self, name: &str) {
        self.event_log = self.event_log.of(name);
        self.prepared.config = self.prepared.config.for_host(name);
        let (read, name) = (self.reload.read.clone(), name.to_owned());
        self.reload.read = Arc::new(move || read().map(|config| config.for_host(&name)));
    }

    async fn work(self, begun: Begun, shutdown: Shutdown) -> Result<HostEnd, HostError> {
        let Begun {
            store,
            claim,
            quarantine,
            crashes,
            mut cut_off,
        } = begun;
        let config = &self.prepared.config;
        let record = host_record(&self.prepared);
        let (mut services, handles) = HostServices::start(config, &store, &record, &self.event_log);
        report_crashes(
            &self.event_log,
            &handles.record_writer,
            (crashes, &mut cut_off),
        );
        services.recover(&store, &self.event_log, cut_off);
        let loads = LoadEvents::new(self.event_log.clone(), false);
        self.prepared.runtime.observe_loads(Arc::new(loads));
        let (progress, progress_box) = mpsc::channel(256);
        let (changes, change_box) = mpsc::channel(CHANGES);
        let maker = self.context_maker(&store, &handles, (quarantine, progress));
        let locks = store.locks;
        let jobs = config.jobs().iter().zip(&self.prepared.plugins);
        let contexts = jobs.map(|(job, loaded)| maker.make(job.clone(), loaded.plugin.clone()));
        let supervisor = Supervisor::new(
            contexts.collect(),
            (maker.host.clone(), handles.control),
            self.clock.clone(),
            self.event_log.clone(),
            handles.record_writer,
            self.stages.clone(),
        );
        let stays = config.plugins().is_some();
        let reloader = Reloader::new(
            self.prepared,
            self.reload,
            record,
            maker,
            changes,
            self.stages,
        );
        let reloading = AbortOnDropHandle::new(tokio::spawn(reloader.run()));
        // Runs among the runtime's workers, where its tasks are. On another thread it would have to be woken for
        // every grant, and a worker for the guest.
        let connectivity = locks.connectivity();
        let (requests, cut_off) = (shutdown.requests, shutdown.cut_off);
        let running = supervisor.run(requests, progress_box, change_box, connectivity, stays);
        let exit = AbortOnDropHandle::new(tokio::spawn(running))
            .await
            .map_err(|error| HostError::internal(&error))?;
        // The reloader holds a handle to the record writer, which ends when no handle is left.
        end_tasks([reloading, claim]).await;
        services.stop_following().await;
        // Every guest has stopped and every lock has been given back; only now may leases end.
        tokio::select! {
            () = services.finish(locks, cut_off.is_cancelled()) => Ok(exit),
            () = cut_short(&shutdown.aborting) => Ok(HostEnd::Aborted),
        }
    }

    /// Returns the maker of the contexts of this host's jobs.
    fn context_maker(
        &self,
        store: &HostStore,
        handles: &ServiceHandles,
        (quarantine, progress): (Arc<Quarantine>, mpsc::Sender<(Arc<str>, Progress)>),
    ) -> JobContextMaker {
        let host = self.prepared.config.host();
        JobContextMaker {
            host: host.id().into(),
            runtime: self.prepared.runtime.clone(),
            locks: store.locks.clone(),
            root: store.root.clone(),
            clock: self.clock.clone(),
            wall: Arc::new(SystemWall),
            event_log: self.event_log.clone(),
            record_writer: handles.record_writer.clone(),
            outputs: handles.outputs.clone(),
            budgets: Arc::default(),
            quarantine,
            progress,
            control: handles.control.clone(),
            grace: host.grace(),
        }
    }

    /// Connects, however long it takes. `None` when a shutdown is requested meanwhile.
    async fn reach_store(&self, stopping: &CancellationToken) -> Result<Option<Locks>, HostError> {
        let drift = self.prepared.config.host().drift();
        let mut backoff = Backoff::new(Duration::from_millis(200), Duration::from_secs(10));
        loop {
            let connecting = connect(self.options.clone(), drift, self.clock.clone());
            let connected = tokio::select! {
                () = stopping.cancelled() => return Ok(None),
                connected = connecting => connected,
            };
            match connected {
                Ok(locks) => {
                    self.event_log.emit(
                        EventContext::default(),
                        EventKind::StoreConnected {
                            endpoint: locks.endpoints().join(", "),
                            cluster_id: format!("{:x}", locks.cluster_id()),
                            certificate_until: locks
                                .certificate_until()
                                .map(|until| humantime::format_rfc3339_seconds(until).to_string()),
                        },
                    );
                    return Ok(Some(locks));
                }
                Err(error) if error.may_pass() => {
                    let pause = backoff.next();
                    self.event_log.emit(
                        EventContext::default(),
                        EventKind::StoreTrouble {
                            error: format!("{error}; trying again in {} ms", pause.as_millis()),
                        },
                    );
                    tokio::select! {
                        () = stopping.cancelled() => return Ok(None),
                        () = tokio::time::sleep(pause) => {}
                    }
                }
                Err(error) => return Err(error.into()),
            }
        }
    }
}

/// A host that has reached its store and has its id.
struct Begun {
    store: HostStore,
    claim: AbortOnDropHandle<()>,
    quarantine: Arc<Quarantine>,
    crashes: Vec<CrashedRun>,
    cut_off: Vec<CutOffOutput>,
}

/// Ends tasks, and waits until they have ended.
async fn end_tasks(tasks: [AbortOnDropHandle<()>; 2]) {
    for task in tasks {
        task.abort();
        let _ = task.await;
    }
}

/// Logs and records the runs in which an earlier process died, each with its last output.
fn report_crashes(
    event_log: &EventLog,
    record_writer: &RecordWriter,
    (crashes, cut_off): (Vec<CrashedRun>, &mut Vec<CutOffOutput>),
) {
    for mut crash in crashes {
        take_output(&mut crash.record, cut_off);
        report_crash(event_log, record_writer, crash);
    }
}

/// Logs and records a run in which an earlier process of this data directory died.
fn report_crash(event_log: &EventLog, record_writer: &RecordWriter, crash: CrashedRun) {
    let CrashedRun {
        record,
        until,
        file,
    } = crash;
    let about = EventContext {
        job: Some(printable::line(&record.job).into()),
        lock: Some(printable::line(&record.lock).into()),
        token: Some(record.token),
        run: Some(printable::line(&record.run_id).into()),
    };
    let quarantined = EventKind::Quarantined {
        sha256: record.plugin_sha256.clone(),
        until: until.to_string(),
        file: file.display().to_string(),
    };
    event_log.emit(about, quarantined);
    record_writer.run_ended(record);
}

fn host_record(prepared: &Prepared) -> HostRecord {
    let config = &prepared.config;
    let digests = prepared.plugins.iter();
    let digests = digests.map(|loaded| loaded.plugin.facts().sha256.as_str());
    HostRecord {
        host: config.host().id().to_owned(),
        pid: std::process::id(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        started_unix_ms: UnixMs::from_system(SystemTime::now()),
        jobs: config
            .jobs()
            .iter()
            .map(|job| job.name().to_owned())
            .collect(),
        files: files_digest(config.jobs().iter().zip(digests)),
    }
}
