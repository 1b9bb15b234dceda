//! What is on the screen. Read the snapshots as somebody would who was woken up: what matters has to be
//! there, in its place, and in words.

mod hostile;
mod many;
mod moments;
mod overlays;
mod sizes;
mod stage;
mod svg;
mod themes;
mod views;
