//! Requests of a plugin: `[needs]` of its manifest, or `allow` and `secrets` of its sidecar file.
//!
//! Both are requests only: the configuration decides about them. They cannot name places on the
//! host: directories are requested by the guest's path, secrets by name. No request becomes a grant
//! here.

use std::collections::BTreeMap;
use std::ops::Range;

use toml::Spanned;

use super::allow;
use super::lockname;
use super::lockname::for_job;
use super::schema;
use super::secrets;
use super::section::{Field, Section};
use crate::allow::{Allow, Dir, Need, Network, Origin, SecretRef};

/// Requests of one table, as read.
#[derive(Clone, Debug)]
pub(super) struct RawNeeds {
    /// True if the table states its needs, even if it states that there are none.
    pub(super) is_set: bool,
    /// Prefixes of fenced data; `{job}` stands for the job's name.
    pub(super) kv: Field<Vec<Spanned<String>>>,
    pub(super) http: Field<Vec<Spanned<Origin>>>,
    pub(super) http_networks: Field<Vec<Spanned<Network>>>,
    pub(super) http_token: Field<String>,
    pub(super) dirs: Field<Vec<Spanned<Need>>>,
    pub(super) secrets: Field<Vec<Spanned<String>>>,
}

impl RawNeeds {
    /// Reads `needs` of a manifest.
    pub(super) fn of_manifest(manifest: &Section<'_>) -> Self {
        let needs = manifest.table("needs", "needs", schema::NEEDS);
        let secrets = needs.take("secrets", secrets::names);
        Self::read(&needs, secrets)
    }

    /// Reads `allow` and `secrets` of the sidecar beside a plugin.
    pub(super) fn of_sidecar(beside: &Section<'_>) -> Self {
        let asks = beside.table("allow", "allow", schema::ASKS);
        let secrets = beside.take("secrets", secrets::names);
        Self::read(&asks, secrets)
    }

    fn read(table: &Section<'_>, secrets: Field<Vec<Spanned<String>>>) -> Self {
        Self {
            is_set: !table.is_absent(),
            kv: table.take("kv", lockname::patterns),
            http: table.take("http", allow::origins),
            http_networks: table.take("http_networks", allow::networks),
            http_token: table.offer("http_token", allow::header),
            dirs: table.take("dirs", allow::needs),
            secrets,
        }
    }

    /// Takes each key that is absent here from `fallback`.
    pub(super) fn or(self, fallback: &Self) -> Self {
        Self {
            is_set: self.is_set || fallback.is_set,
            kv: self.kv.or(&fallback.kv),
            http: self.http.or(&fallback.http),
            http_networks: self.http_networks.or(&fallback.http_networks),
            http_token: self.http_token.or(&fallback.http_token),
            dirs: self.dirs.or(&fallback.dirs),
            secrets: self.secrets.or(&fallback.secrets),
        }
    }

    /// Names of all requested secrets.
    pub(super) fn secret_names(&self) -> impl Iterator<Item = &String> {
        each(&self.secrets).map(Spanned::get_ref)
    }

