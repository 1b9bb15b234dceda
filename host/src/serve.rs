//! `leasehold run`: from a configuration file to a host on its store, and to an orderly end of both.

use std::path::Path;
use std::sync::Arc;

use leasehold_lock::{Clock, SystemClock};

use crate::applied::{self, Standing};
use crate::check::prepare;
use crate::config::{Config, Place};
use crate::connect;
use crate::embedded::EmbeddedStore;
use crate::ending::{Ending, Signals, ending};
use crate::event::{About, What};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::host::{Host, cut_short};
use crate::timeline::{LogFormat, Out, Timeline};

/// Runs the jobs of a file until they have ended or a signal ends them.
pub(crate) async fn run(path: &Path, format: LogFormat) -> Result<Exit, Failure> {
    let (asker, ending) = ending();
    let signals = Signals::new().map_err(|error| Failure::internal(&error))?;
    let listener = signals.drive(asker);
    let prepared = prepare(Config::load(path)?).await?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let id = prepared.config.host().id();
    let timeline = Timeline::start(clock.clone(), format.into(), id, Out::Stdout)
        .map_err(|error| Failure::internal(&error))?;
    let jobs = prepared.config.jobs().iter().zip(&prepared.plugins);
    let standing = jobs.map(|(job, plugin)| Standing {
        job,
        sha256: &plugin.facts().sha256,
    });
    applied::note(&prepared.config, standing);
    let store = prepared.config.store().clone();
    let host = |options| Host {
        prepared,
        options,
        clock,
        timeline: timeline.clone(),
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
    ended
}

/// A host and the store it brings: the store closes when the last lock has been given back.
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
        // A disk that hangs does not hold up a person who insists; nothing acknowledged is lost.
        () = cut_short(&aborting) => {}
    }
    ended
}
