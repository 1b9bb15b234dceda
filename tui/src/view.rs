//! The screen. Everything here reads the program and writes cells; only [`draw`] changes anything, and
//! only what whoever draws has to say: which rows are on the screen, and where.
//!
//! ```text
//! | header    whether the store is heard, and counts                    |
//! | tabs      views; filter, order, root                                |
//! | +-- the view's list ------------------------------- 1-12 of 41 --+  |
//! | |                                                                |  |
//! | +----------------------------------------------------------------+  |
//! | +-- panes about the selected row, if there is room --------------+  |
//! | +----------------------------------------------------------------+  |
//! | HIST      the moment that is shown, if it is not now or there is room |
//! | footer    a note, a filter that is typed, or what keys do           |
//! ```
//!
//! No clock is read here: `now` is given, in Unix milliseconds. Whatever a store says is cut to its cell
//! ([`paint`], [`table`]). A store that is not heard never looks like an empty one ([`empty`], [`header`]).
//! Only rows that are on the screen are made.

mod cells;
mod draw;
mod empty;
mod events;
mod footer;
mod header;
mod heatmap;
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
