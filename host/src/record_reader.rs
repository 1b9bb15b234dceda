//! Reading records and locks from the store of a configuration, for commands that show them.

use std::path::Path;
use std::sync::Arc;

use leasehold_config::{Reading, StorePlace};
use leasehold_lock::{KeyValue, Kv, Locks, RefusalKind, StoreError, SystemClock};
use leasehold_records::{Root, printable};
use leasehold_supervisor::connect::{connect, options};

use crate::embedded::not_running;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::sink;

/// A connection for reading, and the prefix to read.
pub(crate) struct RecordReader {
    pub(crate) locks: Locks,
    pub(crate) root: Root,
    pub(crate) config: Reading,
}

impl RecordReader {
    /// Reads the configuration and connects.
    pub(crate) async fn open(file: &Path) -> Result<Self, Failure> {
        let config = Reading::load(file)?;
        warn(&config);
        let root = Root::new(config.store().root()).map_err(|e| Failure::internal(&e))?;
        let options = options(config.store())?;
        match connect(options, config.host().drift(), Arc::new(SystemClock)).await {
            Ok(locks) => Ok(Self {
                locks,
                root,
                config,
            }),
            Err(error) => match config.store().place() {
                StorePlace::Embedded(embedded) if error.may_pass() => {
                    Err(not_running(file, embedded))
                }
                _ => Err(error.into()),
            },
        }
    }
}

/// Prints a warning about mistakes in the configuration that do not affect this command.
pub(crate) fn warn(config: &Reading) {
    if let Some(warning) = config.warning() {
        sink::print_warning(&format!("{warning}\n"));
    }
}

/// The failure of a command whose records cannot be read.
pub(crate) fn unread(error: &StoreError) -> Failure {
    Failure::of_line(Exit::Store, &format!("cannot read the records: {error}"))
}

/// Reports records that are left out because their values are too large to be read.
pub(crate) fn warn_unreadable(keys: &[String]) {
    for key in keys {
        let key = printable::line(key);
        sink::print_warning(&format!(
            "leasehold: {key} is left out: its value is too large to be read; see it with etcdctl\n"
        ));
    }
}

/// True if the store refused the reading because this user may not read there.
pub(crate) const fn is_denied(error: &StoreError) -> bool {
    matches!(
        error,
        StoreError::Refused {
            kind: RefusalKind::Denied,
            ..
        }
    )
}

/// Reads every record under `prefix`. Keys of values that are too large are reported; a prefix that
/// may not be read is added to `denied`.
pub(crate) async fn records(
    kv: &Kv,
    prefix: &str,
    denied: &mut Vec<String>,
) -> Result<Vec<KeyValue>, StoreError> {
    let scan = match kv.scan(prefix, Vec::new, Vec::push).await {
        Err(error) if is_denied(&error) => {
            denied.push(prefix.to_owned());
            return Ok(Vec::new());
        }
        scan => scan?,
    };
    warn_unreadable(&scan.unreadable);
    Ok(scan.found)
}
