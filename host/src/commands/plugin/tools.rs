//! Locations of compilers, and running them.
//!
//! Nothing is installed here. An error always names the compiler that failed.

use std::ffi::{OsStr, OsString};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Folder with tools for guests, used if a project has none of its own.
const TOOLS: &str = "LEASEHOLD_GUEST_TOOLS";

/// Path below the folder that the environment names, if it names one.
pub(super) fn shared(path: &str) -> Option<PathBuf> {
    let tools = std::env::var_os(TOOLS).filter(|dir| !dir.is_empty())?;
    let tools = std::path::absolute(tools).ok()?;
    Some(tools.join(path)).filter(|path| path.exists())
}

/// The program of this name on the path.
pub(super) fn on_path(name: &str) -> Option<PathBuf> {
    on_this_path(&std::env::var_os("PATH")?, |file| file == OsStr::new(name)).pop()
}

/// All programs on the path whose names begin like this.
pub(super) fn all_on_path(begin: &str) -> Vec<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    on_this_path(&path, |file| file.to_string_lossy().starts_with(begin))
}

/// Searches the path's folders in order, last first.
fn on_this_path(path: &OsString, wanted: impl Fn(&OsStr) -> bool) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for folder in std::env::split_paths(path) {
        let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
        let files = entries.filter(|entry| wanted(&entry.file_name()));
        found.extend(
            files
                .map(|entry| entry.path())
                .filter(|path| path.is_file()),
        );
    }
    found.reverse();
    found
}

/// Runs a compiler whose output goes to the waiting user.
pub(super) fn run(command: &mut Command) -> Result<(), String> {
    run_as(&command_line(command), command)
}

/// Runs as [`run`] does, with a short name in place of a command line that is not worth reading.
pub(super) fn run_as(name: &str, command: &mut Command) -> Result<(), String> {
    // Standard output is reserved for the path of the result.
    command
        .stdin(Stdio::null())
        .stdout(Stdio::from(std::io::stderr()));
    let _ = writeln!(std::io::stderr(), "{name}");
    match command.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("{name}\nended with {status}; its output is above")),
        Err(error) => Err(format!("{name}\ncould not be started: {error}")),
    }
}

/// Returns a program's output, or nothing.
pub(super) fn output(command: &mut Command) -> Option<String> {
    let output = command.stdin(Stdio::null()).output().ok()?;
    let text = output.status.success().then_some(output.stdout)?;
    String::from_utf8(text).ok()
}

/// Prints a command as a user would type it.
fn command_line(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    let words = words.map(|word| {
        let word = word.to_string_lossy();
        if word.contains(char::is_whitespace) {
            format!("'{word}'")
        } else {
            word.into_owned()
        }
    });
    words.collect::<Vec<_>>().join(" ")
}

/// Makes a path absolute, so that it holds in any directory.
pub(super) fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}
