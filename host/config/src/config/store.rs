//! `[store]`: how to reach etcd, or that the store is embedded, and the prefix of the host's keys
//! in it.
//!
//! Paths of secrets are read here, their contents are not.

use std::path::{Path, PathBuf};
use std::time::Duration;

use leasehold_diagnostics::ConfigError;
use toml::Spanned;

use super::embedded::{self, Embedded};
use super::endpoint::{Address, Endpoint};
use super::file_claim::FileKind;
use super::file_claim::LoadPurpose;
use super::files;
use super::node::Node;
use super::read;
use super::schema;
use super::section::{Field, InvalidField, Section};

/// Room for any sensible prefix; etcd itself has no limit below its request size.
const LONGEST_ROOT: usize = 200;
const SHORTEST_TIMEOUT: Duration = Duration::from_millis(10);
const LONGEST_TIMEOUT: Duration = Duration::from_mins(1);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);
const DEFAULT_ROOT: &str = "/leasehold/";

/// The store: its location and the settings for its use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Store {
    place: StorePlace,
    root: String,
    connect_timeout: Duration,
    request_timeout: Duration,
}

/// Location of the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StorePlace {
    /// A store at these addresses.
    Remote(Remote),
    /// A store in the host's own process.
    Embedded(Embedded),
}

/// Settings for reaching a remote store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remote {
    endpoints: Vec<Endpoint>,
    login: Option<Login>,
    tls: Option<Tls>,
    allow_plaintext: bool,
}

/// A user of the store and the file that holds their password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Login {
    user: String,
    password_file: PathBuf,
}

/// Files in PEM form for TLS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tls {
    ca: PathBuf,
    identity: Option<(PathBuf, PathBuf)>,
}

impl Store {
    /// Location of the store.
    pub const fn place(&self) -> &StorePlace {
        &self.place
    }

    /// Prefix of all the host's keys; starts and ends with `/`. Default `/leasehold/`.
    pub fn root(&self) -> &str {
        &self.root
    }

    /// Time limit for connecting. Default 3 s; from 10 ms to 1 min.
    pub const fn connect_timeout(&self) -> Duration {
        self.connect_timeout
    }

    /// Time limit for one reply. Default 5 s; from 10 ms to 1 min.
    pub const fn request_timeout(&self) -> Duration {
        self.request_timeout
    }

    /// Value of an absent `[store]` where none is needed: a store in memory.
    fn in_memory() -> Self {
        Self {
            place: StorePlace::Embedded(Embedded::in_memory()),
            root: DEFAULT_ROOT.into(),
            connect_timeout: CONNECT_TIMEOUT,
            request_timeout: REQUEST_TIMEOUT,
        }
    }

    /// Copies the keys and times to another location.
    pub(super) fn moved_to(&self, place: StorePlace) -> Self {
        Self {
            place,
            ..self.clone()
        }
    }
}

impl Remote {
    /// Addresses, at least one. An address without a scheme means `https` if `tls` is set, else `http`.
    pub fn endpoints(&self) -> &[Endpoint] {
        &self.endpoints
    }

    /// User and password file; both or none.
    pub const fn login(&self) -> Option<&Login> {
        self.login.as_ref()
    }

    /// Certificates; present exactly if every endpoint is `https`.
    pub const fn tls(&self) -> Option<&Tls> {
        self.tls.as_ref()
    }

    /// Returns true if unencrypted connections to other machines are allowed. Default no.
    pub const fn allow_plaintext(&self) -> bool {
        self.allow_plaintext
    }
}

impl Login {
    /// The user's name.
    pub fn user(&self) -> &str {
        &self.user
    }

    /// The file with the password; `Config::load` checked that only its owner can read it.
    pub fn password_file(&self) -> &Path {
        &self.password_file
    }
}

impl Tls {
    /// The certificates that the store's must chain to. The system's are not used.
    pub fn ca(&self) -> &Path {
        &self.ca
    }

    /// The host's certificate and its private key, for a store that requires client certificates.
    pub fn identity(&self) -> Option<(&Path, &Path)> {
        self.identity
            .as_ref()
            .map(|(cert, key)| (cert.as_path(), key.as_path()))
    }
}

