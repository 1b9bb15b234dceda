//! `leasehold run`: starts a host on its store from a configuration file, and ends both in order.

use std::path::Path;
use std::sync::Arc;

use leasehold_lock::{Clock, SystemClock};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::Notify;
use tokio_util::task::AbortOnDropHandle;

use crate::check::prepare;
use crate::config::{Config, Place};
use crate::connect;
use crate::embedded::EmbeddedStore;
use crate::ending::{Ending, Signals, ending};
use crate::event::{About, What};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::host::{Host, cut_short};
use crate::reload::{ConfigStamp, Reload};
use crate::stray::StraySignals;
use crate::timeline::{LogFormat, Out, Timeline};

/// Runs the jobs of a file until they have ended or a signal ends them.
pub(crate) async fn run(path: &Path, format: LogFormat) -> Result<Exit, Failure> {
    let (asker, ending) = ending();
    let signals = Signals::new().map_err(|error| Failure::internal(&error))?;
    let listener = signals.drive(asker);
    let strays = StraySignals::ignore().map_err(|error| Failure::internal(&error))?;
    let stamp = ConfigStamp::of(path);
    let prepared = prepare(Config::load(path)?, stamp).await?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let id = prepared.config.host().id();
    let timeline = Timeline::start(clock.clone(), format.into(), id, Out::Stdout)
        .map_err(|error| Failure::internal(&error))?;
    let strays = report_strays(strays, &timeline);
    let store = prepared.config.store().clone();
    let again = path.to_owned();
    let reload = Reload {
        read: Arc::new(move || Config::load(&again)),
        bell: Arc::new(Notify::new()),
    };
    let hangups = on_hangup(reload.bell.clone()).map_err(|error| Failure::internal(&error))?;
    let host = |options| Host {
        prepared,
        options,
        clock,
        timeline: timeline.clone(),
        reload,
    };
    let ended = match store.place() {
        Place::Remote(_) => match connect::options(&store) {
            Ok(options) => host(options).run(ending).await,
            Err(error) => Err(error.into()),
        },
        Place::Embedded(embedded) => match EmbeddedStore::open(embedded).await {
            Ok(opened) => {
                let options = connect::inside(&store, opened.connector());
                on_embedded(host(options), opened, ending, &timeline).await
            }
            Err(failure) => Err(failure),
        },
    };
    timeline.finish();
    drop(listener);
    drop(strays);
    drop(hangups);
    ended
}

/// Logs stray signals, each kind once.
pub(crate) fn report_strays(strays: StraySignals, timeline: &Timeline) -> AbortOnDropHandle<()> {
    let timeline = timeline.clone();
    strays.drive(move |signal| timeline.say(About::default(), What::SignalIgnored { signal }))
}

/// Triggers a reload for each SIGHUP.
fn on_hangup(bell: Arc<Notify>) -> std::io::Result<AbortOnDropHandle<()>> {
    let mut hangup = signal(SignalKind::hangup())?;
    Ok(AbortOnDropHandle::new(tokio::spawn(async move {
        while hangup.recv().await.is_some() {
            bell.notify_one();
        }
    })))
}

/// Runs a host and the store it brings. The store closes when the last lock has been released.
async fn on_embedded(
    host: Host,
    store: EmbeddedStore,
    ending: Ending,
    timeline: &Timeline,
) -> Result<Exit, Failure> {
    timeline.say(About::default(), store.opened());
    let aborting = ending.aborting.clone();
    let ended = host.run(ending).await;
    tokio::select! {
        () = store.close() => timeline.say(About::default(), What::StoreClosed),
        // A hanging disk does not delay a second signal; no acknowledged write is lost.
        () = cut_short(&aborting) => {}
    }
    ended
}
