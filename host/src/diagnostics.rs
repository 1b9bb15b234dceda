//! Diagnostics: log lines of libraries and of this program's internals, and panics, as lines on standard error.
//!
//! A thread of its own writes, behind a bounded queue, so that a pipe without a reader stops no worker. Lines that
//! a guest causes are output of its run, and count there. Nothing is written on the thread that logs.

mod layer;
mod line;
mod writer;

use std::io;
use std::panic::PanicHookInfo;
use std::sync::Arc;
use std::time::Duration;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::log_format::LogFormat;
use crate::look::has_colours_on_stderr;
use layer::Lines;
use line::{Diagnostic, Form};
use writer::Writer;

/// Environment variable that selects the lines to log.
const FILTER: &str = "LEASEHOLD_LOG";

/// The diagnostics of this process. Dropping it writes the remaining lines, for a limited time.
pub(crate) struct Diagnostics(Arc<Writer>);

impl Diagnostics {
    /// Receives the log events of libraries and the reports of panics. `level` is used when `LEASEHOLD_LOG` sets
    /// none.
    pub(crate) fn install(level: &str, format: LogFormat) -> Self {
        let form = match format {
            LogFormat::Json => Form::Json,
            LogFormat::Text => Form::Text {
                colours: has_colours_on_stderr(),
            },
        };
        let writer = Arc::new(Writer::new(form, || Box::new(io::stderr())));
        let filter = EnvFilter::try_from_env(FILTER).unwrap_or_else(|_| EnvFilter::new(level));
        let lines = Lines::new(writer.clone());
        // Fails only if another subscriber was installed first; then that one stays.
        let _ = tracing_subscriber::registry()
            .with(filter)
            .with(lines)
            .try_init();
        let panics = writer.clone();
        std::panic::set_hook(Box::new(move |panic| report_panic(&panics, panic)));
        Self(writer)
    }

    /// Writes the remaining lines, but waits no longer than this for a reader.
    pub(crate) fn finish(&self, within: Duration) {
        self.0.finish(within);
    }
}

/// Reports the panic in one line, and its backtrace in more lines, where `RUST_BACKTRACE` requests one.
fn report_panic(writer: &Writer, panic: &PanicHookInfo<'_>) {
    let thread = std::thread::current();
    let name = thread.name().unwrap_or("without a name");
    let text = format!("thread {name} {panic}");
    writer.write(Diagnostic::error("panic", text));
    let trace = std::backtrace::Backtrace::capture();
    if trace.status() == std::backtrace::BacktraceStatus::Captured {
        for frame in trace.to_string().lines() {
            writer.write(Diagnostic::error("panic", frame.to_owned()));
        }
    }
}
