//! A directory of the host that a guest may use.
//!
//! Describes the directory only: the runtime handles its contents, and this file does no I/O.

use std::path::PathBuf;

/// A directory of the host under the name by which the guest opens it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dir {
    /// Path on the host.
    pub host: PathBuf,
    /// Full path as the guest sees it, without a `/` at the end except for `/` itself.
    pub guest: String,
    /// True if the guest may change its contents. Writes of a guest to a directory are not fenced.
    pub write: bool,
}

/// A directory that a plugin needs. Its path on the host is the operator's to set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Need {
    /// Path by which the guest opens it.
    pub guest: String,
    /// True if the guest changes its contents.
    pub write: bool,
}

impl Dir {
    /// Returns true if `other` is this directory with no more rights.
    pub fn covers(&self, other: &Self) -> bool {
        self.host == other.host && self.guest == other.guest && (self.write || !other.write)
    }

    /// Returns this directory with the rights of `need`, if the paths match and it grants those
    /// rights.
    pub fn narrowed_to(&self, need: &Need) -> Option<Self> {
        let fits = self.guest == need.guest && (self.write || !need.write);
        fits.then(|| Self {
            write: need.write,
            ..self.clone()
        })
    }
}

/// Normalizes the path by which a guest opens a directory; the error is a remedy.
pub fn guest_path(text: &str) -> Result<String, &'static str> {
    let example = "write a full path, as in \"/in\"";
    let Some(inside) = text.strip_prefix('/') else {
        return Err(example);
    };
    let inside = inside.strip_suffix('/').unwrap_or(inside);
    if inside.is_empty() {
        return Ok("/".to_owned());
    }
    if inside
        .split('/')
        .any(|part| matches!(part, "" | "." | ".."))
    {
        return Err("write it without `.`, `..` and empty parts");
    }
    if inside.contains(char::is_control) {
        return Err("remove the control character");
    }
    Ok(format!("/{inside}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_guests_path_is_full_and_plain() {
        for (text, path) in [
            ("/", Some("/")),
            ("/in", Some("/in")),
            ("/in/", Some("/in")),
            ("/a b/c", Some("/a b/c")),
            ("in", None),
            ("", None),
            ("/../etc", None),
            ("/a/./b", None),
            ("//a", None),
            ("/a\n", None),
        ] {
            assert_eq!(guest_path(text).ok().as_deref(), path, "{text}");
        }
    }
}