/// Reads `[store]`; `None` if anything in it is invalid. `data_dir` is the host's, if it is known.
pub(super) fn read(root: &Section<'_>, data_dir: Option<&Path>) -> Option<Store> {
    let section = root.table("store", "store", schema::STORE);
    if section.is_absent() {
        if root.context().purpose() == LoadPurpose::Develop {
            return Some(Store::in_memory());
        }
        root.context().report(
            ConfigError::whole("there is no [store]: the host has no address of etcd")
                .help("add `[store]` with `endpoints = [\"http://127.0.0.1:2379\"]`")
                .help("or with `embedded = true`: then the host brings a store of its own, for this machine"),
        );
        return None;
    }
    let prefix = section.take("root", key_root);
    let timeout = |node: &Node<'_>| read::duration(node, SHORTEST_TIMEOUT, LONGEST_TIMEOUT);
    let connect = section.take("connect_timeout", timeout);
    let request = section.take("request_timeout", timeout);
    let embedded = section.take("embedded", read::boolean).or_default(false);
    let place = match embedded {
        Some(true) => embedded::read(&section, data_dir).map(StorePlace::Embedded),
        raw => {
            if raw == Some(false) {
                embedded::refuse_keys(&section);
            }
            remote(&section, raw.is_some()).map(StorePlace::Remote)
        }
    };
    Some(Store {
        place: place?,
        root: prefix.or_default(DEFAULT_ROOT.into())?,
        connect_timeout: connect.or_default(CONNECT_TIMEOUT)?,
        request_timeout: request.or_default(REQUEST_TIMEOUT)?,
    })
}

/// Reads the settings of a remote store; missing addresses are reported only if `is_remote`.
fn remote(section: &Section<'_>, is_remote: bool) -> Option<Remote> {
    let addresses = if is_remote || section.has("endpoints") {
        section.require(
            "endpoints",
            "add `endpoints = [\"http://127.0.0.1:2379\"]`, or `embedded = true`",
            addresses,
        )
    } else {
        None
    };
    let login = login(section);
    let has_tls = section.has("tls");
    let tls = tls(section);
    let plaintext = section.take("allow_plaintext", read::boolean);
    let allow_plaintext = plaintext.or_default(false);
    if let Some(addresses) = &addresses {
        // After an invalid value, unencrypted addresses cannot be judged yet.
        judge_transport(section, addresses.get_ref(), has_tls, allow_plaintext);
    }
    Some(Remote {
        endpoints: addresses?
            .into_inner()
            .into_iter()
            .map(|address| Some(address?.into_inner().settle(has_tls)))
            .collect::<Option<_>>()?,
        login: login.ok()?,
        tls: tls.ok()?,
        allow_plaintext: allow_plaintext?,
    })
}

/// Reads every address; `None` in the position of an invalid one.
fn addresses(node: &Node<'_>) -> Option<Vec<Option<Spanned<Address>>>> {
    let items = node.items("addresses", "[\"http://127.0.0.1:2379\"]")?;
    if items.is_empty() {
        return node.reject(
            "is empty",
            "name at least one address, as in `[\"http://127.0.0.1:2379\"]`",
        );
    }
    let parsed: Vec<_> = items
        .iter()
        .map(|item| {
            let text = read::text(item)?;
            match Address::parse(&text) {
                Ok(address) => Some(Spanned::new(item.span(), address)),
                Err(remedy) => item.reject("is not an address", remedy),
            }
        })
        .collect();
    Some(parsed)
}

