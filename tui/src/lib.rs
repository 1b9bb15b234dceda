//! The dashboard: who holds each lock on an etcd, who waits and in what order, for how long, and at which
//! revision; what a loss would set free; and how all that was a while ago.
//!
//! It reads the store like any client and changes nothing in it, unless it is allowed to and somebody
//! confirms it. It knows nothing of WebAssembly and compiles without it.
//!
//! # Layout
//!
//! Facts go one way: `source` → `fact` → `model` → `app` → `view`, and the same model feeds `out`.
//!
//! - `source`: a store that is listened to, or a recording. The only part that asks a store or a clock.
//! - `model`: what is known, now and a while ago. Pure.
//! - `app`: what is looked at, and what a key does. Pure.
//! - `view`: how it is drawn, one file a panel. Decides nothing.
//! - `screen`: the terminal and the loop. `out`: without a terminal.
//! - `keymap`, `filter`, `theme`, `text`: keys, what is searched for, colours, cells.

mod app;
mod args;
mod error;
mod fact;
mod filter;
mod keymap;
mod model;
mod out;
#[doc(hidden)]
pub mod probe;
mod screen;
mod source;
#[cfg(test)]
mod svg;
mod text;
mod theme;
mod top;
mod view;

pub use app::View;
pub use args::{DashboardArgs, StoreArgs};
pub use error::TopError;
pub use out::OutputFormat;
pub use source::RecordingError;
pub use theme::ThemeName;
pub use top::{can_draw, top, watch};
