//! Keys of the limits, for messages that name the key to raise.
//!
//! The values are in [`crate::limits`].

use std::fmt;

/// Key of a limit under `[jobs.NAME.limits]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LimitKey {
    /// Linear memory, summed.
    Memory,
    /// Table elements, summed.
    Tables,
    /// Core instances, memories and tables, each.
    Instances,
    /// Guest stack.
    Stack,
    /// Bytes moved by one host call.
    HostCall,
    /// Resource handles.
    Handles,
    /// Random bytes per call.
    Random,
    /// Captured output.
    Output,
    /// Lines per second.
    LogRate,
    /// Size of a fenced value.
    KvValue,
    /// Size of all fenced keys.
    KvTotal,
    /// Growth of files.
    Disk,
    /// Files made.
    DiskFiles,
    /// Files open at once.
    OpenFiles,
    /// Size of a request's or response's body.
    HttpBody,
    /// Requests open at once.
    HttpRequests,
    /// Size of a request's or response's headers.
    HttpFields,
    /// Time without a response.
    HttpTimeout,
    /// Size of the plugin file.
    PluginSize,
    /// Time to compile.
    CompileTime,
    /// Memory to compile.
    CompileMemory,
}

impl LimitKey {
    /// Returns the key as text.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Tables => "table_elements",
            Self::Instances => "instances",
            Self::Stack => "stack",
            Self::HostCall => "host_call",
            Self::Handles => "handles",
            Self::Random => "random",
            Self::Output => "output",
            Self::LogRate => "log_rate",
            Self::KvValue => "kv_value",
            Self::KvTotal => "kv_total",
            Self::Disk => "disk",
            Self::DiskFiles => "disk_files",
            Self::OpenFiles => "open_files",
            Self::HttpBody => "http_body",
            Self::HttpRequests => "http_requests",
            Self::HttpFields => "http_fields",
            Self::HttpTimeout => "http_timeout",
            Self::PluginSize => "plugin_size",
            Self::CompileTime => "compile_time",
            Self::CompileMemory => "compile_memory",
        }
    }
}

impl fmt::Display for LimitKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
