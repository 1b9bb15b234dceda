//! `[notify]`: messages about failed runs, lost locks, missed ticks and recoveries.
//!
//! The address of a service may hold a token, so its line is never shown.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use leasehold_diagnostics::{ConfigError, shown};

use super::endpoint::{Address, Endpoint};
use super::file_claim::FileKind;
use super::files;
use super::http_url::HttpUrl;
use super::node::Node;
use super::read;
use super::schema;
use super::section::{InvalidField, Section};

/// Bounds of the time for one attempt.
const TIMEOUTS: (Duration, Duration) = (Duration::from_secs(1), Duration::from_mins(1));
/// Time for one attempt, unless set.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Most messages an hour that may be set.
const MOST_PER_HOUR: u32 = 10_000;

/// Occasion of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum NotifyKind {
    /// A run failed, or its host vanished: `"failure"`.
    Failure,
    /// A lock was lost in the middle of a run: `"lost-lock"`.
    LostLock,
    /// No host started a run for a tick: `"missed-tick"`.
    MissedTick,
    /// A job whose last run failed or was cut off has succeeded: `"recovery"`.
    Recovery,
}

impl NotifyKind {
    /// All occasions.
    pub const ALL: [Self; 4] = [
        Self::Failure,
        Self::LostLock,
        Self::MissedTick,
        Self::Recovery,
    ];

    /// Returns the word, as in the configuration and in messages.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Failure => "failure",
            Self::LostLock => "lost-lock",
            Self::MissedTick => "missed-tick",
            Self::Recovery => "recovery",
        }
    }
}

/// A program that is run for each message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotifyCommand {
    program: PathBuf,
    args: Vec<String>,
}

impl NotifyCommand {
    /// The program, with its path in full.
    pub fn program(&self) -> &Path {
        &self.program
    }

    /// Its arguments.
    pub fn args(&self) -> &[String] {
        &self.args
    }
}

/// An address that messages are posted to. `Display` and `Debug` show no path, which may hold a token.
#[derive(Clone, PartialEq, Eq)]
pub struct NotifyUrl {
    endpoint: Endpoint,
    target: String,
}

impl NotifyUrl {
    /// The server. Its connection is encrypted, unless it is this machine.
    pub const fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// Path and query, as in a request.
    pub fn target(&self) -> &str {
        &self.target
    }
}

impl fmt::Display for NotifyUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.endpoint.fmt(f)
    }
}

impl fmt::Debug for NotifyUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NotifyUrl({})", self.endpoint)
    }
}

/// Messages and their recipients. At least one of `command` and `http` is set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notify {
    on: Vec<NotifyKind>,
    command: Option<NotifyCommand>,
    http: Option<NotifyUrl>,
    headers_file: Option<PathBuf>,
    timeout: Duration,
    per_hour: u32,
    job_per_hour: u32,
}

impl Notify {
    /// Returns true for an occasion that is reported. Default: all.
    pub fn is_on(&self, kind: NotifyKind) -> bool {
        self.on.contains(&kind)
    }

    /// The program that is run for each message.
    pub const fn command(&self) -> Option<&NotifyCommand> {
        self.command.as_ref()
    }

    /// The address that messages are posted to.
    pub const fn http(&self) -> Option<&NotifyUrl> {
        self.http.as_ref()
    }

    /// A file with further headers of the requests.
    pub fn headers_file(&self) -> Option<&Path> {
        self.headers_file.as_deref()
    }

    /// Time for one run of the program, and for one request. Default 10 s, from 1 s to 1 min.
    pub const fn timeout(&self) -> Duration {
        self.timeout
    }

    /// Most messages an hour. Default 60.
    pub const fn per_hour(&self) -> u32 {
        self.per_hour
    }

    /// Most messages an hour about one job. Default 6.
    pub const fn job_per_hour(&self) -> u32 {
        self.job_per_hour
    }
}

