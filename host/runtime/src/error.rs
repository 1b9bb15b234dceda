//! Errors making the runtime and loading a plugin.
//!
//! Every message contains what failed, where, and the remedy. A plugin is refused here, before any
//! lock is requested. Raw bytes of a plugin are never printed: names found in a plugin pass
//! [`printable`] first.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use leasehold_records::printable;

use super::cache::CacheError;
use leasehold_config::{JobSource, LimitKey, Remedy, format_size};

/// Error making the runtime.
#[derive(Debug, thiserror::Error)]
pub enum RuntimeError {
    /// The watchdog thread could not be started.
    #[error("cannot start the watchdog thread: {0}: raise the limit on threads")]
    Watchdog(#[source] io::Error),
    /// The compile cache's directory is not acceptable.
    #[error(transparent)]
    CacheDir(#[from] CacheError),
    /// The compile cache could not be opened.
    #[error("compile cache {}: {reason}", .path.display())]
    Cache {
        /// The directory.
        path: PathBuf,
        /// Error from the engine.
        reason: String,
    },
    /// There is no cache directory, but plugins are compiled in child processes, which need one for their results.
    #[error("plugins cannot be compiled without a directory of the compile cache: name one")]
    NoCacheDir,
    /// The engine refused its configuration.
    #[error(
        "cannot make an engine with a stack of {stack_bytes} bytes: {reason}: change `stack` in the job's limits"
    )]
    Engine {
        /// The requested stack size.
        stack_bytes: u64,
        /// Error from the engine.
        reason: String,
    },
    /// The thread that makes the runtime failed.
    #[error("internal error: {0}")]
    Internal(String),
}

/// A plugin that was refused.
#[derive(Debug, thiserror::Error)]
#[error("job {}: plugin {}: {}", .job.job(), shown(.path), .problem.for_source(.job))]
pub struct LoadError {
    /// The job whose plugin it is, and the source of its settings, which remedies name.
    pub job: JobSource,
    /// The plugin's file.
    pub path: PathBuf,
    /// The problem with it.
    #[source]
    pub problem: LoadProblem,
}

/// Formats a path for a message of several lines. A file's name may contain a line end.
fn shown(path: &Path) -> String {
    printable::line(&path.display().to_string())
}

