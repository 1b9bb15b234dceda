//! Screens. Read the snapshots like an operator on call at night: everything important must be there, in its place,
//! and in words.

mod hostile;
mod many;
mod moments;
mod orders;
mod overlays;
mod sizes;
mod stage;
mod svg;
mod themes;
mod views;
