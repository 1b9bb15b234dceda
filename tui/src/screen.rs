//! The terminal: capturing and restoring it, and the loop between it, the store and the program.

mod clipboard;
mod panic_probe;
mod run;
mod terminal;

pub(crate) use panic_probe::panic_on_screen;
pub(crate) use run::{ScreenEnd, ScreenFeed, run};
