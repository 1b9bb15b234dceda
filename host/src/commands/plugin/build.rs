//! `leasehold plugin build`: from a project to `build/NAME.wasm`.
//!
//! A half-written file never has that name. An error about a missing tool always names the command
//! that installs it.

use std::fs;
use std::io;
use std::path::Path;

use super::language::Language;
use super::project::Project;
use super::{builders, print, section, tools};
use crate::exit::Exit;
use crate::failure::Failure;

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
    let built = builders::build(&project, language).map_err(refused)?;
    let plugin = project.finish(built).map_err(refused)?;
    let path = project.plugin();
    replace(&path, &plugin)
        .map_err(|error| refused(format!("{} cannot be written: {error}", path.display())))?;
    let _ = fs::remove_file(&project.scratch);
    print(&format!(
        "{}: a {} of {} bytes\n",
        shown(dir, &path),
        section::kind(&plugin),
        plugin.len()
    ));
    Ok(Exit::Ok)
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
