//! Structured log lines, beside stdout and stderr.
//!
//! A log line never fails a run: no call here returns an error. The host drops and counts lines that
//! are over the job's limits.
//!
//! ```no_run
//! use leasehold_job::log;
//!
//! let (amount, account) = (12, "ledger/account/3");
//! log::info!("moved {amount}"; "to" => account, "amount" => amount);
//! ```

use crate::host;

pub use crate::types::Level;
pub use crate::{
    __debug as debug, __error as error, __info as info, __trace as trace, __warn as warn,
};

/// Writes one line with named fields; the macros of this module are the shorter way.
pub fn emit(level: Level, message: &str, fields: &[(String, String)]) {
    host::emit(level, message, fields);
}

/// One line: a format string with its arguments, then `;` and named fields.
#[doc(hidden)]
#[macro_export]
macro_rules! __emit {
    ($level:ident, $format:literal $(, $argument:expr)* $(; $($name:expr => $value:expr),+)? $(,)?) => {
        $crate::log::emit(
            $crate::log::Level::$level,
            &::std::format!($format $(, $argument)*),
            &[$($((
                ::std::string::ToString::to_string(&$name),
                ::std::string::ToString::to_string(&$value),
            )),+)?],
        )
    };
}

/// Logs a line at [`Level::Trace`]: `trace!("format {}", argument; "field" => value)`.
#[doc(hidden)]
#[macro_export]
macro_rules! __trace { ($($line:tt)+) => { $crate::__emit!(Trace, $($line)+) }; }

/// Logs a line at [`Level::Debug`]: `debug!("format {}", argument; "field" => value)`.
#[doc(hidden)]
#[macro_export]
macro_rules! __debug { ($($line:tt)+) => { $crate::__emit!(Debug, $($line)+) }; }

/// Logs a line at [`Level::Info`]: `info!("format {}", argument; "field" => value)`.
#[doc(hidden)]
#[macro_export]
macro_rules! __info { ($($line:tt)+) => { $crate::__emit!(Info, $($line)+) }; }

/// Logs a line at [`Level::Warn`]: `warn!("format {}", argument; "field" => value)`.
#[doc(hidden)]
#[macro_export]
macro_rules! __warn { ($($line:tt)+) => { $crate::__emit!(Warn, $($line)+) }; }

/// Logs a line at [`Level::Error`]: `error!("format {}", argument; "field" => value)`.
#[doc(hidden)]
#[macro_export]
macro_rules! __error { ($($line:tt)+) => { $crate::__emit!(Error, $($line)+) }; }
