//! `leasehold run`: starts a host on its store from a configuration file, and ends both in order.

use std::sync::Arc;

use clap::Args;
use leasehold_lock::{Clock, SystemClock};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::Notify;
use tokio_util::task::AbortOnDropHandle;

use crate::config_place::ConfigArg;
use crate::config_reader::read_config;
use crate::embedded::EmbeddedStore;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::log_format::LogFormat;
use crate::progress::LoadProgress;
use crate::service_manager::ServiceManager;
use crate::stray::StraySignals;
use crate::telemetry::{HostTelemetry, ProcessTelemetry};
use leasehold_config::fingerprint::ConfigFingerprint;
use leasehold_config::{Config, StorePlace};
use leasehold_supervisor::connect;
use leasehold_supervisor::end::{HostEnd, HostError};
use leasehold_supervisor::event::{EventContext, EventKind};
use leasehold_supervisor::event_level::EventLevel;
use leasehold_supervisor::event_log::{EventLog, Out};
use leasehold_supervisor::host::Host;
use leasehold_supervisor::load_events::LoadEvents;
use leasehold_supervisor::prepare::prepare;
use leasehold_supervisor::reload::Reload;
use leasehold_supervisor::shutdown::{Shutdown, Signals, cut_short, shutdown_channel};

/// Arguments of `leasehold run`.
#[derive(Args)]
pub(crate) struct RunArgs {
    #[command(flatten)]
    config: ConfigArg,
    /// Format of the events on standard output.
    #[arg(long, value_enum, default_value = "text")]
    pub(crate) log_format: LogFormat,
}

/// Runs the jobs of a file until they have ended or a signal ends them. Events of this level are logged.
pub(crate) async fn run(args: RunArgs, level: EventLevel) -> Result<Exit, Failure> {
    let (shutdown_handle, mut shutdown) = shutdown_channel();
    let signals = Signals::new().map_err(|error| Failure::internal(&error))?;
    let listener = signals.drive(shutdown_handle);
    let strays = StraySignals::ignore().map_err(|error| Failure::internal(&error))?;
    let trigger = Arc::new(Notify::new());
    let hangups = on_hangup(trigger.clone()).map_err(|error| Failure::internal(&error))?;
    let path = args.config.find()?;
    let again = path.clone();
    let manager = Arc::new(ServiceManager::of_this_process());
    manager.show("loading plugins");
    let fingerprint = ConfigFingerprint::of(&path);
    let config = tokio::select! {
        biased;
        (end, _) = shutdown.requested() => return Ok(end.into()),
        config = read_config(move || Config::load(&path)) => config?,
    };
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let telemetry = ProcessTelemetry::start(&config, &clock)?;
    let (form, id) = (args.log_format.into(), config.host().id().to_owned());
    telemetry.hosts().add_host(&id);
    let sinks = telemetry.sinks();
    let event_log = EventLog::start_with(clock.clone(), (form, level), &id, Out::Stdout, sinks)
        .map_err(|error| Failure::internal(&error))?;
    telemetry.watch_log(&event_log);
    let strays = report_strays(strays, &event_log);
    let start = HostStart {
        config,
        fingerprint,
        telemetry: telemetry.hosts().clone(),
        clock,
        event_log: event_log.clone(),
        reload: Reload {
            read: Arc::new(move || Config::load(&again)),
            trigger,
        },
        manager,
        is_shown: args.log_format != LogFormat::Json,
    };
    let exit = start.run(shutdown).await;
    telemetry.finish().await;
    event_log.finish();
    drop(listener);
    drop(strays);
    drop(hangups);
    exit
}

/// Parts of a host that is about to start.
struct HostStart {
    config: Config,
    fingerprint: Option<ConfigFingerprint>,
    telemetry: HostTelemetry,
    clock: Arc<dyn Clock>,
    event_log: EventLog,
    reload: Reload,
    manager: Arc<ServiceManager>,
    /// True if standard error shows the loading of plugins.
    is_shown: bool,
}

impl HostStart {
    /// Loads the plugins and runs the host on its store. A request to stop ends the loading at once.
    async fn run(self, mut shutdown: Shutdown) -> Result<Exit, Failure> {
        let progress = if self.is_shown {
            LoadProgress::of(self.config.jobs().len())
        } else {
            LoadProgress::hidden()
        };
        let events = LoadEvents::new(self.event_log.clone(), self.is_shown);
        let observer = progress.observer(Some(events));
        let prepared = tokio::select! {
            biased;
            (end, request) = shutdown.requested() => {
                let reason = format!("{request}, before anything was started");
                let stopping = EventKind::HostStopping { reason };
                self.event_log.emit(EventContext::default(), stopping);
                return Ok(end.into());
            }
            prepared = prepare(self.config, self.fingerprint, observer) => prepared?,
        };
        progress.finish();
        let store = prepared.config.store().clone();
        let id = prepared.config.host().id().to_owned();
        let telemetry = self.telemetry;
        telemetry.set_plugins_loaded(&id);
        let event_log = self.event_log;
        let host = |options| Host {
            prepared,
            options: telemetry.observe(&id, options),
            clock: self.clock,
            event_log: event_log.clone(),
            reload: self.reload,
            stages: self.manager,
        };
        match store.place() {
            StorePlace::Remote(_) => match connect::options(&store) {
                Ok(options) => ended(host(options).run(shutdown).await),
                Err(error) => Err(error.into()),
            },
            StorePlace::Embedded(embedded) => match EmbeddedStore::open(embedded).await {
                Ok(opened) => {
                    let options = connect::inside(&store, opened.connector());
                    on_embedded(host(options), opened, shutdown, &event_log).await
                }
                Err(failure) => Err(failure),
            },
        }
    }
}

/// The exit code of a host that has ended, or its failure.
fn ended(end: Result<HostEnd, HostError>) -> Result<Exit, Failure> {
    end.map(Exit::from).map_err(Failure::from)
}

/// Logs stray signals, each kind once.
pub(crate) fn report_strays(strays: StraySignals, event_log: &EventLog) -> AbortOnDropHandle<()> {
    let event_log = event_log.clone();
    strays.drive(move |signal| {
        event_log.emit(EventContext::default(), EventKind::SignalIgnored { signal });
    })
}

/// Triggers a reload for each SIGHUP.
fn on_hangup(trigger: Arc<Notify>) -> std::io::Result<AbortOnDropHandle<()>> {
    let mut hangup = signal(SignalKind::hangup())?;
    Ok(AbortOnDropHandle::new(tokio::spawn(async move {
        while hangup.recv().await.is_some() {
            trigger.notify_one();
        }
    })))
}

/// Runs a host and the store it brings. The store closes when the last lock has been released.
async fn on_embedded(
    host: Host,
    store: EmbeddedStore,
    shutdown: Shutdown,
    event_log: &EventLog,
) -> Result<Exit, Failure> {
    event_log.emit(EventContext::default(), store.opened());
    let aborting = shutdown.aborting.clone();
    let end = host.run(shutdown).await;
    tokio::select! {
        () = store.close() => event_log.emit(EventContext::default(), EventKind::StoreClosed),
        // A hanging disk does not delay a second signal; no acknowledged write is lost.
        () = cut_short(&aborting) => {}
    }
    ended(end)
}
