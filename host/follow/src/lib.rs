//! Reading the live output of jobs from the store, for the command line and the dashboard.
//!
//! - [`OutputReader`]: requests the output of a job, and returns it as it comes, over all hosts and runs.
//! - [`OutputAssembler`]: chunks in, lines and gaps out; pure.
//! - [`read_run`]: the record of a run, its own or one that it shares.
//! - [`OutputItem`], [`RunHead`], [`RunEnding`], [`GapCause`]: what is returned.
//!
//! ```text
//! OutputReader::open ─▶ follow/JOB/READER, under a lease of the reader
//!                          │ hosts watch
//!                          ▼
//! OutputReader::next ◀─ output/JOB/RUN/N, written while the request exists
//! ```
//!
//! A reader that ends without [`OutputReader::close`] is forgotten when its lease ends.

mod assembler;
mod item;
mod reader;
mod run_reading;

pub use assembler::OutputAssembler;
pub use item::{GapCause, OutputItem, RunEnding, RunHead};
pub use reader::{OutputReader, ReadRequest};
pub use run_reading::read_run;
