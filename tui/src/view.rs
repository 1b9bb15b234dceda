//! The screen. Everything here reads the program and writes cells. Only [`draw`] changes the program, and only what
//! depends on drawing: the rows on the screen, and the hit areas.
//!
//! ```text
//! | header    connection to the store, and counts                       |
//! | tabs      views; filter, order, root                                |
//! | +-- the view's list ------------------------------- 1-12 of 41 --+  |
//! | |                                                                |  |
//! | +----------------------------------------------------------------+  |
//! | +-- panes about the selected row, if there is room --------------+  |
//! | +----------------------------------------------------------------+  |
//! | HIST      the moment that is shown, if it is not now or there is room |
//! | footer    a note, a filter that is typed, or hints about keys       |
//! ```
//!
//! No clock is read here: `now` is an argument. Text from a store is cut to its cell
//! ([`paint`], [`table`]). A lost store never looks like an empty one ([`empty`], [`header`]). Only rows on the
//! screen are made.

mod cells;
mod draw;
mod empty;
mod events;
mod footer;
mod header;
mod heatmap;
mod job_reasons;
mod jobs;
mod layout;
mod line_parts;
mod locks;
mod overlay;
mod paint;
mod pane;
mod queue;
mod queue_pane;
mod run_pane;
mod scene;
mod sessions;
mod table;
mod tabs;
mod time_bar;

#[cfg(test)]
mod tests;

pub(crate) use draw::draw;
