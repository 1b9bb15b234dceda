//! The `leasehold` program: its command line, one file a command, and the sentences and exit codes that they end with.
//!
//! The crates below do the work of the commands: `leasehold-config`, `leasehold-runtime`, `leasehold-supervisor`,
//! `leasehold-store` and `leasehold-tui`.

pub mod exit;

mod age;
mod cli;
mod commands;
mod config_place;
mod diagnostics;
mod embedded;
mod failure;
mod known_jobs;
mod log_format;
mod orders;
mod record_reader;
mod service_manager;
mod show_format;
mod sink;
mod stray;
mod table;
mod threads;

pub use cli::main;

// `leasehold check` refuses a TTL in which the renewer's pace would not fit.
const _: () = assert!(leasehold_config::RENEWALS_PER_TTL == leasehold_lock::RENEWALS_PER_TTL);
