//! The dashboard: holders and waiters of each lock on an etcd, their order, times and revisions, the effects of a
//! lost lease, and the state at earlier moments.
//!
//! It reads the store like any client. It changes nothing in it unless that is permitted and the operator confirms.
//! It has no code for WebAssembly and compiles without it.
//!
//! # Layout
//!
//! Facts go one way: `source` → `fact` → `model` → `app` → `view`, and the same model feeds `out`.
//!
//! - `source`: a store or a recording. The only part with requests and a clock.
//! - `model`: the state of the store, now and at earlier moments. Pure.
//! - `app`: selection and commands. Pure.
//! - `view`: drawing, one file a panel. Decides nothing.
//! - `columns`: the columns of all lists and their cells.
//! - `screen`: the terminal and the loop. `out`: output without a terminal.
//! - `keymap`, `filter`, `theme`, `text`: keys, filters, colours, text in cells.

mod app;
mod args;
mod columns;
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
pub use top::{can_draw, operator, top, watch};
