//! Arguments of the dashboard, for `leasehold top` and `leasehold-tui`.

use std::path::{Path, PathBuf};

use leasehold_lock::{ConnectOptions, CredentialSource, Tls, open_regular};
use leasehold_records::Root;

use crate::app::View;
use crate::error::TopError;
use crate::out::OutputFormat;
use crate::theme::ThemeName;

/// Arguments about the view and the output.
#[derive(Clone, Debug, Default, clap::Args)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a flag of the command line"
)]
pub struct DashboardArgs {
    /// Also show the locks of other clients under this prefix, as in /app/locks/. May be given several times.
    #[arg(long, value_name = "PREFIX", value_parser = prefix)]
    pub prefix: Vec<String>,
    /// Show only rows with this text: a word, a regular expression, !not, or -f fuzzy.
    #[arg(long, value_name = "TEXT")]
    pub filter: Option<String>,
    /// Print every lock once, and end.
    #[arg(long, conflicts_with_all = ["stream", "replay", "record"])]
    pub once: bool,
    /// Format of --once. [default: table]
    #[arg(long, value_enum, requires = "once")]
    pub format: Option<OutputFormat>,
    /// Print one JSON object a line for each thing that happens, until stopped.
    #[arg(long, conflicts_with = "replay")]
    pub stream: bool,
    /// Write everything that is seen into this file, which must not be there yet.
    #[arg(long, value_name = "FILE", conflicts_with = "replay")]
    pub record: Option<PathBuf>,
    /// Show what was recorded in this file, instead of a store.
    #[arg(long, value_name = "FILE")]
    pub replay: Option<PathBuf>,
    /// Allow leases to be revoked, entries to be removed and runs to be stopped from here. Each must be confirmed.
    #[arg(long, conflicts_with = "replay")]
    pub allow_write: bool,
    /// The view to begin with. [default: locks]
    #[arg(long, value_enum)]
    pub view: Option<View>,
    /// The colours; `NO_COLOR` means mono. [default: auto]
    #[arg(long, value_enum)]
    pub theme: Option<ThemeName>,
    /// A TOML file with keys, theme and mouse.
    #[arg(long, value_name = "FILE")]
    pub keys: Option<PathBuf>,
    /// Leave the mouse to the terminal.
    #[arg(long)]
    pub no_mouse: bool,
}

impl DashboardArgs {
    /// Returns true for modes that need a terminal.
    pub const fn needs_terminal(&self) -> bool {
        !self.once && !self.stream
    }
}

/// Arguments about the connection.
#[derive(Clone, Debug, clap::Args)]
pub struct StoreArgs {
    /// An address of the store: `http://host:port`, `https://host:port` or `unix:///path`. May be given
    /// several times. [default: `http://127.0.0.1:2379`]
    #[arg(long, value_name = "URL")]
    pub endpoint: Vec<String>,
    /// The prefix under which an installation has its locks and records.
    #[arg(long, value_name = "PREFIX", default_value = "/leasehold/", value_parser = root)]
    pub root: Root,
    /// Log in as this user.
    #[arg(long, value_name = "NAME", requires = "password_file")]
    pub user: Option<String>,
    /// A file with the user's password.
    #[arg(long, value_name = "FILE", requires = "user")]
    pub password_file: Option<PathBuf>,
    /// A file with the certificates that the store's must chain to.
    #[arg(long, value_name = "FILE")]
    pub ca: Option<PathBuf>,
    /// A file with our certificate.
    #[arg(long, value_name = "FILE", requires = "key")]
    pub cert: Option<PathBuf>,
    /// A file with our certificate's key.
    #[arg(long, value_name = "FILE", requires = "cert")]
    pub key: Option<PathBuf>,
    /// Allow connections without TLS to other machines.
    #[arg(long)]
    pub allow_plaintext: bool,
}

impl StoreArgs {
    /// Returns true if an address was given.
    pub const fn is_given(&self) -> bool {
        !self.endpoint.is_empty()
    }

    /// Builds the options of a connection.
    ///
    /// # Errors
    ///
    /// [`TopError::Usage`] when a file that is named cannot be read.
    pub fn options(&self) -> Result<ConnectOptions, TopError> {
        let usual = || vec!["http://127.0.0.1:2379".to_owned()];
        let endpoints = if self.is_given() {
            self.endpoint.clone()
        } else {
            usual()
        };
        let mut options = ConnectOptions::new(endpoints)
            .greet_key(self.root.as_str())
            .allow_plaintext(self.allow_plaintext);
        if let (Some(user), Some(file)) = (&self.user, &self.password_file) {
            options = options.user_from(user, source(file)?);
        }
        if self.ca.is_some() || self.cert.is_some() {
            let identity = match (&self.cert, &self.key) {
                (Some(cert), Some(key)) => Some((source(cert)?, source(key)?)),
                _ => None,
            };
            let ca = self.ca.as_deref().map(source).transpose()?;
            options = options.tls(Tls { ca, identity });
        }
        Ok(options)
    }
}

/// A file that can be read now, and is read anew at each connection and login.
fn source(file: &Path) -> Result<CredentialSource, TopError> {
    open_regular(file)
        .map_err(|error| TopError::Usage(format!("cannot read {}: {error}", file.display())))?;
    Ok(CredentialSource::file(file))
}

fn root(text: &str) -> Result<Root, String> {
    Root::new(text).map_err(|error| error.to_string())
}

fn prefix(text: &str) -> Result<String, String> {
    if text.is_empty() {
        Err("it is empty; write / for every key that begins so".into())
    } else {
        Ok(text.to_owned())
    }
}
