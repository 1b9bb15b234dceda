//! Preparation of the hosts of one `leasehold dev`.

use leasehold_config::Config;
use leasehold_config::fingerprint::ConfigFingerprint;
use leasehold_supervisor::event_log::EventLog;
use leasehold_supervisor::load_events::LoadEvents;
use leasehold_supervisor::prepare::{Prepared, prepare};
use leasehold_supervisor::shutdown::AT_ONCE;

use crate::exit::Exit;
use crate::failure::Failure;
use crate::progress::LoadProgress;
use crate::telemetry::HostTelemetry;

/// Prepares hosts of these names, one after the other: all but the first find their plugins compiled. `is_shown`:
/// standard error shows the loads.
pub(super) async fn prepare_hosts(
    config: &Config,
    names: impl Iterator<Item = String> + Send,
    fingerprint: Option<ConfigFingerprint>,
    (event_log, telemetry): (&EventLog, &HostTelemetry),
    is_shown: bool,
) -> Result<Vec<Prepared>, Failure> {
    let names: Vec<String> = names.collect();
    for name in &names {
        telemetry.add_host(name);
    }
    let mut hosts = Vec::new();
    for name in names {
        let progress = if is_shown {
            LoadProgress::of(config.jobs().len())
        } else {
            LoadProgress::hidden()
        };
        let events = LoadEvents::new(event_log.of(&name), is_shown);
        let observer = progress.observer(Some(events));
        hosts.push(prepare(config.for_host(&name), fingerprint.clone(), observer).await?);
        telemetry.set_plugins_loaded(&name);
    }
    Ok(hosts)
}

/// The exit code after a signal that came before any host ran.
pub(super) fn stopped_by(signal: &str) -> Exit {
    if signal == AT_ONCE {
        Exit::Aborted
    } else {
        Exit::Ok
    }
}