/// Reads `[notify]`, if it is there.
pub(super) fn read(root: &Section<'_>) -> Result<Option<Notify>, InvalidField> {
    let section = root.table("notify", "notify", schema::NOTIFY);
    let on = section.take("on", occasions);
    let command = section.take("command", command);
    let http = section.take("http", url);
    let headers_file = section.take("headers_file", |node| {
        files::claimed(node, FileKind::Headers)
    });
    let timeout = section.take("timeout", |node| {
        read::duration(node, TIMEOUTS.0, TIMEOUTS.1)
    });
    let hourly = |node: &Node<'_>| read::integer_u32(node, 1, MOST_PER_HOUR);
    let per_hour = section.take("per_hour", hourly);
    let job_per_hour = section.take("job_per_hour", hourly);
    let is_complete = judge_recipients(&section);
    let notify = Notify {
        on: on
            .or_default(NotifyKind::ALL.to_vec())
            .ok_or(InvalidField)?,
        command: command.optional()?,
        http: http.optional()?,
        headers_file: headers_file.optional()?,
        timeout: timeout.or_default(TIMEOUT).ok_or(InvalidField)?,
        per_hour: per_hour.or_default(60).ok_or(InvalidField)?,
        job_per_hour: job_per_hour.or_default(6).ok_or(InvalidField)?,
    };
    if section.is_absent() {
        return Ok(None);
    }
    if is_complete {
        Ok(Some(notify))
    } else {
        Err(InvalidField)
    }
}

/// Reports a table without a recipient, and headers without requests.
fn judge_recipients(section: &Section<'_>) -> bool {
    if let (Some(place), false) = (section.key_place("headers_file"), section.has("http")) {
        let message = "`headers_file` in [notify] needs `http`";
        let finding = ConfigError::at(place, message);
        section
            .context()
            .report(finding.help("add `http`, or remove `headers_file`"));
        return false;
    }
    if section.is_absent() || section.has("command") || section.has("http") {
        return true;
    }
    if let Some(header) = section.header() {
        let finding = ConfigError::at(header, "[notify] has neither `command` nor `http`");
        section.context().report(
            finding
                .help("add `command = [\"/usr/local/bin/alert\"]`, which gets the message on standard input")
                .help("or add `http = \"https://alerts.example.com/leasehold\"`, to which it is posted"),
        );
    }
    false
}

fn occasions(node: &Node<'_>) -> Option<Vec<NotifyKind>> {
    let items = node.items("words", "[\"failure\", \"recovery\"]")?;
    let read: Vec<_> = items.iter().map(occasion).collect();
    let mut on: Vec<NotifyKind> = read.into_iter().collect::<Option<_>>()?;
    if on.is_empty() {
        return node.reject("is empty", "name an occasion, or remove the table [notify]");
    }
    on.sort();
    on.dedup();
    Some(on)
}

fn occasion(node: &Node<'_>) -> Option<NotifyKind> {
    let word = read::text(node)?;
    let mut all = NotifyKind::ALL.into_iter();
    all.find(|kind| kind.as_str() == word).or_else(|| {
        let words = NotifyKind::ALL.map(|kind| format!("\"{}\"", kind.as_str()));
        node.reject(
            &format!("is not an occasion: \"{}\"", shown(&word)),
            format!("write one of {}", words.join(", ")),
        )
    })
}

fn command(node: &Node<'_>) -> Option<NotifyCommand> {
    let items = node.items("texts", "[\"/usr/local/bin/alert\", \"--json\"]")?;
    let Some((program, args)) = items.split_first() else {
        return node.reject(
            "is empty",
            "write the program and its arguments, as in [\"/usr/local/bin/alert\"]",
        );
    };
    read::words(program)?;
    let program = files::claimed(program, FileKind::Program).map(in_full);
    let args: Vec<_> = args.iter().map(read::text).collect();
    Some(NotifyCommand {
        program: program?,
        args: args.into_iter().collect::<Option<_>>()?,
    })
}

/// Returns the path in full: the program is started in another directory.
fn in_full(path: PathBuf) -> PathBuf {
    // Without a working directory there is nothing to add.
    std::path::absolute(&path).unwrap_or(path)
}

fn url(node: &Node<'_>) -> Option<NotifyUrl> {
    node.context().keep_private(node.span());
    let text = read::words(node)?;
    match parse_url(&text) {
        Ok(url) => Some(url),
        Err(remedy) => node.reject("is not an address to post to", remedy),
    }
}

/// Parses `https://host[:port]/path?query`; the error is a remedy.
fn parse_url(text: &str) -> Result<NotifyUrl, &'static str> {
    let example = "write it as in \"https://alerts.example.com/leasehold\"";
    let schemes = "only https://, and http:// to this machine, are known";
    let url = HttpUrl::split(text, example, schemes)?;
    let port = if url.is_secure { ":443" } else { ":80" };
    let address = Address::parse(&url.server(port)).map_err(|_| example)?;
    let endpoint = address.settle(url.is_secure);
    if !url.is_secure && !endpoint.is_loopback() {
        return Err("write https://: messages to another machine are encrypted");
    }
    let slash = if url.target.starts_with('/') { "" } else { "/" };
    Ok(NotifyUrl {
        endpoint,
        target: format!("{slash}{}", url.target),
    })
}

#[cfg(test)]
mod tests;
