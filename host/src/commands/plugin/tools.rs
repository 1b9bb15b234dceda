//! Where compilers are, and how they are run.
//!
//! It must never install anything, and never run a compiler that it has not named when it fails.

use std::ffi::{OsStr, OsString};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A folder with tools for guests, in place of each project having its own.
const TOOLS: &str = "LEASEHOLD_GUEST_TOOLS";

/// Below the folder that the environment names, if it does.
pub(super) fn shared(path: &str) -> Option<PathBuf> {
    let tools = std::env::var_os(TOOLS).filter(|dir| !dir.is_empty())?;
    let tools = std::path::absolute(tools).ok()?;
    Some(tools.join(path)).filter(|path| path.exists())
}

/// The program of this name on the path.
pub(super) fn on_path(name: &str) -> Option<PathBuf> {
    on_this_path(&std::env::var_os("PATH")?, |file| file == OsStr::new(name)).pop()
}

/// All programs on the path whose names begin so.
pub(super) fn all_on_path(begin: &str) -> Vec<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    on_this_path(&path, |file| file.to_string_lossy().starts_with(begin))
}

/// In the order of the path's folders, last first.
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

/// Runs a compiler whose words go to the person who waits for it.
pub(super) fn run(command: &mut Command) -> Result<(), String> {
    run_as(&said(command), command)
}

/// As [`run`], under a name for what is not worth reading.
pub(super) fn run_as(name: &str, command: &mut Command) -> Result<(), String> {
    // What is built is what standard output is for.
    command
        .stdin(Stdio::null())
        .stdout(Stdio::from(std::io::stderr()));
    let _ = writeln!(std::io::stderr(), "{name}");
    match command.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!(
            "{name}\nended with {status}; what it said is above"
        )),
        Err(error) => Err(format!("{name}\ncould not be started: {error}")),
    }
}

/// What a program prints, or nothing.
pub(super) fn output(command: &mut Command) -> Option<String> {
    let output = command.stdin(Stdio::null()).output().ok()?;
    let text = output.status.success().then_some(output.stdout)?;
    String::from_utf8(text).ok()
}

/// A command as one would type it.
fn said(command: &Command) -> String {
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

/// A path that holds wherever a compiler is run.
pub(super) fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}
