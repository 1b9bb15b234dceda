//! A job's values one by one, each with its key, text and origin: for people and for comparing.
//!
//! Values whose names suggest a secret, and passwords in addresses, are hidden here, once, for
//! every command that shows values. The contents of secrets' files are never among the values.

use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use super::embedded::Data;
use super::job::Job;
use super::loaded::Config;
use super::mask;
use super::origin::Origin;
use super::read::format_duration;
use super::schedule::{Schedule, Wait};
use super::store::StorePlace;
use super::ticks::{Beat, MissedTicks};
use crate::allow::{EnvValue, SecretRef};
use crate::limits::LimitKey;

/// One value of a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    key: String,
    text: String,
    hidden: Option<String>,
    origin: Origin,
}

impl Setting {
    /// The key, with the tables that lead to it, as in `limits.memory`.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// The value as a configuration has it, without parts that look like a secret.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The whole value, if `text` hides a part of it: only for detecting a change.
    pub fn hidden(&self) -> Option<&str> {
        self.hidden.as_deref()
    }

    /// Its origin.
    pub const fn origin(&self) -> &Origin {
        &self.origin
    }
}

impl Job {
    /// Lists every value that holds for this job, in the order of the reference; absent ones are
    /// left out.
    pub fn values(&self) -> Vec<Setting> {
        let mut list = List(self, Vec::new());
        list.text("plugin", &self.plugin.to_string_lossy());
        if let Some(digest) = &self.sha256 {
            list.text("sha256", &hex(digest));
        }
        list.text("lock", &self.lock);
        list.text("wait", &wait(self.wait));
        list.schedule(&self.schedule);
        if let Some(timeout) = self.timeout {
            list.time("timeout", timeout);
        }
        list.time("ttl", self.ttl);
        list.time("stop_margin", self.stop_margin);
        list.plain("retries", self.retries.to_string());
        list.time("restart.min", self.restart.min());
        list.time("restart.max", self.restart.max());
        list.strings("args", &self.args);
        list.env();
        list.config();
        list.secrets();
        list.allow();
        for key in LimitKey::ALL {
            let amount = self.limits.amount(key);
            list.plain(format!("limits.{key}"), amount.to_string());
        }
        list.1
    }
}

fn wait(wait: Wait) -> String {
    match wait {
        Wait::Forever => "forever".to_owned(),
        Wait::AtMost(time) => format_duration(time),
        Wait::Never => "never".to_owned(),
    }
}

/// Settings under construction.
struct List<'a>(&'a Job, Vec<Setting>);

impl List<'_> {
    fn plain(&mut self, key: impl Into<String>, text: String) {
        self.put(key.into(), text, None);
    }

    fn put(&mut self, key: String, text: String, hidden: Option<String>) {
        let origin = self.0.origin(&key);
        self.1.push(Setting {
            key,
            text,
            hidden,
            origin,
        });
    }

    fn text(&mut self, key: &str, text: &str) {
        self.masked(key, &Value::from(text));
    }

    fn time(&mut self, key: &str, time: Duration) {
        self.text(key, &format_duration(time));
    }

    fn strings(&mut self, key: &str, items: &[String]) {
        self.masked(key, &Value::from(items.to_vec()));
    }

    fn schedule(&mut self, schedule: &Schedule) {
        if let Schedule::Ticks(ticks) = schedule {
            match ticks.beat() {
                Beat::Every(period) => self.time("every", *period),
                Beat::Cron(cron) => {
                    self.text("cron", cron.text());
                    self.text("tz", cron.tz());
                }
            }
            self.time("jitter", ticks.jitter());
            let missed = match ticks.missed() {
                MissedTicks::Skip => "skip",
                MissedTicks::CatchUp => "catch-up",
            };
            self.text("missed", missed);
        }
        self.plain("once", (*schedule == Schedule::Once).to_string());
    }

    fn env(&mut self) {
        let mut hidden = false;
        let mut pairs = |is_shown: bool| {
            let pairs = self.0.env.iter().map(|(name, value)| {
                let value = match value {
                    EnvValue::Secret(secret) => format!("{{ secret = {secret:?} }}"),
                    EnvValue::Text(text) => {
                        let whole = Value::from(text.as_str());
                        let shown = hide(name, &whole);
                        hidden |= shown != whole;
                        toml_text(if is_shown { &whole } else { &shown })
                    }
                };
                format!("{} = {value}", toml_key(name))
            });
            table(pairs)
        };
        let (shown, whole) = (pairs(false), pairs(true));
        self.put("env".to_owned(), shown, hidden.then_some(whole));
    }

    /// Adds references to secrets: their locations may be shown.
    fn secrets(&mut self) {
        let pairs = self.0.secrets.iter().map(|(name, at)| {
            let (kind, at) = match at {
                SecretRef::File(path) => ("file", path.to_string_lossy()),
                SecretRef::Env(name) => ("env", name.into()),
                SecretRef::Credential(name) => ("credential", name.into()),
            };
            format!("{} = {{ {kind} = {} }}", toml_key(name), Value::from(at))
        });
        self.plain("secrets", table(pairs));
    }

    fn allow(&mut self) {
        let allow = &self.0.allow;
        self.strings("allow.kv", &allow.kv);
        let texts = allow.http.iter().map(ToString::to_string);
        self.strings("allow.http", &texts.collect::<Vec<_>>());
        let texts = allow.http_networks.iter().map(ToString::to_string);
        self.strings("allow.http_networks", &texts.collect::<Vec<_>>());
        let names: Vec<_> = allow
            .token_headers()
            .map(|name| format!("{name:?}"))
            .collect();
        if !names.is_empty() {
            // Names of headers are shown even if they look like a secret.
            self.plain("allow.http_token", names.join(" and "));
        }
        if let Some(path) = &allow.http_ca {
            self.text("allow.http_ca", &path.to_string_lossy());
        }
        let dirs = allow.dirs.iter().map(|dir| {
            let host = Value::from(dir.host.to_string_lossy());
            let (guest, write) = (Value::from(dir.guest.as_str()), dir.write);
            format!("{{ host = {host}, guest = {guest}, write = {write} }}")
        });
        let dirs = dirs.collect::<Vec<_>>().join(", ");
        self.plain("allow.dirs", format!("[{dirs}]"));
    }

    fn config(&mut self) {
        let config: Value = serde_json::from_str(&self.0.config_json).unwrap_or_default();
        for (name, value) in config.as_object().into_iter().flatten() {
            self.masked(&format!("config.{name}"), value);
        }
    }

    fn masked(&mut self, key: &str, value: &Value) {
        let name = key.rsplit('.').next().unwrap_or(key);
        let shown = hide(name, value);
        let hidden = (shown != *value).then(|| toml_text(value));
        self.put(key.to_owned(), toml_text(&shown), hidden);
    }
}

