//! `allow`, in a job or in the defaults: rights of a guest, key by key.
//!
//! The readers take a [`Node`] or a [`Section`] of any table, so that a job, a manifest and a
//! policy have the same syntax. [`crate::allow`] defines the grants; reading never widens one.

use std::ops::Range;
use std::path::PathBuf;

use toml::Spanned;
use toml::de::DeValue;

use super::file_claim::FileKind;
use super::files;
use super::lockname;
use super::node::Node;
use super::read;
use super::schema;
use super::section::{Field, Section};
use crate::allow::{Allow, Dir, Need, Network, Origin, guest_path};

/// Headers that frame a request or belong to one connection. Only the host may set them.
const FRAMING: &[&str] = &[
    "connection",
    "content-length",
    "expect",
    "host",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];
/// Longest name of a header, in bytes.
const LONGEST_HEADER: usize = 64;

/// Grants as read from one table.
#[derive(Clone, Debug)]
pub(super) struct RawAllow {
    pub(super) kv: Field<Vec<Spanned<String>>>,
    pub(super) kv_shared: Field<bool>,
    pub(super) http: Field<Vec<Spanned<Origin>>>,
    pub(super) http_networks: Field<Vec<Spanned<Network>>>,
    pub(super) http_token: Field<String>,
    pub(super) http_ca: Field<PathBuf>,
    pub(super) dirs: Field<Vec<Dir>>,
}

impl RawAllow {
    /// Reads the table `allow` of `section`.
    pub(super) fn read(section: &Section<'_>) -> Self {
        Self::read_kv(section, lockname::prefixes)
    }

    /// Reads as [`SaidAllow::read`] does, for a table that holds for many jobs: `{job}` in `kv` stands for the
    /// name of a job.
    pub(super) fn read_policy(section: &Section<'_>) -> Self {
        Self::read_kv(section, lockname::patterns)
    }

