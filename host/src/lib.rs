//! The `leasehold` program: its command line, one file a command, and the sentences and exit codes that they end with.
//!
//! The crates below do the work of the commands: `leasehold-config`, `leasehold-runtime`, `leasehold-supervisor`,
//! `leasehold-store` and `leasehold-tui`.

pub mod exit;

mod absent_host;
mod cli;
mod commands;
mod config_place;
mod config_reader;
mod diagnostics;
mod embedded;
mod failure;
mod held_command;
mod interrupt;
mod known_hosts;
mod known_jobs;
mod known_names;
mod log_format;
mod log_level;
mod look;
mod orders;
mod output_printer;
mod progress;
mod recent_runs;
mod record_reader;
mod service_manager;
mod show_format;
mod sink;
mod size_text;
mod store_reading;
mod store_target;
mod stray;
mod table;
mod telemetry;
mod threads;
mod variables;
mod wrap;

pub use cli::main;

// `leasehold check` refuses a TTL in which the renewer's pace would not fit.
const _: () = assert!(leasehold_config::RENEWALS_PER_TTL == leasehold_lock::RENEWALS_PER_TTL);
