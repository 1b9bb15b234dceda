//! `leasehold dev`: several hosts and their store in one process, to watch which host runs each
//! job, which ones wait, and which one takes over.
//!
//! A host does everything here as under `run`; only names, store and log differ. Nothing remains
//! after the command unless the file embeds a store in a directory.

mod cut;
mod hosts;
mod note;
mod preparing;
mod summary;

use std::fs::File;
use std::io::{self, IsTerminal as _};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use leasehold_lock::{Clock, Locks, SystemClock};
use leasehold_records::Root;
use leasehold_store::ListenAddress;
use leasehold_tui::DashboardArgs;
use tokio_util::sync::CancellationToken;

use crate::commands::run::report_strays;
use crate::commands::store::loopback;
use crate::config_place::USUAL_FILE;
use crate::config_reader::read_config;
use crate::embedded::{EmbeddedStore, options};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::log_format::LogFormat;
use crate::look::Look;
use crate::sink;
use crate::stray::StraySignals;
use crate::telemetry::ProcessTelemetry;
use hosts::{DevHosts, Plan};
use leasehold_config::fingerprint::ConfigFingerprint;
use leasehold_config::{Config, Embedded, StorePlace};
use leasehold_supervisor::connect::{connect, inside};
use leasehold_supervisor::event::{EventContext, EventKind};
use leasehold_supervisor::event_level::EventLevel;
use leasehold_supervisor::event_log::{EventLog, Form, Out};
use leasehold_supervisor::last_words;
use leasehold_supervisor::prepare::Prepared;
use leasehold_supervisor::shutdown::Signals;
use note::note;
use preparing::{prepare_hosts, stopped_by};

/// Arguments of `leasehold dev`.
#[derive(clap::Args)]
pub(crate) struct DevArgs {
    /// The configuration. Its [store] may be absent, and is not used when it names endpoints.
    /// [default: leasehold.toml]
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,
    /// Number of hosts: dev-1, dev-2, and so on.
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u8).range(1..=20))]
    hosts: u8,
    /// Stop after this long, as SIGTERM would. [default: run until stopped]
    #[arg(long = "for", value_name = "DURATION", value_parser = duration)]
    lasting: Option<Duration>,
    /// A loopback address for etcdctl and others. [default: the file's, else a free port]
    #[arg(long, value_name = "ADDR", value_parser = loopback)]
    listen: Option<SocketAddr>,
    /// At this interval, cut off the host that has held a lock the longest, as if its machine had
    /// died: it no longer reaches the store, releases nothing, and its runs are stopped. Its locks
    /// pass on when its lease ends. A second later a new host of its name starts.
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    chaos: Option<Duration>,
    /// Write events to standard output instead of showing the dashboard.
    #[arg(long, value_enum)]
    log_format: Option<LogFormat>,
    /// Write the events into this file, not to standard output.
    #[arg(long, value_name = "FILE", conflicts_with = "log_format")]
    log: Option<PathBuf>,
    /// Allow the dashboard to revoke leases, remove entries and stop runs. Each needs a
    /// confirmation.
    #[arg(long)]
    allow_write: bool,
}

impl DevArgs {
    /// Returns true if the dashboard takes the terminal, so that no other output may go to it.
    pub(crate) fn takes_terminal(&self) -> bool {
        self.log_format.is_none()
            && io::stdin().is_terminal()
            && io::stdout().is_terminal()
            && leasehold_tui::can_draw()
    }

    /// Format of the log beside the events.
    pub(crate) fn log_format(&self) -> LogFormat {
        self.log_format.unwrap_or(LogFormat::Text)
    }

    fn form(&self, clock: &dyn Clock) -> Form {
        match self.log_format {
            Some(LogFormat::Json) => Form::Json,
            // A file is read by other programs too, so it has no colours.
            _ if self.log.is_some() => Form::Story {
                began: clock.now(),
                colours: false,
            },
            _ => Form::story(clock),
        }
    }

    fn out(&self) -> Result<Out, Failure> {
        match &self.log {
            Some(file) => File::create(file).map(Out::File).map_err(|error| {
                let message = format!("cannot write the events into {}: {error}", file.display());
                Failure::new(Exit::Usage, message)
            }),
            None if self.takes_terminal() => Ok(Out::Nowhere),
            None => Ok(Out::Stdout),
        }
    }
}

fn duration(text: &str) -> Result<Duration, String> {
    match humantime::parse_duration(text) {
        Ok(value) if value >= Duration::from_millis(100) => Ok(value),
        Ok(_) => Err("write 100ms or more".into()),
        Err(_) => Err("write a number and a unit, as in 500ms, 20s or 5m".into()),
    }
}

