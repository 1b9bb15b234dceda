//! Configuration of Leasehold: TOML, manifests and sidecars in, valid values out, or one report with every error.
//!
//! - [`Config`] and the values in it: `config`.
//! - [`allow`], [`limits`]: what a job is granted, and its limits.
//! - [`Remedy`]: a setting to change, as text for each [`JobSource`].
//! - [`manifest`]: a job's description inside its plugin. [`plugin_file`]: plugins in a folder, and their sidecars.
//! - [`secrets`]: values read for one run. [`fingerprint`]: whether a file has changed.
//! - [`owned`]: opening files that only this user and root can change. [`wall`]: wall-clock time.
//!
//! This crate starts nothing, connects to nothing and compiles no plugin.

pub mod allow;
mod config;
mod credentials;
pub mod fingerprint;
pub mod limits;
pub mod manifest;
pub mod owned;
pub mod plugin_file;
mod remedy;
pub mod secrets;
pub mod wall;

pub use config::{
    Beat, Clash, Config, Cron, Data, Drift, DropIn, Embedded, Endpoint, History, Host, Job,
    JobHistory, JobLock, JobLocks, KeepOutput, Layer, ListenAt, Login, LoopbackError,
    MOST_JOB_LOCKS, MissedTicks, Notify, NotifyCommand, NotifyKind, NotifyUrl, Origin, Otlp,
    OtlpProtocol, OwnResources, Plugins, RENEWALS_PER_TTL, Reading, Remote, Report, Restart,
    Schedule, Setting, Store, StorePlace, Ticks, Tls, UpdateTime, Wait, clash, default_data_dir,
    default_store_dir, files_of, format_size, hex, json_schema, lock_name_fault, overlaps_any,
    parse_loopback, parse_size,
};
pub use leasehold_diagnostics::{Diagnostic, shown_path, suggest};
pub use limits::LimitKey;
pub use remedy::{JobSource, Remedy, RemedyText};
