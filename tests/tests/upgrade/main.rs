//! Files and records of every version are read by this one. `scripts/fixtures` captures them.

mod fixture;
mod host;
mod records;
mod store;
