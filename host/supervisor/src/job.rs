//! Jobs: what each should be doing (`machine`), the work that does it (`work`, `waiting` for the lock, `claiming`
//! for ticks, `run`), what that works with (`bench`) and takes (`provision`), what the end of a run means (`closing`), what is known of a
//! job (`seat`), and what keeps a tick from being run twice (`tick`) or years early (`clocks`).

pub(crate) mod bench;
pub(crate) mod claiming;
pub(crate) mod clocks;
pub(crate) mod closing;
pub(crate) mod machine;
pub(crate) mod provision;
pub(crate) mod run;
pub(crate) mod seat;
pub(crate) mod tick;
pub(crate) mod waiting;
mod whose;
pub(crate) mod work;

#[cfg(test)]
mod sim_tests;
