//! Metrics and health checks of this process, where `listen` in `[host]` asks for them, messages, where `[notify]` does, and
//! traces, where `[otlp]` does.

use std::io;
use std::sync::Arc;

use leasehold_config::{Config, ListenAt};
use leasehold_lock::{Clock, ConnectOptions};
use leasehold_runtime::CONTRACT_VERSION;
use leasehold_supervisor::event::{EventContext, EventKind};
use leasehold_supervisor::event_log::{EventLog, EventSink};
use leasehold_telemetry::{BuildInfo, ListenError, Notifier, Telemetry, TelemetryServer, Tracer};

use crate::exit::Exit;
use crate::failure::Failure;

/// The server for metrics and checks, and the state that it shows, both absent without `listen`; and the senders
/// of messages and traces.
pub(crate) struct ProcessTelemetry {
    state: HostTelemetry,
    server: Option<TelemetryServer>,
    notifier: Option<Notifier>,
    tracer: Option<Tracer>,
}

/// The part that hosts report to. Cheap to clone.
#[derive(Clone)]
pub(crate) struct HostTelemetry(Option<Telemetry>);

impl ProcessTelemetry {
    /// Starts to listen, before anything slow is done, so that checks are answered while plugins are compiled.
    pub(crate) fn start(config: &Config, clock: &Arc<dyn Clock>) -> Result<Self, Failure> {
        let notifier = config.notify().map(Notifier::start);
        let tracer = config.otlp().map(|otlp| Tracer::start(otlp, clock.clone()));
        let Some(listen) = config.host().listen() else {
            return Ok(Self {
                state: HostTelemetry(None),
                server: None,
                notifier,
                tracer,
            });
        };
        let build = BuildInfo {
            version: env!("CARGO_PKG_VERSION"),
            contract: CONTRACT_VERSION,
        };
        let telemetry = Telemetry::new(build, clock.clone());
        let server = TelemetryServer::start(&telemetry, listen.address())
            .map_err(|error| refused(listen, &error))?;
        Ok(Self {
            state: HostTelemetry(Some(telemetry)),
            server: Some(server),
            notifier,
            tracer,
        })
    }

    /// Returns the part that hosts report to.
    pub(crate) const fn hosts(&self) -> &HostTelemetry {
        &self.state
    }

    /// Returns the sinks for the event log.
    pub(crate) fn sinks(&self) -> Vec<Box<dyn EventSink>> {
        let metrics = self.state.0.iter().map(Telemetry::sink);
        metrics
            .chain(self.notifier.iter().map(Notifier::sink))
            .chain(self.tracer.iter().map(Tracer::sink))
            .collect()
    }

    /// Counts the lines that this log drops, logs the address, and logs messages and traces that cannot be delivered.
    pub(crate) fn watch_log(&self, event_log: &EventLog) {
        if let Some(notifier) = &self.notifier {
            notifier.watch_log(event_log);
        }
        if let Some(tracer) = &self.tracer {
            tracer.watch_log(event_log);
        }
        if let (Some(telemetry), Some(tracer)) = (&self.state.0, &self.tracer) {
            telemetry.watch_traces(tracer);
        }
        if let (Some(telemetry), Some(server)) = (&self.state.0, &self.server) {
            telemetry.watch_log(event_log);
            let address = server.address().to_string();
            let listening = EventKind::HttpListening { address };
            event_log.emit(EventContext::default(), listening);
        }
    }

    /// Delivers the last messages and traces and ends the server, and waits for that.
    pub(crate) async fn finish(self) {
        let messages = async {
            if let Some(notifier) = self.notifier {
                notifier.finish().await;
            }
        };
        let traces = async {
            if let Some(tracer) = self.tracer {
                tracer.finish().await;
            }
        };
        tokio::join!(messages, traces);
        if let Some(server) = self.server {
            server.finish();
        }
    }
}

impl HostTelemetry {
    /// Adds a host that is about to load its plugins.
    pub(crate) fn add_host(&self, host: &str) {
        if let Some(telemetry) = &self.0 {
            telemetry.add_host(host);
        }
    }

    /// The plugins of this host are loaded.
    pub(crate) fn set_plugins_loaded(&self, host: &str) {
        if let Some(telemetry) = &self.0 {
            telemetry.set_plugins_loaded(host);
        }
    }

    /// Observes the lock client that is made with these options, for this host.
    pub(crate) fn observe(&self, host: &str, options: ConnectOptions) -> ConnectOptions {
        match &self.0 {
            Some(telemetry) => options.observer(telemetry.observer(host)),
            None => options,
        }
    }
}

/// The failure of a `listen` that cannot be used on this machine now.
fn refused(listen: &ListenAt, error: &ListenError) -> Failure {
    let (file, line) = listen.place();
    let help = match error.source.kind() {
        io::ErrorKind::AddrInUse => {
            "stop the process that uses the address (another host on this machine?), or change `listen` in [host]"
        }
        io::ErrorKind::AddrNotAvailable => {
            "write an address of this machine; \"0.0.0.0\" with the port is for all of them"
        }
        io::ErrorKind::PermissionDenied => "write a port above 1023, or allow this user lower ones",
        _ => "change `listen` in [host], or remove it to run without metrics",
    };
    let message = format!("error: {error}\n --> {file}:{line}\n  = help: {help}");
    Failure::new(Exit::Config, message)
}
