//! Error for a host's name that no record has.

use std::collections::BTreeSet;

use crate::exit::Exit;
use crate::failure::Failure;
use crate::known_names::{KnownNames, describe};

/// Returns the failure to report if no host of this name is known.
pub(crate) fn unknown_host(host: &str, known: &BTreeSet<String>) -> Option<Failure> {
    let names = KnownNames {
        noun: "host",
        none: "no host is alive, and no run is recorded",
        known,
    };
    (!known.contains(host)).then(|| Failure::new(Exit::Usage, describe(host, &names)))
}
