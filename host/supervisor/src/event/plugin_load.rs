//! Fields of events about the loading of plugins.

use serde::Serialize;

/// Start of a compilation.
#[derive(Clone, Debug, Serialize)]
pub struct CompileStart {
    /// Path of the plugin.
    pub file: String,
    /// Size of its file.
    pub size_bytes: u64,
    /// True if a command shows it on standard error, so that lines for people leave it out.
    #[serde(skip)]
    pub is_shown: bool,
}

/// End of a load whose plugin is ready.
#[derive(Clone, Debug, Serialize)]
pub struct LoadEnd {
    /// Path of the plugin.
    pub file: String,
    /// SHA-256 of the plugin, in hex.
    pub sha256: String,
    /// Time to compile and load the plugin, in milliseconds. A wait for other compilations does not count.
    pub took_ms: u64,
    /// True if its machine code was in the compile cache.
    pub cached: bool,
    /// True if a command shows it on standard error, so that lines for people leave it out.
    #[serde(skip)]
    pub is_shown: bool,
}
