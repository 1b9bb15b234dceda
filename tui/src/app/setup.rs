//! Settings of the program: where its facts come from, its keys and colours, and the permission to write.

use crate::keymap::Keymap;
use crate::theme::Theme;

/// Where the facts come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum FactSource {
    /// From a store at this address.
    Store(String),
    /// From this recording; its last moment, in Unix milliseconds, is its present.
    Recording { file: String, ended: u64 },
}

/// What decides how it looks and what it may do; fixed while it runs but for theme and mouse.
#[derive(Debug)]
pub(crate) struct AppSetup {
    pub(crate) keymap: Keymap,
    pub(crate) theme: Theme,
    /// Looks up what the environment says of the terminal.
    pub(crate) env: fn(&str) -> Option<String>,
    pub(crate) mouse: bool,
    /// Whether anything may be changed in the store.
    pub(crate) allow_write: bool,
    pub(crate) source: FactSource,
    /// Who would be named for a deed, as user@machine.
    pub(crate) operator: String,
}
