//! `plugin build`: from a project to `build/NAME.wasm`.
//!
//! A half-written file never has that name. An error about a missing tool always names the command
//! that installs it.

mod c;
mod go;
mod js;
mod python;
mod rust;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::language::Language;
use super::{say, section, tools};
use crate::exit::Exit;
use crate::failure::Failure;

/// A project, and the path of its plugin.
pub(super) struct Project {
    dir: PathBuf,
    name: String,
    /// Directory for unfinished files.
    scratch: PathBuf,
}

pub(super) fn build(dir: &Path) -> Result<Exit, Failure> {
    let refused = |message: String| Failure::new(Exit::Plugin, message);
    let Some(language) = Language::of(dir) else {
        return Err(Failure::new(
            Exit::Usage,
            format!(
                "{} is not a project: it has no Cargo.toml, go.mod, job.js, app.py or job.c; begin one with `leasehold plugin new NAME --lang rust`",
                dir.display()
            ),
        ));
    };
    let project = Project::open(dir).map_err(refused)?;
    let built = project.build(language).map_err(refused)?;
    let plugin = project.finish(built).map_err(refused)?;
    let path = project.plugin();
    replace(&path, &plugin)
        .map_err(|error| refused(format!("{} cannot be written: {error}", path.display())))?;
    let _ = fs::remove_file(&project.scratch);
    say(&format!(
        "{}: a {} of {} bytes\n",
        shown(dir, &path),
        section::kind(&plugin),
        plugin.len()
    ));
    Ok(Exit::Ok)
}

impl Project {
    fn open(dir: &Path) -> Result<Self, String> {
        let dir = tools::absolute(dir);
        let manifest = read(&dir.join("job.toml"))?.unwrap_or_default();
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

    fn plugin(&self) -> PathBuf {
        self.dir.join("build").join(format!("{}.wasm", self.name))
    }

    fn build(&self, language: Language) -> Result<Vec<u8>, String> {
        match language {
            Language::Rust => rust::build(self),
            Language::C => c::build(self),
            Language::Js => js::build(self),
            Language::Python => python::build(self),
            Language::Go => go::build(self),
        }
    }

    /// Reads the compiler's output.
    fn compiled(&self) -> Result<Vec<u8>, String> {
        let path = &self.scratch;
        fs::read(path).map_err(|error| format!("the compiler left no {}: {error}", path.display()))
    }

    /// Adds the manifest, if the project has one.
    fn finish(&self, plugin: Vec<u8>) -> Result<Vec<u8>, String> {
        match read(&self.dir.join("job.toml"))? {
            Some(manifest) => section::with_manifest(plugin, &manifest),
            None => Ok(plugin),
        }
    }
}

/// Reads a file's text; `None` if the file does not exist.
fn read(path: &Path) -> Result<Option<String>, String> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(format!("{} cannot be read: {error}", path.display())),
    }
}

/// Replaces a file in one step: a host may be reading the old one. An identical file is left
/// unchanged, because hosts compare its time.
fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    if fs::read(path).is_ok_and(|old| old == bytes) {
        return Ok(());
    }
    let unfinished = path.with_extension("wasm.unfinished");
    fs::write(&unfinished, bytes)?;
    fs::rename(&unfinished, path)
}

/// The plugin's path, in the form in which the folder was given.
fn shown(dir: &Path, path: &Path) -> String {
    let inside = path.strip_prefix(tools::absolute(dir)).unwrap_or(path);
    if dir == Path::new(".") {
        inside.display().to_string()
    } else {
        dir.join(inside).display().to_string()
    }
}

#[cfg(test)]
mod tests;
