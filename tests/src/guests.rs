//! Configs for hosts under test, and the built plugins that they run.
//!
//! A builder writes only the keys that a test sets; every default is the host's own.

use std::fmt;
use std::path::{Path, PathBuf};

use anyhow::Result;
use toml::{Table, Value};

use crate::binaries::plugin;
use crate::certs::TlsFiles;
use crate::etcd::{Etcd, RUNNER};

/// Transfers money under the lock with fenced writes; typed.
///
/// # Errors
/// It has not been built.
pub fn ledger() -> Result<PathBuf> {
    plugin("ledger")
}

/// Writes a line now and then; a plain WASI command.
///
/// # Errors
/// It has not been built.
pub fn heartbeat() -> Result<PathBuf> {
    plugin("heartbeat")
}

/// Spins, blocks, fills and floods, by its config.
///
/// # Errors
/// It has not been built.
pub fn stubborn() -> Result<PathBuf> {
    plugin("stubborn")
}

/// Writes one fenced key repeatedly and reports the time of a write.
///
/// # Errors
/// It has not been built.
pub fn scribe() -> Result<PathBuf> {
    plugin("scribe")
}

/// A plain command in C.
///
/// # Errors
/// It has not been built.
pub fn c_hello() -> Result<PathBuf> {
    plugin("c-hello")
}

/// A host's config; its `Display` is TOML.
#[derive(Debug, Clone, Default)]
#[must_use]
pub struct Config {
    table: Table,
    raw: String,
}

/// A config for the host `host_id` on the store at `endpoint`.
pub fn config(host_id: &str, endpoint: &str) -> Config {
    Config::default()
        .host("id", host_id)
        .endpoints(&[endpoint.to_owned()])
}

/// A config for the host `host_id` on a test's etcd, with the login and certificates it wants.
pub fn config_for(host_id: &str, etcd: &Etcd) -> Config {
    let mut config = Config::default()
        .host("id", host_id)
        .endpoints(&etcd.endpoints());
    if let Some(file) = etcd.password_file() {
        config = config.login(RUNNER.0, &file);
    }
    if let Some(certs) = etcd.certs() {
        config = config.tls(&certs.client());
    }
    config
}

impl Config {
    /// Any key of `[host]`, such as `grace` or `drift`.
    pub fn host(mut self, key: &str, value: impl Into<Value>) -> Self {
        insert(&mut self.table, &["host"], key, value);
        self
    }

    /// Any key of `[store]`, such as `root`.
    pub fn store(mut self, key: &str, value: impl Into<Value>) -> Self {
        insert(&mut self.table, &["store"], key, value);
        self
    }

    /// The store's addresses, in place of those given before: a fault proxy's, for instance.
    pub fn endpoints(self, endpoints: &[String]) -> Self {
        self.store("endpoints", endpoints.to_vec())
    }

    /// Any key of `[plugins]`, such as `dir`.
    pub fn plugins(mut self, key: &str, value: impl Into<Value>) -> Self {
        insert(&mut self.table, &["plugins"], key, value);
        self
    }

    /// The time that guests get to end by themselves when the host stops.
    pub fn grace(self, grace: &str) -> Self {
        self.host("grace", grace)
    }

    /// The user to log in as, and the file with the password.
    pub fn login(self, user: &str, password_file: &Path) -> Self {
        self.store("user", user)
            .store("password_file", text(password_file))
    }

    /// The certificates for the store.
    pub fn tls(mut self, files: &TlsFiles) -> Self {
        for (key, file) in [
            ("ca", &files.ca),
            ("cert", &files.cert),
            ("key", &files.key),
        ] {
            insert(&mut self.table, &["store", "tls"], key, text(file));
        }
        self
    }

    /// One more job.
    pub fn job(mut self, name: &str, job: impl FnOnce(Job) -> Job) -> Self {
        insert(&mut self.table, &["jobs"], name, job(Job::default()).0);
        self
    }

    /// Text appended as it is, for configs that no builder should be able to make.
    pub fn raw(mut self, toml: &str) -> Self {
        self.raw.push_str(toml);
        self
    }
}

impl fmt::Display for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.table, self.raw)
    }
}

/// The keys of one job.
#[derive(Debug, Clone, Default)]
#[must_use]
pub struct Job(Table);

impl Job {
    /// Any key of the job, such as `retries`.
    pub fn key(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.0.insert(key.to_owned(), value.into());
        self
    }

    /// The file it runs.
    pub fn plugin(self, file: &Path) -> Self {
        self.key("plugin", text(file))
    }

