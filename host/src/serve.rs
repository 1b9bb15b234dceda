//! `leasehold run`: from a configuration file to jobs that run, and to an orderly end.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use leasehold_lock::{Backoff, Clock, Locks, SystemClock};
use leasehold_records::{HostRecord, Root};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use crate::check::{Prepared, prepare};
use crate::config::Config;
use crate::connect::{StoreSetupError, connect};
use crate::event::{About, What};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::job::work::Bench;
use crate::journal::{Journal, unix_ms};
use crate::runtime::StopSignal;
use crate::supervisor::{Order, Supervisor};
use crate::timeline::{LogFormat, Timeline};

/// How long a shutdown that was cut short still waits for the store. What is not given back by then goes
/// with its lease; guests have stopped before, however long that took.
const LAST_PATIENCE: Duration = Duration::from_millis(500);

/// Runs the jobs of a file until they have ended or a signal ends them.
pub(crate) async fn run(path: &Path, format: LogFormat) -> Result<Exit, Failure> {
    let (orders, order_box) = mpsc::channel(4);
    let (stopping, aborting) = (CancellationToken::new(), CancellationToken::new());
    let mut signals = Signals::new().map_err(|error| Failure::internal(&error))?;
    let (told, cut) = (stopping.clone(), aborting.clone());
    let listener = AbortOnDropHandle::new(tokio::spawn(async move {
        let name = signals.next().await;
        told.cancel();
        let _ = orders.send(Order::Stop(name)).await;
        signals.next().await;
        let _ = orders.send(Order::Abort).await;
        cut.cancel();
    }));
    let prepared = prepare(path).await?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let timeline = Timeline::start(clock.clone(), format, prepared.config.host().id())
        .map_err(|error| Failure::internal(&error))?;
    timeline.say(
        About::default(),
        What::HostStarted {
            pid: std::process::id(),
            version: env!("CARGO_PKG_VERSION"),
            jobs: prepared.plugins.len(),
        },
    );
    let asked = (&stopping, &aborting);
    let ended = Box::pin(host(prepared, &clock, &timeline, order_box, asked)).await;
    timeline.say(About::default(), What::HostStopped);
    timeline.finish();
    drop(listener);
    ended
}

async fn host(
    prepared: Prepared,
    clock: &Arc<dyn Clock>,
    timeline: &Timeline,
    orders: mpsc::Receiver<Order>,
    (stopping, aborting): (&CancellationToken, &CancellationToken),
) -> Result<Exit, Failure> {
    let Some(locks) = reach_store(&prepared.config, clock, timeline, stopping).await? else {
        return Ok(Exit::Ok);
    };
    let root = Root::new(prepared.config.store().root()).map_err(|e| Failure::internal(&e))?;
    let records_ttl = prepared.config.jobs()[0].ttl();
    let (journal, writer) = Journal::start(locks.clone(), root.clone(), records_ttl);
    journal.host(host_record(&prepared.config));
    let (progress, progress_box) = mpsc::channel(256);
    let config = &prepared.config;
    let host: Arc<str> = config.host().id().into();
    let jobs = config.jobs().iter().zip(prepared.plugins);
    let benches = jobs.map(|(job, plugin)| Bench {
        host: host.clone(),
        name: job.name().into(),
        lock: job.lock().into(),
        job: job.clone(),
        plugin,
        runtime: prepared.runtime.clone(),
        locks: locks.clone(),
        root: root.clone(),
        clock: clock.clone(),
        timeline: timeline.clone(),
        journal: journal.clone(),
        progress: progress.clone(),
        cancel: CancellationToken::new(),
        stop: StopSignal::new(config.host().grace()),
    });
    let supervisor = Supervisor::new(benches.collect(), clock.clone(), timeline.clone(), journal);
    drop(progress);
    let exit = supervisor.run(orders, progress_box).await;
    // Every guest has stopped and every lock has been given back; only now may leases go.
    let farewell = async {
        writer.finish().await;
        locks.close().await;
    };
    tokio::select! {
        () = farewell => Ok(exit),
        () = cut_short(aborting) => Ok(Exit::Aborted),
    }
}

/// Resolves when a second signal has cut the shutdown short and the store has had its last chance.
pub(crate) async fn cut_short(aborting: &CancellationToken) {
    aborting.cancelled().await;
    tokio::time::sleep(LAST_PATIENCE).await;
}

/// Connects, however long it takes. `None` when told to stop meanwhile.
async fn reach_store(
    config: &Config,
    clock: &Arc<dyn Clock>,
    timeline: &Timeline,
    stopping: &CancellationToken,
) -> Result<Option<Locks>, Failure> {
    let mut backoff = Backoff::new(Duration::from_millis(200), Duration::from_secs(10));
    loop {
        let connecting = connect(config.store(), config.host().drift(), clock.clone());
        let connected = tokio::select! {
            () = stopping.cancelled() => return Ok(None),
            connected = connecting => connected,
        };
        match connected {
            Ok(locks) => {
                timeline.say(
                    About::default(),
                    What::StoreConnected {
                        endpoint: locks.endpoints().join(", "),
                        cluster_id: format!("{:x}", locks.cluster_id()),
                    },
                );
                return Ok(Some(locks));
            }
            Err(error) if error.may_pass() => {
                let pause = backoff.next();
                timeline.say(
                    About::default(),
                    What::StoreTrouble {
                        error: format!("{error}; trying again in {} ms", pause.as_millis()),
                    },
                );
                tokio::select! {
                    () = stopping.cancelled() => return Ok(None),
                    () = tokio::time::sleep(pause) => {}
                }
            }
            Err(error) => return Err(store_failure(&error)),
        }
    }
}

pub(crate) fn store_failure(error: &StoreSetupError) -> Failure {
    Failure::new(Exit::Store, error.to_string())
}

fn host_record(config: &Config) -> HostRecord {
    HostRecord {
        host: config.host().id().to_owned(),
        pid: std::process::id(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        started_unix_ms: unix_ms(SystemTime::now()),
        jobs: config
            .jobs()
            .iter()
            .map(|job| job.name().to_owned())
            .collect(),
    }
}

/// The signals that end a host.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn new() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}
