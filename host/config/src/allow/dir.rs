//! A directory of the host that a guest may use.
//!
//! What is inside is the runtime's business. This file must never look at the file system.

use std::path::PathBuf;

/// A directory of the host under the name by which the guest opens it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dir {
    /// Where it is on the host.
    pub host: PathBuf,
    /// Its full path as the guest sees it, without a `/` at the end except for `/` itself.
    pub guest: String,
    /// Whether the guest may change what is in it. What a guest writes there is not fenced.
    pub write: bool,
}

/// A directory that a plugin says it needs: it cannot know where that is on the host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Need {
    /// The path by which the guest opens it.
    pub guest: String,
    /// Whether the guest changes what is in it.
    pub write: bool,
}

impl Dir {
    /// Whether `other` is this directory with no more rights.
    pub fn covers(&self, other: &Self) -> bool {
        self.host == other.host && self.guest == other.guest && (self.write || !other.write)
    }

    /// This directory with the rights that are needed, if it is the one and grants them.
    pub fn narrowed_to(&self, need: &Need) -> Option<Self> {
        let fits = self.guest == need.guest && (self.write || !need.write);
        fits.then(|| Self {
            write: need.write,
            ..self.clone()
        })
    }
}

/// The path by which a guest opens a directory, in its one form; the error is a remedy.
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