    /// Returns every request of job `job` that is not granted, in the order of the keys.
    pub(super) fn lacking(&self, job: &str, given: &GivenGrants<'_>) -> Vec<MissingGrant> {
        let mut lacks = Vec::new();
        let GivenGrants { allow, .. } = given;
        let kv = missing(&self.kv, |prefix| allow.covers_kv(&for_job(prefix, job)));
        let wished: Vec<Spanned<String>> = kv
            .iter()
            .map(|wish| match given.kv_patterns {
                // The remedy goes into a table that holds for many jobs.
                Some(_) => wish.clone(),
                None => Spanned::new(wish.span(), for_job(wish.get_ref(), job)),
            })
            .collect();
        let patterns = given.kv_patterns.unwrap_or(&allow.kv);
        let line = list("kv", patterns.iter(), wished.iter());
        lacks.extend(kv.iter().map(|prefix| {
            let what = format!("fenced data under `{}`", for_job(prefix.get_ref(), job));
            MissingGrant::of("allow", prefix.span(), what, &line)
        }));
        let http = missing(&self.http, |origin| allow.covers_origin(origin));
        let line = list("http", allow.http.iter(), http.iter());
        lacks.extend(http.iter().map(|origin| {
            let what = format!("requests to `{}`", origin.get_ref());
            MissingGrant::of("allow", origin.span(), what, &line)
        }));
        let networks = missing(&self.http_networks, |network| allow.covers_network(network));
        let line = list("http_networks", allow.http_networks.iter(), networks.iter());
        lacks.extend(networks.iter().map(|network| {
            let what = format!("requests into `{}`", network.get_ref());
            MissingGrant::of("allow", network.span(), what, &line)
        }));
        let dirs = missing(&self.dirs, |need| allow.dir_for(need).is_some());
        let line = dirs_line(&allow.dirs, &dirs);
        lacks.extend(dirs.iter().map(|need| {
            let Need { guest, write } = need.get_ref();
            let writing = if *write { ", to write there" } else { "" };
            let what = format!("directory `{guest}`{writing}");
            MissingGrant::of("allow", need.span(), what, &line)
        }));
        let secrets = missing(&self.secrets, |name| given.secrets.contains_key(name));
        lacks.extend(secrets.iter().map(|name| {
            let what = format!("the secret `{}`", name.get_ref());
            let line = format!("{} = {{ file = \"…\" }}", key(name.get_ref()));
            MissingGrant::of("secrets", name.span(), what, &line)
        }));
        lacks
    }
}

/// Grants that requests are compared with.
pub(super) struct GivenGrants<'a> {
    pub(super) allow: &'a Allow,
    /// The prefixes in `allow` as they are written, if they hold for many jobs.
    pub(super) kv_patterns: Option<&'a [String]>,
    pub(super) secrets: &'a BTreeMap<String, SecretRef>,
}

/// A request that is not granted.
pub(super) struct MissingGrant {
    /// Position of the request.
    pub(super) place: Range<usize>,
    /// Description of the request, for people.
    pub(super) what: String,
    /// The line that would grant it.
    pub(super) line: String,
    /// The table of that line.
    pub(super) table: &'static str,
}

impl MissingGrant {
    fn of(table: &'static str, place: Range<usize>, what: String, line: &str) -> Self {
        Self {
            place,
            what,
            line: line.to_owned(),
            table,
        }
    }
}

fn each<T>(raw: &Field<Vec<Spanned<T>>>) -> impl Iterator<Item = &Spanned<T>> {
    let all = match raw {
        Field::Value(all) => all.get_ref().as_slice(),
        Field::Absent | Field::Invalid => &[],
    };
    all.iter()
}

fn missing<T: Clone>(
    raw: &Field<Vec<Spanned<T>>>,
    is_given: impl Fn(&T) -> bool,
) -> Vec<Spanned<T>> {
    each(raw)
        .filter(|wish| !is_given(wish.get_ref()))
        .cloned()
        .collect()
}

/// Renders the line with the present grants and the missing ones.
fn list<'a, T: ToString + 'a>(
    key: &str,
    given: impl Iterator<Item = &'a T>,
    more: impl Iterator<Item = &'a Spanned<T>>,
) -> String {
    let all = given.chain(more.map(Spanned::get_ref));
    let all = all.map(|text| format!("{:?}", text.to_string()));
    format!("{key} = [{}]", all.collect::<Vec<_>>().join(", "))
}

fn dirs_line(given: &[Dir], more: &[Spanned<Need>]) -> String {
    let table = |host: &str, guest: &str, write: bool| {
        let write = if write { ", write = true" } else { "" };
        format!("{{ host = {host:?}, guest = {guest:?}{write} }}")
    };
    let wishes = || more.iter().map(Spanned::get_ref);
    // A directory that is granted already may lack only the right to write.
    let old = given.iter().map(|dir| {
        let write = dir.write || wishes().any(|need| need.guest == dir.guest && need.write);
        table(&dir.host.to_string_lossy(), &dir.guest, write)
    });
    let new = wishes().filter(|need| given.iter().all(|dir| dir.guest != need.guest));
    let new = new.map(|need| table("…", &need.guest, need.write));
    format!("dirs = [{}]", old.chain(new).collect::<Vec<_>>().join(", "))
}

/// A name as a key.
fn key(name: &str) -> String {
    if name.contains('.') {
        format!("{name:?}")
    } else {
        name.to_owned()
    }
}
