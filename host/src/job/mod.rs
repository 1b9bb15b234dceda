//! Jobs: what each should be doing (`machine`), the work that does it (`work`, and `claiming` for ticks), what
//! that works with (`bench`), one run (`run`) and what its end means (`closing`), what is known of a job (`seat`),
//! and what keeps a tick from being run twice (`tick`).

pub(crate) mod bench;
pub(crate) mod claiming;
pub(crate) mod closing;
pub(crate) mod machine;
pub(crate) mod run;
pub(crate) mod seat;
pub(crate) mod tick;
pub(crate) mod work;

#[cfg(test)]
mod sim_tests;