    /// The lock it runs under.
    pub fn lock(self, name: &str) -> Self {
        self.key("lock", name)
    }

    /// Wait for the lock: `forever`, `never` or a duration.
    pub fn wait(self, wait: &str) -> Self {
        self.key("wait", wait)
    }

    /// The time between two runs.
    pub fn every(self, period: &str) -> Self {
        self.key("every", period)
    }

    /// One run only.
    pub fn once(self) -> Self {
        self.key("once", true)
    }

    /// The longest a run may take.
    pub fn timeout(self, timeout: &str) -> Self {
        self.key("timeout", timeout)
    }

    /// The lease's time to live.
    pub fn ttl(self, ttl: &str) -> Self {
        self.key("ttl", ttl)
    }

    /// The time kept for stopping before the lease ends.
    pub fn stop_margin(self, margin: &str) -> Self {
        self.key("stop_margin", margin)
    }

    /// Number of retries of a failed run.
    pub fn retries(self, count: u32) -> Self {
        self.key("retries", count)
    }

    /// The guest's arguments.
    pub fn args(self, args: &[&str]) -> Self {
        self.key("args", args.to_vec())
    }

    /// One environment variable of the guest.
    pub fn env(mut self, name: &str, value: &str) -> Self {
        insert(&mut self.0, &["env"], name, value);
        self
    }

    /// One key of the guest's own config.
    pub fn config(mut self, key: &str, value: impl Into<Value>) -> Self {
        insert(&mut self.0, &["config"], key, value);
        self
    }

    /// The shortest and longest pause before a restart.
    pub fn restart(mut self, min: &str, max: &str) -> Self {
        insert(&mut self.0, &["restart"], "min", min);
        insert(&mut self.0, &["restart"], "max", max);
        self
    }

    /// The prefixes of fenced keys that it may use.
    pub fn allow_kv(mut self, prefixes: &[&str]) -> Self {
        insert(&mut self.0, &["allow"], "kv", prefixes.to_vec());
        self
    }

    /// One limit, such as `memory` at `64MiB`.
    pub fn limit(mut self, name: &str, value: impl Into<Value>) -> Self {
        insert(&mut self.0, &["limits"], name, value);
        self
    }
}

/// Sets `key` in the table found by going down `path`, making tables as needed.
fn insert(table: &mut Table, path: &[&str], key: &str, value: impl Into<Value>) {
    let Some((first, rest)) = path.split_first() else {
        table.insert(key.to_owned(), value.into());
        return;
    };
    let next = table.entry(*first).or_insert_with(|| Table::new().into());
    if !next.is_table() {
        *next = Table::new().into();
    }
    if let Value::Table(next) = next {
        insert(next, rest, key, value);
    }
}

/// A path as text. TOML is UTF-8, so the host would not find a path that is not.
fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_config_reads_back_as_it_was_built() {
        let text = config("a", "http://127.0.0.1:1")
            .grace("2s")
            .login("runner", Path::new("/p"))
            .job("led\"ger", |job| {
                let job = job.plugin(Path::new("/x/ledger.wasm"));
                job.lock("billing/ledger")
                    .ttl("3s")
                    .once()
                    .retries(2)
                    .args(&["a", "b"])
                    .env("K", "v\n")
            })
            .job("other", |job| {
                let job = job.plugin(Path::new("/y"));
                job.config("mode", "spin")
                    .config("n", 3)
                    .restart("10ms", "1s")
                    .allow_kv(&["l/"])
                    .limit("memory", "8MiB")
            })
            .to_string();
        let expected: Table = toml::from_str(
            r#"
            host = { id = "a", grace = "2s" }
            store = { endpoints = ["http://127.0.0.1:1"], user = "runner", password_file = "/p" }
            [jobs."led\"ger"]
            plugin = "/x/ledger.wasm"
            lock = "billing/ledger"
            ttl = "3s"
            once = true
            retries = 2
            args = ["a", "b"]
            env = { K = "v\n" }
            [jobs.other]
            plugin = "/y"
            config = { mode = "spin", n = 3 }
            restart = { min = "10ms", max = "1s" }
            allow = { kv = ["l/"] }
            limits = { memory = "8MiB" }
            "#,
        )
        .unwrap();
        assert_eq!(toml::from_str::<Table>(&text).unwrap(), expected, "{text}");
    }

    #[test]
    fn raw_text_is_kept_as_it_is() {
        let text = config("a", "b").raw("[jobs.x]\nplugn = 1\n").to_string();
        assert!(text.ends_with("\n[jobs.x]\nplugn = 1\n"), "{text}");
    }
}
