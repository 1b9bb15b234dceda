//! `leasehold run`: starts a host on its store from a configuration file, and ends both in order.

use std::sync::Arc;

use clap::Args;
use leasehold_lock::{Clock, SystemClock};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::Notify;
use tokio_util::task::AbortOnDropHandle;

use crate::config_place::ConfigArg;
use crate::embedded::EmbeddedStore;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::log_format::LogFormat;
use crate::service_manager::ServiceManager;
use crate::stray::StraySignals;
use leasehold_config::fingerprint::ConfigFingerprint;
use leasehold_config::{Config, StorePlace};
use leasehold_supervisor::connect;
use leasehold_supervisor::end::{HostEnd, HostError};
use leasehold_supervisor::event::{EventContext, EventKind};
use leasehold_supervisor::event_log::{EventLog, Out};
use leasehold_supervisor::host::Host;
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

/// Runs the jobs of a file until they have ended or a signal ends them.
pub(crate) async fn run(args: RunArgs) -> Result<Exit, Failure> {
    let found = args.config.find()?;
    let (path, format) = (found.as_path(), args.log_format);
    let (shutdown_handle, shutdown) = shutdown_channel();
    let signals = Signals::new().map_err(|error| Failure::internal(&error))?;
    let listener = signals.drive(shutdown_handle);
    let strays = StraySignals::ignore().map_err(|error| Failure::internal(&error))?;
    let manager = Arc::new(ServiceManager::of_this_process());
    manager.show("loading plugins");
    let fingerprint = ConfigFingerprint::of(path);
    let prepared = prepare(Config::load(path)?, fingerprint).await?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let id = prepared.config.host().id();
    let event_log = EventLog::start(clock.clone(), format.into(), id, Out::Stdout)
        .map_err(|error| Failure::internal(&error))?;
    let strays = report_strays(strays, &event_log);
    let store = prepared.config.store().clone();
    let again = path.to_owned();
    let reload = Reload {
        read: Arc::new(move || Config::load(&again)),
        trigger: Arc::new(Notify::new()),
    };
    let hangups = on_hangup(reload.trigger.clone()).map_err(|error| Failure::internal(&error))?;
    let host = |options| Host {
        prepared,
        options,
        clock,
        event_log: event_log.clone(),
        reload,
        stages: manager,
    };
    let exit = match store.place() {
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
    };
    event_log.finish();
    drop(listener);
    drop(strays);
    drop(hangups);
    exit
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
