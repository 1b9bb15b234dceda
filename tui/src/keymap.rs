//! What every key does: the commands, their keys, and the file in which a person changes them.
//!
//! - `command`: all commands, with their names, words and default keys
//! - `key`: one key, as a terminal sends it, as a file writes it, as a screen shows it
//! - `settings`, `bind`: the file; `report`: everything that is wrong with it
//!
//! The arrows, Home, End and the page keys always move, so that nobody is ever stuck; nothing here may let a
//! file take that away. What is typed into a prompt never comes here.

mod bindings;
mod command;
mod errors;
mod key;
mod key_table;
mod settings;
mod suggest;

#[cfg(test)]
mod tests;

pub(crate) use command::{Command, CommandGroup};
pub(crate) use key_table::Keymap;
pub(crate) use settings::DashboardSettings;
