//! Watch streams against a history made up for each test, and over a socket.

mod bounds;
mod delivery;
mod fake;
mod progress;
mod race;
mod request;
mod wire;
