//! Folder of a plugin's sources, with the paths of what is built from it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::{section, tools};

/// A project, and the path of its plugin.
pub(super) struct Project {
    pub(super) dir: PathBuf,
    name: String,
    /// Directory for unfinished files.
    pub(super) scratch: PathBuf,
}

impl Project {
    pub(super) fn open(dir: &Path) -> Result<Self, String> {
        let dir = tools::absolute(dir);
        let manifest = read_text(&dir.join("job.toml"))?.unwrap_or_default();
        let said: Option<String> = manifest.parse::<toml::Table>().ok().and_then(|table| {
            let name = table.get("name")?.as_str()?;
            Some(name.to_owned())
        });
        let folder = || {
            dir.canonicalize()
                .ok()?
                .file_name()?
                .to_str()
                .map(str::to_owned)
        };
        let name = said.or_else(folder).unwrap_or_else(|| "job".to_owned());
        let is_word = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        if !name.chars().all(is_word) || !name.starts_with(|c: char| c.is_ascii_alphanumeric()) {
            return Err(format!(
                "{name:?} cannot be the name of a job: change `name` in job.toml"
            ));
        }
        let build = dir.join("build");
        fs::create_dir_all(&build)
            .map_err(|error| format!("{} cannot be made: {error}", build.display()))?;
        Ok(Self {
            scratch: build.join(format!(".{name}.unfinished")),
            name,
            dir,
        })
    }

    pub(super) fn plugin(&self) -> PathBuf {
        self.dir.join("build").join(format!("{}.wasm", self.name))
    }

    /// Reads the compiler's output.
    pub(super) fn compiled(&self) -> Result<Vec<u8>, String> {
        let path = &self.scratch;
        fs::read(path).map_err(|error| format!("the compiler left no {}: {error}", path.display()))
    }

    /// Adds the manifest, if the project has one.
    pub(super) fn finish(&self, plugin: Vec<u8>) -> Result<Vec<u8>, String> {
        match read_text(&self.dir.join("job.toml"))? {
            Some(manifest) => section::with_manifest(plugin, &manifest),
            None => Ok(plugin),
        }
    }
}

/// Reads a file's text; `None` if the file does not exist.
pub(super) fn read_text(path: &Path) -> Result<Option<String>, String> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(format!("{} cannot be read: {error}", path.display())),
    }
}
