//! Claims: files and variables that the configuration names and that must exist.

use std::ops::Range;
use std::path::PathBuf;

/// Purpose of reading a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LoadPurpose {
    /// To run its jobs on the store that it names.
    Run,
    /// To read that store.
    Read,
    /// To run its jobs on a store that the command starts: the file's [store] may be absent.
    Develop,
}

/// Use of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FileKind {
    /// A job's WebAssembly.
    Plugin,
    /// A password.
    Password,
    /// Certificates.
    Certificate,
    /// The key of a certificate.
    PrivateKey,
    /// A job's secret.
    Secret,
    /// Certificates that a job's requests trust.
    Authority,
    /// A directory that a job's guest may use.
    Directory,
    /// The folder for plugins.
    PluginFolder,
    /// A program that messages go to.
    Program,
    /// Headers of requests that carry messages or traces.
    Headers,
}

impl FileKind {
    pub(super) const fn noun(self) -> &'static str {
        match self {
            Self::Plugin => "plugin",
            Self::Password => "password file",
            Self::Certificate | Self::Authority => "certificate file",
            Self::PrivateKey => "private key",
            Self::Secret => "secret file",
            Self::Directory => "directory",
            Self::PluginFolder => "plugin folder",
            Self::Program => "program",
            Self::Headers => "header file",
        }
    }

    pub(super) const fn is_secret(self) -> bool {
        matches!(
            self,
            Self::Password | Self::PrivateKey | Self::Secret | Self::Headers
        )
    }

    /// Returns true if only a host that runs jobs needs it; false if it is needed to reach the store.
    pub(super) const fn is_for_a_job(self) -> bool {
        matches!(
            self,
            Self::Plugin
                | Self::PluginFolder
                | Self::Secret
                | Self::Authority
                | Self::Directory
                | Self::Program
                | Self::Headers
        )
    }
}

/// A resource that must exist, and the bytes of the configuration that name it.
#[derive(Debug)]
pub(super) struct FileClaim {
    pub(super) what: ClaimedItem,
    pub(super) span: Range<usize>,
}

/// A file or a variable.
#[derive(Debug)]
pub(super) enum ClaimedItem {
    File(FileKind, PathBuf),
    /// A variable of the host's own environment that holds a job's secret.
    Variable(String),
    /// A credential of the service manager that holds a job's secret.
    Credential(String),
}

impl FileClaim {
    /// Returns true if a reader with this purpose needs the file.
    pub(super) fn is_needed_to(&self, purpose: LoadPurpose) -> bool {
        let is_for_a_job = match &self.what {
            ClaimedItem::File(kind, _) => kind.is_for_a_job(),
            ClaimedItem::Variable(_) | ClaimedItem::Credential(_) => true,
        };
        match purpose {
            LoadPurpose::Run => true,
            LoadPurpose::Read => !is_for_a_job,
            LoadPurpose::Develop => is_for_a_job,
        }
    }
}
