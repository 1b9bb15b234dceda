//! A plugin's file as read from disk: its bytes, its manifest, and the sidecar file beside it.
//!
//! The bytes that are hashed, checked and compiled are the same. This file never waits for a file
//! to have data, and compiles nothing.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

use leasehold_diagnostics::shown_path;

use crate::config::DropIn;
use crate::fingerprint::Fingerprint;
use crate::manifest::{Manifest, ManifestError};
use crate::owned::{Folder, OpenRefusal, open_any};

/// Largest sidecar file, in bytes.
const LARGEST_SIDECAR: u64 = 1024 * 1024;

/// Contents of a plugin's file and its sidecar. The error reads on after the file's name.
pub struct PluginFile {
    /// Path of the plugin.
    pub path: PathBuf,
    /// Content of the plugin.
    pub bytes: Vec<u8>,
    /// SHA-256 of `bytes`.
    pub digest: [u8; 32],
    /// Its manifest, if it holds one.
    pub manifest: Result<Option<Manifest>, ManifestError>,
    /// The sidecar: the file of the same name that ends in `.toml`, and its text.
    pub sidecar: Option<(PathBuf, String)>,
}

impl PluginFile {
    /// Reads the plugin that the operator named, of at most `most` bytes, and its sidecar.
    ///
    /// # Errors
    ///
    /// The reason that one of them cannot be read, with a remedy.
    pub fn read(path: &Path, most: u64) -> Result<Self, Unread> {
        let folder = Folder::open_any(parent(path));
        Self::of(path, most, open_any(path), folder)
    }

    /// Reads the plugin at `path` in the folder for plugins, as [`PluginFile::read`] does. Only this
    /// user and root may be able to change it, and no link may lead out of the folder.
    ///
    /// # Errors
    ///
    /// As [`PluginFile::read`].
    pub fn read_dropped(path: &Path, most: u64) -> Result<Self, Unread> {
        let folder =
            Folder::open(parent(path)).map_err(|refusal| unread(parent(path), &refusal))?;
        let file = folder.file(path.file_name().unwrap_or_default());
        Self::of(path, most, file, Ok(folder))
    }

    fn of(
        path: &Path,
        most: u64,
        file: Result<File, OpenRefusal>,
        folder: Result<Folder, OpenRefusal>,
    ) -> Result<Self, Unread> {
        let bytes = read(path, file, most)?;
        let beside = sidecar(path);
        let name = beside.file_name().unwrap_or_default();
        let sidecar = match folder.and_then(|folder| folder.file(name)) {
            Err(refusal) if refusal.is_absence() && !is_there(&beside) => None,
            file => {
                let text = String::from_utf8(read(&beside, file, LARGEST_SIDECAR)?)
                    .map_err(|_| Unread::bad(&beside, "is not UTF-8: save it as UTF-8"))?;
                Some((beside, text))
            }
        };
        Ok(Self {
            path: path.to_owned(),
            digest: Sha256::digest(&bytes).into(),
            manifest: Manifest::read(&bytes),
            bytes,
            sidecar,
        })
    }

    /// Returns the contents as a dropped-in plugin.
    ///
    /// # Errors
    ///
    /// The manifest cannot be read.
    pub fn drop_in(&self) -> Result<DropIn<'_>, &ManifestError> {
        let sidecar = self.sidecar.as_ref();
        Ok(DropIn {
            wasm: &self.path,
            digest: Some(self.digest),
            manifest: self.manifest.as_ref()?.as_ref(),
            sidecar: sidecar.map(|(path, text)| (path.as_path(), text.as_str())),
        })
    }
}

/// Error reading a plugin's file. Reads on after "plugin".
#[derive(Debug, thiserror::Error)]
pub enum Unread {
    /// The file changed meanwhile, so the bytes read are of no use.
    #[error("{} changes while it is read: try again when it is whole", .0.display())]
    Changing(PathBuf),
    /// The text names the file and the remedy.
    #[error("{0}")]
    Bad(String),
}

impl Unread {
    fn bad(path: &Path, why: &str) -> Self {
        Self::Bad(format!("{} {why}", path.display()))
    }
}

/// Path of the sidecar: the file beside a plugin that may add to the description of its job.
pub fn sidecar(plugin: &Path) -> PathBuf {
    plugin.with_extension("toml")
}

/// Reads the bytes of an open file, if it did not change meanwhile.
fn read(path: &Path, file: Result<File, OpenRefusal>, most: u64) -> Result<Vec<u8>, Unread> {
    let unreadable = |error: io::Error| Unread::bad(path, &format!("cannot be read: {error}"));
    let file = file.map_err(|refusal| unread(path, &refusal))?;
    let before = Fingerprint::of_file(&file).map_err(unreadable)?;
    let mut bytes = Vec::new();
    let mut limited = file.take(most.saturating_add(1));
    limited.read_to_end(&mut bytes).map_err(unreadable)?;
    if before != Fingerprint::of_file(limited.get_ref()).map_err(unreadable)? {
        return Err(Unread::Changing(path.to_owned()));
    }
    if bytes.len() as u64 > most {
        return Err(Unread::bad(
            path,
            &format!(
                "is larger than {most} bytes: raise `plugin_size` in the limits that hold for it"
            ),
        ));
    }
    Ok(bytes)
}

fn unread(path: &Path, refusal: &OpenRefusal) -> Unread {
    let (what, help) = refusal.explain();
    Unread::bad(path, &format!("{what}: {help}"))
}

/// Returns true if the path exists; also true for a link, wherever it leads.
fn is_there(path: &Path) -> bool {
    std::fs::symlink_metadata(path).is_ok()
}

fn parent(path: &Path) -> &Path {
    path.parent().unwrap_or(Path::new(""))
}

/// Lists the plugins in a folder, in the order of their names. Hidden files are skipped.
///
/// # Errors
///
/// The fault of the folder with a remedy, to follow its name.
pub fn list(folder: &Path) -> Result<Vec<PathBuf>, String> {
    let names = Folder::open(folder).and_then(|folder| folder.names());
    let names = names.map_err(|refusal| {
        let (what, help) = refusal.explain();
        format!("plugin folder `{}` {what}: {help}", shown_path(folder))
    })?;
    let is_plugin = |name: &OsString| {
        let is_hidden = name.as_encoded_bytes().starts_with(b".");
        Path::new(name).extension() == Some(OsStr::new("wasm")) && !is_hidden
    };
    let plugins = names.into_iter().filter(is_plugin);
    let mut found: Vec<PathBuf> = plugins.map(|name| folder.join(name)).collect();
    found.sort();
    Ok(found)
}
