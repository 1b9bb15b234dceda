//! The terminal: taking it, giving it back whatever happens, and the loop between it, the store and the
//! program.

mod clipboard;
mod fall;
mod run;
mod terminal;

pub(crate) use fall::panic_on_screen;
pub(crate) use run::{Ended, Feed, run};
