//! Settings of the program: where its facts come from, its keys and colours, and the permission to write.

use leasehold_orders::Tz;
use leasehold_records::UnixMs;

use crate::keymap::Keymap;
use crate::theme::Theme;

/// Source of the facts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum FactSource {
    /// A store at this address.
    Store(String),
    /// A recording; its last moment is its present.
    Recording { file: String, ended: UnixMs },
}

/// Appearance and permissions; fixed while the program runs except for theme and mouse.
#[derive(Debug)]
pub(crate) struct AppSetup {
    pub(crate) keymap: Keymap,
    pub(crate) theme: Theme,
    /// Looks up a variable of the environment.
    pub(crate) env: fn(&str) -> Option<String>,
    pub(crate) mouse: bool,
    /// Changes to the store are permitted.
    pub(crate) allow_write: bool,
    pub(crate) source: FactSource,
    /// Name in the record of an admin action, as user@machine.
    pub(crate) operator: String,
    /// Zone of the times that the operator types.
    pub(crate) zone: Tz,
}