/// Reports addresses whose scheme contradicts the other settings for encryption.
fn judge_transport(
    section: &Section<'_>,
    addresses: &[Option<Spanned<Address>>],
    has_tls: bool,
    allow_plaintext: Option<bool>,
) {
    for address in addresses.iter().flatten() {
        let endpoint = address.get_ref().clone().settle(has_tls);
        let finding = if endpoint.is_socket() && addresses.len() > 1 {
            ConfigError::at(
                address.span(),
                format!("`{endpoint}` is a store on this machine, but not the only address"),
            )
            .help("name the socket alone, or remove it: several addresses are members of one etcd")
        } else if has_tls && endpoint.is_socket() {
            ConfigError::at(
                address.span(),
                format!("`{endpoint}` is a socket on this machine, but [store.tls] is set"),
            )
            .help("remove `tls`, or write an https:// address: a socket needs no certificates")
        } else if has_tls && !endpoint.is_secure() {
            ConfigError::at(
                address.span(),
                format!("`{endpoint}` is not encrypted, but [store.tls] is set"),
            )
            .help("write https:// instead of http://, or remove `tls`")
        } else if !has_tls && endpoint.is_secure() {
            ConfigError::at(
                address.span(),
                format!("`{endpoint}` cannot be verified without a certificate"),
            )
            .help("add `tls = { ca = \"ca.pem\" }` to [store]; the system's certificates are not used")
        } else if !endpoint.is_secure() && !endpoint.is_loopback() && allow_plaintext == Some(false)
        {
            ConfigError::at(
                address.span(),
                format!("`{endpoint}` is another machine and the connection is not encrypted"),
            )
            .help("write https:// and add `tls = { ca = \"ca.pem\" }` to [store]")
            .help("or set `allow_plaintext = true` in [store]: passwords and locks then travel openly")
        } else {
            continue;
        };
        section.context().report(finding);
    }
}

fn key_root(node: &Node<'_>) -> Option<String> {
    let text = read::text(node)?;
    if !text.starts_with('/') || !text.ends_with('/') {
        return node.reject(
            "must start and end with `/`",
            "write it as in \"/leasehold/\"",
        );
    }
    if text.contains("//") {
        return node.reject("holds an empty part", "write one `/` where there are two");
    }
    if text.len() > LONGEST_ROOT {
        return node.reject(
            "is too long",
            format!("use at most {LONGEST_ROOT} bytes, as in \"/leasehold/\""),
        );
    }
    if text.contains(|c: char| c.is_control() || c.is_whitespace()) {
        return node.reject(
            "holds a blank or a control character",
            "write it as in \"/leasehold/\"",
        );
    }
    Some(text)
}

fn login(section: &Section<'_>) -> Result<Option<Login>, InvalidField> {
    let user = section.take("user", read::words);
    let file = section.take("password_file", |node| {
        files::claimed(node, FileKind::Password)
    });
    needs_other(section, (&user, "user"), (&file, "password_file"));
    let pair = user.optional()?.zip(file.optional()?);
    Ok(pair.map(|(user, password_file)| Login {
        user,
        password_file,
    }))
}

fn tls(store: &Section<'_>) -> Result<Option<Tls>, InvalidField> {
    let section = store.table("tls", "store.tls", schema::TLS);
    let ca = section.require(
        "ca",
        "add `ca = \"ca.pem\"`; the system's certificates are not used",
        |node| files::claimed(node, FileKind::Certificate),
    );
    let cert = section.take("cert", |node| files::claimed(node, FileKind::Certificate));
    let key = section.take("key", |node| files::claimed(node, FileKind::PrivateKey));
    needs_other(&section, (&cert, "cert"), (&key, "key"));
    if section.is_absent() {
        return Ok(None);
    }
    Ok(Some(Tls {
        ca: ca.ok_or(InvalidField)?.into_inner(),
        identity: cert.optional()?.zip(key.optional()?),
    }))
}

/// Reports one of a pair of keys that is present without the other.
fn needs_other<A, B>(
    section: &Section<'_>,
    (one, one_key): (&Field<A>, &str),
    (other, other_key): (&Field<B>, &str),
) {
    let (span, there, absent) = match (one, other) {
        (Field::Value(one), Field::Absent) => (one.span(), one_key, other_key),
        (Field::Absent, Field::Value(other)) => (other.span(), other_key, one_key),
        _ => return,
    };
    let message = format!("`{there}` in [{}] needs `{absent}`", section.name());
    section.context().report(
        ConfigError::at(span, message).help(format!("add `{absent}`, or remove `{there}`")),
    );
}