/// Runs the hosts until they have ended, or until a signal or the time limit ends them.
pub(crate) async fn run(args: DevArgs, level: EventLevel) -> Result<Exit, Failure> {
    let mut signals = Signals::new().map_err(|error| Failure::internal(&error))?;
    let strays = StraySignals::ignore().map_err(|error| Failure::internal(&error))?;
    let file = find(args.file.as_deref())?;
    let fingerprint = ConfigFingerprint::of(&file);
    let loaded = tokio::select! {
        biased;
        signal = signals.next() => return Ok(stopped_by(signal)),
        loaded = read_config(move || Config::load_for_development(&file)) => loaded?,
    };
    let embedded = match loaded.store().place() {
        StorePlace::Embedded(embedded) => embedded.clone(),
        StorePlace::Remote(_) => Embedded::in_memory(),
    };
    let config = loaded.on_embedded(embedded.clone());
    let names = (1..=args.hosts).map(|number| format!("dev-{number}"));
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let telemetry = ProcessTelemetry::start(&config, &clock)?;
    let (form, out) = (args.form(&*clock), args.out()?);
    let sinks = telemetry.sinks();
    let event_log = EventLog::start_with(clock.clone(), (form, level), "dev", out, sinks)
        .map_err(|error| Failure::internal(&error))?;
    telemetry.watch_log(&event_log);
    let strays = report_strays(strays, &event_log);
    let is_shown = form != Form::Json;
    let prepared = tokio::select! {
        biased;
        signal = signals.next() => {
            event_log.finish();
            return Ok(stopped_by(signal));
        }
        prepared = prepare_hosts(&config, names, fingerprint, (&event_log, telemetry.hosts()), is_shown) => {
            prepared.inspect_err(|_| event_log.finish())?
        }
    };
    note_unused_store(loaded.store().place(), &event_log);
    let store = open(&embedded, args.listen).await?;
    event_log.emit(EventContext::default(), store.opened());
    let quit = CancellationToken::new();
    let plan = Plan {
        lasting: args.lasting,
        chaos: args.chaos,
        config: config.clone(),
        clock: clock.clone(),
        event_log: event_log.clone(),
        telemetry: telemetry.hosts().clone(),
        quit: quit.clone(),
    };
    let ended = Box::pin(run_hosts(plan, prepared, &store, signals));
    let ended = if args.takes_terminal() {
        let address = store.endpoints().join(", ");
        // Printed again for etcdctl when the dashboard has left the screen.
        crate::show_format::print(&format!("the store listens on {address}\n"))?;
        let locks = look_in(&config, &clock, &store).await?;
        shown(ended, locks, &config, quit, args.allow_write).await
    } else {
        ended.await
    };
    store.close().await;
    event_log.emit(EventContext::default(), EventKind::StoreClosed);
    drop(strays);
    telemetry.finish().await;
    event_log.finish();
    let (exit, summary) = ended?;
    if args.log_format != Some(LogFormat::Json) && !summary.is_empty() {
        // After a signal, a pipe that is not read must not keep the process.
        last_words::write(io::stdout(), sink::printable(&format!("\n{summary}")));
    }
    Ok(exit)
}

/// Logs that the store of the configuration is not used, if it is another.
fn note_unused_store(place: &StorePlace, event_log: &EventLog) {
    if let StorePlace::Remote(remote) = place {
        let endpoints: Vec<String> = remote.endpoints().iter().map(ToString::to_string).collect();
        note(
            event_log,
            format!(
                "not used: {} (of [store]); everything below is on a store in memory",
                endpoints.join(", ")
            ),
        );
    }
}

/// Runs the hosts, logs their events, and returns the summary of their runs.
async fn run_hosts(
    plan: Plan,
    prepared: Vec<Prepared>,
    store: &EmbeddedStore,
    signals: Signals,
) -> Result<(Exit, String), Failure> {
    let root = Root::new(plan.config.store().root()).map_err(|e| Failure::internal(&e))?;
    let observer = look_in(&plan.config, &plan.clock, store).await?;
    let mut hosts = DevHosts::new(plan, store.connector(), observer.clone(), root.clone());
    for host in prepared {
        hosts.start(host);
    }
    let exit = hosts.run(signals).await;
    // The records are read while the store is open; without a store there are none.
    let runs = observer
        .kv()
        .list(&root.runs(), 0)
        .await
        .unwrap_or_default();
    observer.close().await;
    Ok((
        exit?,
        summary::of(&runs, Look::of_stdout().without_colours()),
    ))
}

/// Connects a client of the store that is not a host.
async fn look_in(
    config: &Config,
    clock: &Arc<dyn Clock>,
    store: &EmbeddedStore,
) -> Result<Locks, Failure> {
    let options = inside(config.store(), store.connector());
    Ok(connect(options, config.host().drift(), clock.clone()).await?)
}

/// Shows the events on the dashboard. Quitting it ends the hosts, and the end of the hosts ends it.
async fn shown<T>(
    ended: impl Future<Output = Result<T, Failure>>,
    locks: Locks,
    config: &Config,
    quit: CancellationToken,
    allow_write: bool,
) -> Result<T, Failure> {
    let root = Root::new(config.store().root()).map_err(|e| Failure::internal(&e))?;
    let over = CancellationToken::new();
    let look = DashboardArgs {
        allow_write,
        ..DashboardArgs::default()
    };
    let dashboard = async {
        let left = leasehold_tui::watch(locks, root, look, over.clone()).await;
        quit.cancel();
        left
    };
    let ended = async {
        let ended = ended.await;
        over.cancel();
        ended
    };
    let (left, ended) = tokio::join!(dashboard, ended);
    let ended = ended?;
    left?;
    Ok(ended)
}

/// Returns the file that was given, or the one in the current folder.
///
/// No other place is searched: the jobs of an installation would run here a second time, outside of their locks.
fn find(file: Option<&Path>) -> Result<PathBuf, Failure> {
    match file {
        Some(file) => Ok(file.to_owned()),
        None if Path::new(USUAL_FILE).exists() => Ok(USUAL_FILE.into()),
        None => Err(Failure::new(
            Exit::Config,
            format!(
                "there is no {USUAL_FILE} here\n  = help: name a file: leasehold dev FILE\n  \
                 = help: or write one: leasehold init, or a table such as `[jobs.hello]` with `plugin = \"hello.wasm\"` is enough"
            ),
        )),
    }
}

/// Opens the store, with an address for other clients.
async fn open(embedded: &Embedded, listen: Option<SocketAddr>) -> Result<EmbeddedStore, Failure> {
    let free = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let address = listen.or(embedded.listen()).unwrap_or(free);
    EmbeddedStore::open_with(embedded, options(embedded), [ListenAddress::Tcp(address)]).await
}
