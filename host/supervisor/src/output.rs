//! Output of guests beyond their run: the last lines in memory, published while a reader requests them, and files.
//!
//! - `recent_lines`: the last lines of one run; pure.
//! - `run_output`, `output_registry`: the output of one run, and of all runs under way.
//! - `follow_requests`: the jobs whose output readers request; pure.
//! - `allowance`, `publication`: bounds on what is written, and the chunks of one run; pure.
//! - `publisher`: the tasks that watch for requests and write chunks.
//! - `file_queue`, `file_writer`, `kept_files`: the whole output in files, if the host keeps it.
//! - `last_output`, `recovery`: the last output of runs whose process died, for their records.
//!
//! A guest never waits for any of this: it adds a line to a buffer. Without a request nothing is written.

mod allowance;
mod file_queue;
mod file_writer;
mod follow_requests;
mod kept_files;
mod last_output;
mod output_registry;
mod publication;
mod publisher;
mod recent_lines;
mod recovery;
mod run_output;

pub(crate) use file_queue::FileQueue;
pub(crate) use file_writer::OutputFiles;
pub(crate) use last_output::{CutOffOutput, RecordStore, find_cut_off};
pub(crate) use output_registry::{ActiveOutput, OutputRegistry};
pub(crate) use publisher::OutputPublisher;
pub(crate) use recovery::recover;
