//! The configuration, a file or a folder of files: TOML in, valid values out, or one report with every error.
//!
//! [`Config::load`] is called by `leasehold check` and by `leasehold run`. Each error has its file,
//! line, column, the line itself and a remedy, and with a single one nothing starts.
//! `configs/reference.toml` explains every key.
//!
//! A job's values come in layers. For each key, the first layer that sets it wins: the job's own
//! TOML, the manifest inside its plugin, `[defaults]`, the built-in values. [`Job::origin`] returns
//! the layer of a value.
//!
//! Modules in reading order:
//!
//! - `input` (bytes), `parts` (one file or several), `source_map` (positions in all files), `syntax` (TOML)
//! - `section` (one table), `read` (one value), then a file per table
//! - `schema` (all tables and keys), `job` (a job, and the table of its plain keys)
//! - `raw_job` (one table's values for a job), `nested` (manifests and sidecars), `dropped` (jobs out of
//!   a folder)
//! - `validate` (from these values to a job), `timing`, `lock_value` and `lock_claims` (values that must fit together)
//!
//! Nothing is started here, and no secret's file is read.

mod allow;
mod bounds;
mod clash;
mod context;
mod cron;
mod defaults;
mod drift;
mod dropped;
mod effective;
mod embedded;
mod endpoint;
mod environment;
mod file_claim;
mod files;
mod guest;
mod history;
mod host;
mod host_values;
mod http_url;
mod ignored_in_eq;
mod input;
mod job;
mod job_locks;
mod job_table;
mod json_schema;
mod keep_output;
mod limits;
mod listen;
mod load;
mod loaded;
mod lock_claims;
mod lock_value;
mod lockname;
mod needs;
mod nested;
mod node;
mod notify;
mod origin;
mod otlp;
mod parts;
mod pipe;
mod plugins;
mod raw_job;
mod read;
mod reading;
mod report;
mod schedule;
mod schema;
mod secrets;
mod section;
mod sharing;
mod source_map;
mod store;
mod syntax;
mod ticks;
mod timing;
mod validate;
mod value_form;

#[cfg(test)]
mod tests;

pub use clash::{Clash, clash};
pub use cron::Cron;
pub use drift::Drift;
pub use dropped::DropIn;
pub use effective::Setting;
pub use embedded::{Data, Embedded, History};
pub use endpoint::Endpoint;
pub use history::JobHistory;
pub use host::Host;
pub use job::{Job, OwnResources};
pub use job_locks::{JobLock, JobLocks, MOST_JOB_LOCKS};
pub use json_schema::json_schema;
pub use keep_output::KeepOutput;
pub use listen::ListenAt;
pub use load::{default_data_dir, default_store_dir};
pub use loaded::Config;
pub use lockname::lock_name_fault;
pub use notify::{Notify, NotifyCommand, NotifyKind, NotifyUrl};
pub use origin::{Layer, Origin};
pub use otlp::{Otlp, OtlpProtocol};
pub use plugins::Plugins;
pub use reading::Reading;
pub use report::Report;
pub use schedule::{Restart, Schedule, UpdateTime, Wait};
pub use store::{Login, Remote, Store, StorePlace, Tls};
pub use ticks::{Beat, MissedTicks, Ticks};

pub use embedded::{LoopbackError, parse_loopback};
pub use parts::files_of;
pub use read::{format_size, hex, parse_size};
pub use sharing::overlaps_any;
pub use timing::RENEWALS_PER_TTL;
