//! Output of guests beyond their run: the last lines in memory, published while a reader requests them.
//!
//! - `recent_lines`: the last lines of one run; pure.
//! - `run_output`, `output_registry`: the output of one run, and of all runs under way.
//! - `follow_requests`: the jobs whose output readers request; pure.
//! - `allowance`, `publication`: bounds on what is written, and the chunks of one run; pure.
//! - `publisher`: the tasks that watch for requests and write chunks.
//!
//! A guest never waits for any of this: it adds a line to a buffer. Without a request nothing is written.

mod allowance;
mod follow_requests;
mod output_registry;
mod publication;
mod publisher;
mod recent_lines;
mod run_output;

pub(crate) use output_registry::OutputRegistry;
pub(crate) use publisher::OutputPublisher;
pub(crate) use run_output::RunAbout;