    fn read_kv(
        section: &Section<'_>,
        kv: impl FnOnce(&Node<'_>) -> Option<Vec<Spanned<String>>>,
    ) -> Self {
        let table = section.table("allow", section.inner("allow"), schema::ALLOW);
        Self {
            kv: table.take("kv", kv),
            kv_shared: table.take("kv_shared", read::boolean),
            http: table.take("http", origins),
            http_networks: table.take("http_networks", networks),
            http_token: table.take("http_token", header),
            http_ca: table.take("http_ca", |node| files::claimed(node, FileKind::Authority)),
            dirs: table.take("dirs", dirs),
        }
    }

    /// Takes each key that is absent here from `fallback`.
    pub(super) fn or(self, fallback: &Self) -> Self {
        Self {
            kv: self.kv.or(&fallback.kv),
            kv_shared: self.kv_shared.or(&fallback.kv_shared),
            http: self.http.or(&fallback.http),
            http_networks: self.http_networks.or(&fallback.http_networks),
            http_token: self.http_token.or(&fallback.http_token),
            http_ca: self.http_ca.or(&fallback.http_ca),
            dirs: self.dirs.or(&fallback.dirs),
        }
    }

    /// Visits each key with the position of its value.
    pub(super) fn each(&self, visit: &mut dyn FnMut(&'static str, Option<Range<usize>>)) {
        visit("kv", self.kv.span());
        visit("kv_shared", self.kv_shared.span());
        visit("http", self.http.span());
        visit("http_networks", self.http_networks.span());
        visit("http_token", self.http_token.span());
        visit("http_ca", self.http_ca.span());
        visit("dirs", self.dirs.span());
    }

    /// Returns the grants; `None` if any of them was invalid.
    pub(super) fn settle(self) -> Option<Allow> {
        Some(Allow {
            kv: plain(self.kv.or_default(Vec::new())?),
            kv_shared: self.kv_shared.or_default(false)?,
            http: plain(self.http.or_default(Vec::new())?),
            http_networks: plain(self.http_networks.or_default(Vec::new())?),
            http_token: self.http_token.optional().ok()?,
            http_tokens_always: Vec::new(),
            http_ca: self.http_ca.optional().ok()?,
            dirs: self.dirs.or_default(Vec::new())?,
        })
    }
}

/// Strips the positions from the values.
pub(super) fn plain<T>(values: Vec<Spanned<T>>) -> Vec<T> {
    values.into_iter().map(Spanned::into_inner).collect()
}

/// Reads origins.
pub(super) fn origins(node: &Node<'_>) -> Option<Vec<Spanned<Origin>>> {
    let items = node.items("origins", "[\"https://api.example.com\"]")?;
    let origins: Vec<_> = items
        .iter()
        .map(|item| {
            let text = read::text(item)?;
            let origin = Origin::parse(&text).or_else_reject(item, |error| {
                ("is not an origin", format!("{error}; write it as in \"https://api.example.com\" or \"http://127.0.0.1:8080\""))
            });
            Some(Spanned::new(item.span(), origin?))
        })
        .collect();
    origins.into_iter().collect()
}

/// Reads networks.
pub(super) fn networks(node: &Node<'_>) -> Option<Vec<Spanned<Network>>> {
    let items = node.items("networks", "[\"10.0.0.0/8\"]")?;
    let networks: Vec<_> = items
        .iter()
        .map(|item| {
            let text = read::text(item)?;
            let network = Network::parse(&text)
                .or_else_reject(item, |help| ("is not a network", help.to_owned()));
            Some(Spanned::new(item.span(), network?))
        })
        .collect();
    networks.into_iter().collect()
}

/// Reads the name of a header that the host sets.
pub(super) fn header(node: &Node<'_>) -> Option<String> {
    let name = read::words(node)?;
    let is_plain = |c: u8| c.is_ascii_alphanumeric() || matches!(c, b'-' | b'_');
    if name.len() > LONGEST_HEADER || !name.bytes().all(is_plain) {
        return node.reject(
            "is not a name for a header",
            format!(
                "use 1 to {LONGEST_HEADER} letters, digits, `-` or `_`, as in \"X-Fencing-Token\""
            ),
        );
    }
    if FRAMING.contains(&name.to_ascii_lowercase().as_str()) {
        return node.reject(
            "names a header that every request needs for itself",
            "choose a name of its own, as in \"X-Fencing-Token\"",
        );
    }
    Some(name)
}

/// Reads directories with their places on the host.
pub(super) fn dirs(node: &Node<'_>) -> Option<Vec<Dir>> {
    let items = node.items("tables", "[{ host = \"/srv/in\", guest = \"/in\" }]")?;
    let mut sound = true;
    let mut dirs: Vec<Dir> = Vec::new();
    for item in &items {
        let Some(table) = table(item, schema::DIR, "{ host = \"/srv/in\", guest = \"/in\" }")
        else {
            sound = false;
            continue;
        };
        let host = table.require(
            "host",
            "add `host = \"/srv/in\"`, a directory of this machine",
            |node| files::claimed(node, FileKind::Directory),
        );
        let Some((host, need)) = host.zip(need(&table)) else {
            sound = false;
            continue;
        };
        if dirs.iter().any(|dir| dir.guest == need.guest) {
            let what = format!("gives two directories the guest's path `{}`", need.guest);
            let () = item
                .reject(&what, "give each another one")
                .unwrap_or_default();
            sound = false;
            continue;
        }
        dirs.push(Dir {
            host: host.into_inner(),
            guest: need.guest,
            write: need.write,
        });
    }
    sound.then_some(dirs)
}

/// Reads the directories that a plugin needs: the guest's path of each and, in a table, whether the
/// guest writes there.
pub(super) fn needs(node: &Node<'_>) -> Option<Vec<Spanned<Need>>> {
    let items = node.items("paths", "[\"/in\", { guest = \"/out\", write = true }]")?;
    let needs: Vec<_> = items
        .iter()
        .map(|item| {
            let needed = if matches!(item.value(), DeValue::String(_)) {
                let guest = a_guest_path(item);
                guest.map(|guest| Need {
                    guest,
                    write: false,
                })
            } else {
                table(item, schema::NEED, "{ guest = \"/in\" }").and_then(|table| need(&table))
            };
            Some(Spanned::new(item.span(), needed?))
        })
        .collect();
    needs.into_iter().collect()
}

fn a_guest_path(node: &Node<'_>) -> Option<String> {
    let text = read::words(node)?;
    guest_path(&text).or_else_reject(node, |help| ("is not a path for a guest", help.to_owned()))
}

fn table<'a>(node: &Node<'a>, keys: &'static [&'static str], example: &str) -> Option<Section<'a>> {
    if matches!(node.value(), DeValue::Table(_)) {
        return Some(Section::of(node, node.key, keys));
    }
    node.wrong_kind("a table", example)
}

fn need(table: &Section<'_>) -> Option<Need> {
    let guest = table.require(
        "guest",
        "add `guest = \"/in\"`, the path by which the guest opens it",
        a_guest_path,
    );
    let write = table.take("write", read::boolean).or_default(false);
    Some(Need {
        guest: guest?.into_inner(),
        write: write?,
    })
}

/// A value, or an error about the node that should have held one.
trait OrReject<T, E> {
    fn or_else_reject(
        self,
        node: &Node<'_>,
        say: impl FnOnce(E) -> (&'static str, String),
    ) -> Option<T>;
}

impl<T, E> OrReject<T, E> for Result<T, E> {
    fn or_else_reject(
        self,
        node: &Node<'_>,
        say: impl FnOnce(E) -> (&'static str, String),
    ) -> Option<T> {
        self.map_err(|error| {
            let (what, help) = say(error);
            node.reject::<()>(what, help)
        })
        .ok()
    }
}