/// Returns the value without parts that look like a secret.
fn hide(name: &str, value: &Value) -> Value {
    if mask::sounds_secret(name) {
        return Value::from(mask::HIDDEN);
    }
    match value {
        Value::String(text) => Value::from(mask::hide_secrets(text)),
        Value::Array(items) => items.iter().map(|item| hide("", item)).collect(),
        Value::Object(map) => map
            .iter()
            .map(|(name, value)| (name.clone(), hide(name, value)))
            .collect(),
        other => other.clone(),
    }
}

/// Prints a value on one line, as TOML.
fn toml_text(value: &Value) -> String {
    match value {
        Value::Array(items) => {
            let items: Vec<String> = items.iter().map(toml_text).collect();
            format!("[{}]", items.join(", "))
        }
        Value::Object(map) => {
            let pair =
                |(name, value): (&String, _)| format!("{} = {}", toml_key(name), toml_text(value));
            table(map.iter().map(pair))
        }
        // JSON's escapes are TOML's too.
        other => other.to_string(),
    }
}

/// Prints a table on one line.
fn table(pairs: impl Iterator<Item = String>) -> String {
    let pairs: Vec<String> = pairs.collect();
    if pairs.is_empty() {
        "{}".to_owned()
    } else {
        format!("{{ {} }}", pairs.join(", "))
    }
}

fn toml_key(name: &str) -> String {
    let is_bare = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    if !name.is_empty() && name.chars().all(is_bare) {
        name.to_owned()
    } else {
        Value::from(name).to_string()
    }
}

impl Config {
    /// Values of `[host]` and `[store]`, which hold from a host's start to its end, and whether
    /// there is a folder for plugins.
    pub fn host_values(&self) -> Vec<(String, String)> {
        let (host, store) = (&self.host, &self.store);
        let text = |text: &str| Value::from(text).to_string();
        let path = |path: &Path| text(&path.to_string_lossy());
        let mut list = vec![
            ("host.id", text(host.id())),
            ("host.data_dir", path(host.data_dir())),
            ("host.grace", text(&format_duration(host.grace()))),
            ("host.drift", text(&host.drift().to_string())),
            ("host.max_runs", host.max_runs().to_string()),
            ("store.root", text(store.root())),
            (
                "store.connect_timeout",
                text(&format_duration(store.connect_timeout())),
            ),
            (
                "store.request_timeout",
                text(&format_duration(store.request_timeout())),
            ),
        ];
        match store.place() {
            StorePlace::Remote(remote) => {
                let endpoints = remote.endpoints().iter().map(|at| text(&at.to_string()));
                let endpoints = endpoints.collect::<Vec<_>>().join(", ");
                list.push(("store.endpoints", format!("[{endpoints}]")));
                list.push((
                    "store.allow_plaintext",
                    remote.allow_plaintext().to_string(),
                ));
                if let Some(login) = remote.login() {
                    list.push(("store.user", text(login.user())));
                    list.push(("store.password_file", path(login.password_file())));
                }
                if let Some(tls) = remote.tls() {
                    list.push(("store.tls.ca", path(tls.ca())));
                    if let Some((cert, key)) = tls.identity() {
                        list.push(("store.tls.cert", path(cert)));
                        list.push(("store.tls.key", path(key)));
                    }
                }
            }
            StorePlace::Embedded(embedded) => {
                list.push(("store.embedded", "true".to_owned()));
                match embedded.data() {
                    Data::Directory(dir) => list.push(("store.dir", path(dir))),
                    Data::Memory => list.push(("store.memory", "true".to_owned())),
                }
                if let Some(listen) = embedded.listen() {
                    list.push(("store.listen", text(&listen.to_string())));
                }
            }
        }
        let has_folder = self.plugins.is_some();
        list.push(("whether there is [plugins]", has_folder.to_string()));
        list.into_iter()
            .map(|(key, value)| (key.to_owned(), value))
            .collect()
    }
}

/// Prints a digest as `sha256sum` does.
pub fn hex(digest: &[u8]) -> String {
    use std::fmt::Write as _;
    let mut text = String::with_capacity(2 * digest.len());
    for byte in digest {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}
