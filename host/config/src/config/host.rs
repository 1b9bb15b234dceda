//! `[host]`: this process, the directory for its files, and the error bound of its clock.

use std::path::{Path, PathBuf};
use std::time::Duration;

use leasehold_diagnostics::ConfigError;

use super::drift::Drift;
use super::keep_output::{self, KeepOutput};
use super::listen::{self, ListenAt};
use super::node::Node;
use super::read;
use super::schema;
use super::section::{Field, Section};

/// Longest grace: guests need no more time to clean up, and no operator waits longer.
const LONGEST_GRACE: Duration = Duration::from_hours(1);
/// Enough for large machines; each running guest costs a stack and its memory.
const MOST_RUNS: u32 = 1_000;

/// The host itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Host {
    id: String,
    data_dir: PathBuf,
    grace: Duration,
    drift: Drift,
    max_runs: u32,
    keep_output: Option<KeepOutput>,
    listen: Option<ListenAt>,
}

impl Host {
    /// The name in records and in queues. Default: the machine's host name.
    ///
    /// 1 to 63 letters, digits, `.`, `_` or `-`, starting with a letter or digit.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The directory for the host's own files; it need not exist yet. Default:
    /// `$XDG_STATE_HOME/leasehold`, else `$HOME/.local/state/leasehold`, else `/var/lib/leasehold`.
    pub fn data_dir(&self) -> &Path {
        &self.data_dir
    }

    /// Time for guests between a request to stop and their interruption when the host shuts down.
    /// Default 10 s, at most 1 h.
    pub const fn grace(&self) -> Duration {
        self.grace
    }

    /// Largest rate error of this machine's clock against the store's. Default 1 %, at most 20 %.
    pub const fn drift(&self) -> Drift {
        self.drift
    }

    /// Output of jobs that the host keeps in files below its `data_dir`. Default: none.
    pub const fn keep_output(&self) -> Option<KeepOutput> {
        self.keep_output
    }

    /// Number of guests that may run at the same time. Default 32, from 1 to 1,000.
    pub const fn max_runs(&self) -> u32 {
        self.max_runs
    }

    /// Address of metrics and health checks over HTTP. Default: none.
    pub const fn listen(&self) -> Option<&ListenAt> {
        self.listen.as_ref()
    }
}

impl Host {
    /// Copies the host under another name.
    pub(super) fn named(&self, id: &str) -> Self {
        Self {
            id: id.to_owned(),
            ..self.clone()
        }
    }
}

/// Result of reading the table: the host, and its drift even if other keys were invalid.
pub(super) struct ReadHost {
    pub(super) host: Option<Host>,
    pub(super) drift: Option<Drift>,
}

/// Reads `[host]`.
pub(super) fn read(root: &Section<'_>) -> ReadHost {
    let section = root.table("host", "host", schema::HOST);
    let id = host_id(&section);
    let data_dir = section.take("data_dir", read::path);
    let grace = section.take("grace", |node| {
        read::duration(node, Duration::ZERO, LONGEST_GRACE)
    });
    let drift = section
        .take("drift", percentage)
        .or_default(Drift::default());
    let max_runs = section.take("max_runs", |node| read::integer_u32(node, 1, MOST_RUNS));
    let keep_output = keep_output::read(&section);
    let listen = section.take("listen", listen::address);
    let host = || {
        Some(Host {
            id: id?,
            data_dir: data_dir.or_default(section.context().surroundings().data_dir())?,
            grace: grace.or_default(Duration::from_secs(10))?,
            drift: drift?,
            max_runs: max_runs.or_default(32)?,
            keep_output,
            listen: listen.optional().ok()?,
        })
    };
    ReadHost {
        host: host(),
        drift,
    }
}

fn host_id(section: &Section<'_>) -> Option<String> {
    match section.take("id", read::name) {
        Field::Value(id) => Some(id.into_inner()),
        Field::Invalid => None,
        Field::Absent => {
            let hostname = section.context().surroundings().hostname.clone();
            if hostname.as_deref().is_some_and(read::is_name) {
                return hostname;
            }
            let message = "the machine's host name cannot serve as the host's id";
            let finding = match section.header() {
                Some(header) => ConfigError::at(header, message),
                None => ConfigError::whole(message),
            };
            section
                .context()
                .report(finding.help(format!("set `id` in [host]; {}", read::NAME_RULE)));
            None
        }
    }
}

fn percentage(node: &Node<'_>) -> Option<Drift> {
    let toml::de::DeValue::String(text) = node.value() else {
        return node.wrong_kind("a percentage in quotes", "\"1%\"");
    };
    Drift::parse(text).or_else(|| {
        node.reject(
            "is not a percentage from 0% to 20%",
            "write it as in \"1%\" or \"0.5%\"",
        )
    })
}