/// Reason to refuse a plugin.
///
/// The text contains every remedy except [`LoadProblem::remedy`], which depends on the job's source.
#[derive(Debug, thiserror::Error)]
pub enum LoadProblem {
    /// The file could not be read.
    #[error("cannot be read: {0}: check `plugin` in the job's table")]
    Unreadable(#[source] io::Error),
    /// It is a directory, a pipe or a device.
    #[error("is a {0}, not a file: name the .wasm file")]
    NotAFile(&'static str),
    /// Other users can change it. The text continues after the plugin's name and contains the remedy.
    #[error("{0}")]
    Exposed(String),
    /// It is over the size limit.
    #[error("is larger than {most} bytes")]
    TooBig {
        /// The limit in bytes.
        most: u64,
    },
    /// Its digest is not the pinned one.
    #[error("has sha256 {found}, but {expected} is pinned")]
    Digest {
        /// The pinned digest in hex.
        expected: String,
        /// The file's digest in hex.
        found: String,
    },
    /// It has no bytes.
    #[error("is empty: build or copy it again")]
    Empty,
    /// It is not WebAssembly.
    #[error("is not WebAssembly: it begins with {found}; {remedy}")]
    NotWasm {
        /// Its first bytes, printable.
        found: String,
        /// The remedy.
        remedy: &'static str,
    },
    /// It is machine code, compiled ahead of time.
    #[error(
        "is precompiled machine code, which cannot be checked: give the .wasm file it was made from"
    )]
    Precompiled,
    /// It is cut off.
    #[error("is cut off at byte {at}: copy it again")]
    Truncated {
        /// The offset of its end.
        at: u64,
    },
    /// It breaks the rules of WebAssembly, or uses features that are turned off.
    #[error(
        "is not valid: {reason}: build it with a released toolchain for wasm32-wasip1 or wasm32-wasip2"
    )]
    Invalid {
        /// Error from the validator.
        reason: String,
    },
    /// It uses a feature that would escape the limits.
    #[error("uses {feature}, which the limits of a run cannot cover: {remedy}")]
    Forbidden {
        /// The feature.
        feature: &'static str,
        /// The remedy.
        remedy: &'static str,
    },
    /// It needs a WebAssembly proposal that is turned off on this host.
    #[error("uses the WebAssembly proposal \"{name}\", which this host leaves off: {remedy}")]
    Proposal {
        /// The proposal.
        name: &'static str,
        /// The remedy.
        remedy: &'static str,
    },
    /// It exceeds a cap, which is far above the output of any toolchain.
    #[error(
        "has {found} {unit}, and a host takes at most {most}: build it without what it does not use, or split it into several plugins"
    )]
    OverCap {
        /// The counted unit.
        unit: &'static str,
        /// The number at which the scan stopped. The file may have more.
        found: u64,
        /// The cap.
        most: u64,
    },
    /// Its `_start` cannot be called without arguments.
    #[error(
        "exports `_start` as {found}, and a command's is a function without parameters and results: build it as a program, not as a library"
    )]
    Start {
        /// The kind or type of the export.
        found: String,
    },
    /// Its calls to WASI would have no memory to use.
    #[error(
        "imports wasi_snapshot_preview1 and exports no memory of the name `memory`: link it as a program, as wasm32-wasip1 toolchains do"
    )]
    NoMemory,
    /// It was built for another version of the contract.
    #[error("was built for {found}; this host speaks {package}@{ours} (major versions: {major}): rebuild it with a matching SDK or use a matching host", package = super::contract::PACKAGE, ours = super::contract::VERSION, major = super::contract::MAJOR)]
    Contract {
        /// The interface that it names.
        found: String,
    },
    /// It exports nothing that can be run.
    #[error("exports nothing to run: a job exports leasehold:job/guest@{ours}, a command exports wasi:cli/run@0.2 or `_start`; it exports {found}", ours = super::contract::VERSION)]
    NoEntry {
        /// Its exports.
        found: String,
    },
    /// It imports something that the job was not granted.
    #[error("imports {import}, which job {job} was not granted")]
    NotGranted {
        /// The job.
        job: String,
        /// The import.
        import: String,
        /// The line that grants it.
        line: String,
        /// An alternative remedy, after a comma. Empty if there is none.
        otherwise: &'static str,
    },
    /// It imports an interface that hosts of this version do not offer.
    #[error("imports {import}, which this host does not offer: {remedy}")]
    UnknownImport {
        /// The import.
        import: String,
        /// The remedy.
        remedy: &'static str,
    },
    /// The certificates that its requests trust cannot be loaded.
    #[error("{0}")]
    Certificates(String),
    /// One of the job's secrets cannot be used.
    #[error("{0}")]
    Secret(String),
    /// An import is known but has another type.
    #[error("does not fit this host: {reason}: rebuild it against the contract of this host ({package}@{ours}) and WASI 0.2", package = super::contract::PACKAGE, ours = super::contract::VERSION)]
    Link {
        /// Error from the linker.
        reason: String,
    },
    /// It calls a function of a later minor version of the contract.
    #[error("was built for {found} and calls {function}, which this host does not have: it speaks {package}@{ours}: use a newer host, or build it against the contract of this one", package = super::contract::PACKAGE, ours = super::contract::VERSION)]
    Newer {
        /// The interface that it names.
        found: String,
        /// The function, in quotes, or a description of it.
        function: String,
    },
    /// It needs more memory at its start than the job may use.
    #[error("needs {needs} bytes of memory to start, job {job} may use {most}")]
    Memory {
        /// The job.
        job: String,
        /// The sum of its declared minimums.
        needs: u64,
        /// The limit.
        most: u64,
    },
    /// Compiling took too long.
    #[error("was not compiled within {most:?}")]
    CompileTime {
        /// The limit.
        most: Duration,
    },
    /// Compiling took too much memory.
    #[error("needed more than {} of memory to be compiled", format_size(*.most))]
    CompileMemory {
        /// The limit in bytes.
        most: u64,
    },
    /// The process that read or compiled it crashed or failed.
    #[error("cannot be compiled: {how}: build it with a released toolchain")]
    Ended {
        /// The part of the plugin, and the failure of the process.
        how: String,
    },
    /// The process that read or compiled it was killed from outside.
    #[error(
        "was not compiled: the process that compiled it was killed, by the kernel because memory ran out or by an operator: load it again when memory is free"
    )]
    Killed,
    /// The process that read it refused it, with this message.
    #[error("{0}")]
    Refused(String),
    /// The host failed: for example, it has no engine for the job's limits, or no thread for the compiler.
    #[error("cannot be loaded: {0}")]
    Host(String),
}

impl LoadProblem {
    /// Returns the remedy that names a setting of the job, if there is one.
    pub fn remedy(&self) -> Option<Remedy> {
        Some(match self {
            Self::TooBig { .. } => Remedy::Raise(LimitKey::PluginSize),
            Self::Memory { .. } => Remedy::Raise(LimitKey::Memory),
            Self::CompileTime { .. } => Remedy::Raise(LimitKey::CompileTime),
            Self::CompileMemory { .. } => Remedy::Raise(LimitKey::CompileMemory),
            Self::NotGranted {
                line, otherwise, ..
            } => Remedy::Grant {
                line: line.clone(),
                otherwise,
            },
            Self::Digest { .. } => Remedy::Change {
                instead: "install the pinned build or ",
                key: "sha256",
            },
            Self::Unreadable(_)
            | Self::NotAFile(_)
            | Self::Exposed(_)
            | Self::Empty
            | Self::NotWasm { .. }
            | Self::Precompiled
            | Self::Truncated { .. }
            | Self::Invalid { .. }
            | Self::Forbidden { .. }
            | Self::Proposal { .. }
            | Self::OverCap { .. }
            | Self::Start { .. }
            | Self::NoMemory
            | Self::Contract { .. }
            | Self::NoEntry { .. }
            | Self::UnknownImport { .. }
            | Self::Certificates(_)
            | Self::Secret(_)
            | Self::Link { .. }
            | Self::Newer { .. }
            | Self::Ended { .. }
            | Self::Killed
            | Self::Refused(_)
            | Self::Host(_) => return None,
        })
    }

    /// Returns the problem and every remedy as text for a job from this source.
    pub fn for_source(&self, source: &JobSource) -> String {
        match self.remedy() {
            Some(remedy) => format!("{self}: {}", remedy.for_source(source)),
            None => self.to_string(),
        }
    }

    /// Makes a name found inside a plugin printable.
    pub(crate) fn name(raw: &str) -> String {
        printable::line(raw)
    }
}
