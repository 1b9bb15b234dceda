//! Grants of a job beyond the rights that every plugin has, as plain values.
//!
//! The configuration, a plugin's manifest and a folder's policy all use these types; the runtime
//! enforces them. Only this module decides if one grant lies within another. It reads no file,
//! resolves no name and holds no secret's value.

mod dir;
mod network;
mod origin;
mod secret;

use std::path::PathBuf;

pub use dir::guest_path;
pub use dir::{Dir, Need};
pub use network::{Network, not_public};
pub use origin::{Origin, OriginError};
pub use secret::{EnvValue, SecretRef};

/// All grants of a job. The default is none.
///
/// ```
/// use leasehold_config::allow::{Allow, Origin};
///
/// let api = Origin::parse("https://api.example.com")?;
/// let allow = Allow { http: vec![api.clone()], ..Allow::default() };
/// assert!(allow.covers_origin(&api));
/// assert!(!allow.covers_kv("ledger/"));
/// # Ok::<(), leasehold_config::allow::OriginError>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Allow {
    /// Prefixes of fenced data, each ending with `/`.
    pub kv: Vec<String>,
    /// True if fenced data may be written too while every lock of the run is shared: the store then accepts the writes
    /// of all holders.
    pub kv_shared: bool,
    /// Origins that requests may go to. Empty: `wasi:http` is not linked.
    pub http: Vec<Origin>,
    /// Networks that are not public and may still be reached. An address that is itself named in
    /// `http` needs no entry here.
    pub http_networks: Vec<Network>,
    /// The header that carries the fencing token, set by the host on every request.
    pub http_token: Option<String>,
    /// Further headers that carry the token, set by the operator whatever header the job sets.
    pub http_tokens_always: Vec<String>,
    /// Certificates to trust besides the system's, as a PEM file.
    pub http_ca: Option<PathBuf>,
    /// Directories.
    pub dirs: Vec<Dir>,
}

impl Allow {
    /// Returns true if keys below `prefix` may be used.
    pub fn covers_kv(&self, prefix: &str) -> bool {
        self.kv.iter().any(|granted| prefix.starts_with(granted))
    }

    /// Names of all headers that carry the token.
    pub fn token_headers(&self) -> impl Iterator<Item = &str> {
        let all = self.http_token.iter().chain(&self.http_tokens_always);
        all.map(String::as_str)
    }

    /// Adds the token header of an enclosing table, unless the job has it.
    pub fn always_carry(&mut self, header: Option<&String>) {
        if let Some(header) = header
            && !self
                .token_headers()
                .any(|known| known.eq_ignore_ascii_case(header))
        {
            self.http_tokens_always.push(header.clone());
        }
    }

    /// Returns true if requests may go to `origin`.
    pub fn covers_origin(&self, origin: &Origin) -> bool {
        self.http.contains(origin)
    }

    /// Returns true if all of `network` may be reached though it is not public.
    pub fn covers_network(&self, network: &Network) -> bool {
        self.http_networks
            .iter()
            .any(|granted| granted.covers(network))
    }

    /// Returns the granted directory that `need` asks for, with no more rights than asked for.
    pub fn dir_for(&self, need: &Need) -> Option<Dir> {
        self.dirs.iter().find_map(|dir| dir.narrowed_to(need))
    }

    /// Returns true if every grant of `wish` lies within this one.
    ///
    /// A header for the token takes no right away, so it is always covered. More certificates widen
    /// the set of trusted servers, so those must be the same.
    pub fn covers(&self, wish: &Self) -> bool {
        wish.kv.iter().all(|prefix| self.covers_kv(prefix))
            && (self.kv_shared || !wish.kv_shared)
            && wish.http.iter().all(|origin| self.covers_origin(origin))
            && wish
                .http_networks
                .iter()
                .all(|network| self.covers_network(network))
            && (wish.http_ca.is_none() || wish.http_ca == self.http_ca)
            && wish
                .dirs
                .iter()
                .all(|dir| self.dirs.iter().any(|granted| granted.covers(dir)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dir(host: &str, guest: &str, write: bool) -> Dir {
        Dir {
            host: host.into(),
            guest: guest.into(),
            write,
        }
    }

    fn allow() -> Allow {
        Allow {
            kv: vec!["a/".into()],
            http: vec![Origin::parse("https://x.example").unwrap()],
            http_networks: vec![Network::parse("10.0.0.0/8").unwrap()],
            dirs: vec![dir("/srv", "/in", false)],
            ..Allow::default()
        }
    }

    #[test]
    fn every_grant_covers_itself_and_nothing() {
        assert!(allow().covers(&allow()));
        assert!(allow().covers(&Allow::default()));
        assert!(!Allow::default().covers(&allow()));
    }

    #[test]
    fn one_wish_too_many_is_not_covered() {
        let wishes: [fn(&mut Allow); 8] = [
            |wish| wish.kv = vec!["a".into()],
            |wish| wish.kv = vec!["b/".into()],
            |wish| wish.kv_shared = true,
            |wish| wish.http = vec![Origin::parse("http://x.example").unwrap()],
            |wish| wish.http_networks = vec![Network::parse("10.0.0.0/7").unwrap()],
            |wish| wish.http_ca = Some("ca.pem".into()),
            |wish| wish.dirs[0].write = true,
            |wish| wish.dirs[0].host = "/".into(),
        ];
        for (number, change) in wishes.into_iter().enumerate() {
            let mut wish = allow();
            change(&mut wish);
            assert!(!allow().covers(&wish), "wish {number}");
        }
    }

    #[test]
    fn less_is_covered() {
        let wish = Allow {
            kv: vec!["a/b/".into()],
            http_networks: vec![Network::parse("10.1.2.3").unwrap()],
            http_token: Some("X-Token".into()),
            ..Allow::default()
        };
        assert!(allow().covers(&wish));
    }

    #[test]
    fn need_gets_its_directory_with_the_requested_rights_only() {
        let mut granted = allow();
        granted.dirs.push(dir("/var", "/out", true));
        let need = |guest: &str, write| Need {
            guest: guest.into(),
            write,
        };
        assert_eq!(
            granted.dir_for(&need("/out", false)),
            Some(dir("/var", "/out", false))
        );
        assert_eq!(
            granted.dir_for(&need("/out", true)),
            Some(dir("/var", "/out", true))
        );
        assert_eq!(granted.dir_for(&need("/in", true)), None);
        assert_eq!(granted.dir_for(&need("/in/deeper", false)), None);
    }
}
