//! Keys: the commands, their keys, and the file that changes them.
//!
//! - `command`: all commands, with their names, words and default keys
//! - `key`: one key in an event, in a file and on a screen; `key_table`: the bindings
//! - `settings`, `bindings`: the file; `errors`: the report of everything wrong with it
//!
//! The arrows, Home, End and the page keys always move, so that no settings make the dashboard unusable. Nothing here
//! may let a file change that. Keys typed into a prompt are not handled here.

mod bindings;
mod command;
mod errors;
mod key;
mod key_table;
mod settings;

#[cfg(test)]
mod tests;

pub(crate) use command::{Command, CommandGroup};
pub(crate) use key_table::Keymap;
pub(crate) use settings::DashboardSettings;
