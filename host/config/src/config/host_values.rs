//! Values of `[host]` and `[store]` one by one, for comparing: a host keeps them from its start to its end.
//!
//! Nothing here is a secret: the store's password and keys are files.

use std::path::Path;

use serde_json::Value;

use super::embedded::{Data, Embedded};
use super::host::Host;
use super::loaded::Config;
use super::read::{format_duration, format_size};
use super::store::{Remote, Store, StorePlace};

/// Keys with their tables, and values as a configuration has them.
type KeyedTexts = Vec<(&'static str, String)>;

impl Config {
    /// Values of `[host]` and `[store]`, which hold from a host's start to its end, and whether
    /// there is a folder for plugins.
    pub fn host_values(&self) -> Vec<(String, String)> {
        let mut list = of_host(&self.host);
        list.extend(of_store(&self.store));
        list.extend(match self.store.place() {
            StorePlace::Remote(remote) => of_remote(remote),
            StorePlace::Embedded(embedded) => of_embedded(embedded),
        });
        let has_folder = self.plugins.is_some();
        list.push(("whether there is [plugins]", has_folder.to_string()));
        list.into_iter()
            .map(|(key, value)| (key.to_owned(), value))
            .collect()
    }
}

fn of_host(host: &Host) -> KeyedTexts {
    let mut list = vec![
        ("host.id", quoted(host.id())),
        ("host.data_dir", path(host.data_dir())),
        ("host.grace", quoted(&format_duration(host.grace()))),
        ("host.drift", quoted(&host.drift().to_string())),
        ("host.max_runs", host.max_runs().to_string()),
    ];
    if let Some(keep) = host.keep_output() {
        let (size, age) = (format_size(keep.size), format_duration(keep.age));
        let value = format!("{{ size = {}, age = {} }}", quoted(&size), quoted(&age));
        list.push(("host.keep_output", value));
    }
    if let Some(listen) = host.listen() {
        list.push(("host.listen", quoted(&listen.address().to_string())));
    }
    list
}

fn of_store(store: &Store) -> KeyedTexts {
    let time = |time| quoted(&format_duration(time));
    vec![
        ("store.root", quoted(store.root())),
        ("store.connect_timeout", time(store.connect_timeout())),
        ("store.request_timeout", time(store.request_timeout())),
    ]
}

fn of_remote(remote: &Remote) -> KeyedTexts {
    let endpoints = remote.endpoints().iter().map(|at| quoted(&at.to_string()));
    let endpoints = endpoints.collect::<Vec<_>>().join(", ");
    let plaintext = remote.allow_plaintext().to_string();
    let mut list = vec![
        ("store.endpoints", format!("[{endpoints}]")),
        ("store.allow_plaintext", plaintext),
    ];
    if let Some(login) = remote.login() {
        list.push(("store.user", quoted(login.user())));
        list.push(("store.password_file", path(login.password_file())));
    }
    if let Some(tls) = remote.tls() {
        list.push(("store.tls.ca", path(tls.ca())));
        if let Some((cert, key)) = tls.identity() {
            list.push(("store.tls.cert", path(cert)));
            list.push(("store.tls.key", path(key)));
        }
    }
    list
}

fn of_embedded(embedded: &Embedded) -> KeyedTexts {
    let data = match embedded.data() {
        Data::Directory(dir) => ("store.dir", path(dir)),
        Data::Memory => ("store.memory", true.to_string()),
    };
    let mut list = vec![("store.embedded", true.to_string()), data];
    if let Some(listen) = embedded.listen() {
        list.push(("store.listen", quoted(&listen.to_string())));
    }
    if let Some(revisions) = embedded.history().revisions {
        list.push(("store.history", revisions.to_string()));
    }
    if let Some(bytes) = embedded.history().bytes {
        list.push(("store.history_size", quoted(&format_size(bytes))));
    }
    list
}

fn path(path: &Path) -> String {
    quoted(&path.to_string_lossy())
}

fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}
