//! `leasehold store serve`: the store by itself, for several hosts on one machine.
//!
//! Independent of jobs: any client of etcd's API may use it.

use std::path::PathBuf;
use std::sync::Arc;

use leasehold_lock::SystemClock;
use leasehold_store::{ListenAddress, StoreOptions};

use crate::commands::run::report_strays;
use crate::embedded::EmbeddedStore;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::log_format::LogFormat;
use crate::stray::StraySignals;
use leasehold_config::{Embedded, LoopbackError, default_store_dir, parse_loopback, parse_size};
use leasehold_supervisor::event::{EventContext, EventKind};
use leasehold_supervisor::event_level::EventLevel;
use leasehold_supervisor::event_log::{EventLog, Out};
use leasehold_supervisor::shutdown::Signals;

/// Smallest quota: below it not even the records of a few hosts fit.
const SMALLEST_QUOTA: u64 = 1 << 20;

/// Arguments of `leasehold store serve`.
#[derive(clap::Args)]
pub(crate) struct ServeArgs {
    /// Directory of the data; one process at a time. [default: where a host with `embedded = true`
    /// and no `data_dir` keeps it: leasehold/store in `$XDG_STATE_HOME`, else in ~/.local/state]
    #[arg(long, value_name = "DIR", conflicts_with = "memory")]
    dir: Option<PathBuf>,
    /// A loopback address, or unix:// and a path; may be given several times. Port 0 means a free one.
    /// Besides, a store in a directory always listens on the socket `store.sock` in it.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:2379", value_parser = listen)]
    listen: Vec<ListenAddress>,
    /// Keep the data in memory only: it is lost when the process ends.
    #[arg(long)]
    memory: bool,
    /// Largest amount of data, history included; all of it is in memory too. Writes beyond it are
    /// refused.
    #[arg(long, value_name = "SIZE", default_value = "1GiB", value_parser = quota)]
    quota: u64,
    /// History to keep, in revisions; older revisions are compacted automatically.
    #[arg(long, value_name = "REVISIONS", default_value_t = StoreOptions::DEFAULT_KEEP, value_parser = clap::value_parser!(u64).range(100..))]
    history: u64,
    /// Largest history, in bytes. All of it may be compacted when a write would not fit otherwise.
    /// [default: half of the quota]
    #[arg(long, value_name = "SIZE", value_parser = quota)]
    history_size: Option<u64>,
    /// Format of the events on standard output.
    #[arg(long, value_enum, default_value = "text")]
    log_format: LogFormat,
}

impl ServeArgs {
    /// Format of the log beside the events.
    pub(crate) const fn log_format(&self) -> LogFormat {
        self.log_format
    }
}

fn listen(text: &str) -> Result<ListenAddress, String> {
    if let Some(path) = text.strip_prefix("unix://") {
        return if path.starts_with('/') && !path.ends_with('/') {
            Ok(ListenAddress::Unix(path.into()))
        } else {
            Err("write the socket's path in full, as in unix:///run/leasehold/store.sock".into())
        };
    }
    parse_loopback(text).map(ListenAddress::Tcp).map_err(|unfit| {
        match unfit {
            LoopbackError::NoAddress => "write an address with a port, as in 127.0.0.1:2379",
            LoopbackError::Reachable => {
                "other machines can reach it, and the store has no users and no encryption: write a \
                 loopback address, as in 127.0.0.1:2379; for several machines, use etcd"
            }
        }
        .into()
    })
}

/// Parses a loopback address, for commands that listen nowhere else.
pub(crate) fn loopback(text: &str) -> Result<std::net::SocketAddr, String> {
    match listen(text)? {
        ListenAddress::Tcp(address) => Ok(address),
        ListenAddress::Unix(_) => Err("write an address with a port, as in 127.0.0.1:2379".into()),
    }
}

fn quota(text: &str) -> Result<u64, String> {
    match parse_size(text) {
        Some(bytes) if bytes >= SMALLEST_QUOTA => Ok(bytes),
        Some(_) => Err("write 1MiB or more".into()),
        None => Err("write a whole number with KiB, MiB or GiB, as in 512MiB".into()),
    }
}

/// Serves until a signal ends it.
pub(crate) async fn run(args: ServeArgs, level: EventLevel) -> Result<Exit, Failure> {
    let mut signals = Signals::new().map_err(|error| Failure::internal(&error))?;
    let strays = StraySignals::ignore().map_err(|error| Failure::internal(&error))?;
    let (embedded, options) = if args.memory {
        (Embedded::in_memory(), StoreOptions::memory())
    } else {
        let dir = args.dir.unwrap_or_else(default_store_dir);
        (Embedded::in_directory(&dir), StoreOptions::directory(dir))
    };
    let options = options.quota(args.quota).keep_revisions(Some(args.history));
    let options = match args.history_size {
        Some(bytes) => options.keep_bytes(bytes),
        None => options,
    };
    let store = EmbeddedStore::open_with(&embedded, options, args.listen).await?;
    let event_log = EventLog::start(
        Arc::new(SystemClock),
        (args.log_format.into(), level),
        "store",
        Out::Stdout,
    )
    .map_err(|error| Failure::internal(&error))?;
    let strays = report_strays(strays, &event_log);
    event_log.emit(EventContext::default(), store.opened());
    let name = signals.next().await;
    let reason = name.into();
    event_log.emit(EventContext::default(), EventKind::HostStopping { reason });
    let exit = tokio::select! {
        () = store.close() => Exit::Ok,
        _ = signals.next() => Exit::Aborted,
    };
    if exit == Exit::Ok {
        event_log.emit(EventContext::default(), EventKind::StoreClosed);
    }
    drop(strays);
    event_log.finish();
    Ok(exit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_machine_is_listened_to() {
        for text in ["127.0.0.1:0", "localhost:2379", "[::1]:1", "unix:///run/s"] {
            assert!(listen(text).is_ok(), "{text}");
        }
        for text in ["0.0.0.0:2379", "2379", "unix://s", "unix:///s/", "etcd:1"] {
            assert!(listen(text).is_err(), "{text}");
        }
        assert!(loopback("unix:///run/s").is_err());
    }

    #[test]
    fn a_quota_is_a_size_that_something_fits_into() {
        assert_eq!(quota("512MiB"), Ok(512 << 20));
        assert!(quota("512KiB").is_err());
        assert!(quota("much").is_err());
    }
}
