//! A job's values one by one, each with its key, text and origin: for people and for comparing.
//!
//! Values whose names suggest a secret, and passwords in addresses, are hidden here, once, for
//! every command that shows values. The contents of secrets' files are never among the values.

use std::time::Duration;

use leasehold_diagnostics::mask;
use serde_json::Value;

use super::job::Job;
use super::origin::Origin;
use super::read::format_duration;
use super::schedule::Schedule;
use super::schema;
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
        for key in schema::JOB {
            list.key(key);
        }
        list.1
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

    /// Adds the values under one key.
    fn key(&mut self, key: &str) {
        let job = self.0;
        match key {
            "plugin" => self.text(key, &job.plugin.to_string_lossy()),
            "lock" => self.plain(key, job.locks.to_string()),
            "once" => self.plain(key, (job.schedule == Schedule::Once).to_string()),
            "stop_margin" => self.time(key, job.stop_margin),
            "restart" => {
                self.time("restart.min", job.restart.min());
                self.time("restart.max", job.restart.max());
            }
            "history" => {
                self.plain("history.runs", job.history.runs().to_string());
                if let Some(age) = job.history.age() {
                    self.time("history.age", age);
                }
            }
            "env" => self.env(),
            "config" => self.config(),
            "secrets" => self.secrets(),
            "allow" => self.allow(),
            "limits" => {
                for limit in LimitKey::ALL {
                    let amount = job.limits.amount(limit);
                    self.plain(format!("{key}.{limit}"), amount.to_string());
                }
            }
            _ => {
                let ticks = match &job.schedule {
                    Schedule::Ticks(ticks) => ticks.shown(key),
                    Schedule::Once | Schedule::KeepRunning => None,
                };
                if let Some(value) = ticks.or_else(|| job.settings.shown(key)) {
                    self.masked(key, &value);
                }
            }
        }
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
        self.plain("allow.kv_shared", allow.kv_shared.to_string());
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
