//! Reasons for not opening a file, and their remedies.

use std::borrow::Cow;
use std::io;
use std::path::PathBuf;

use leasehold_diagnostics::shown_path;

/// Error opening a file.
#[derive(Debug)]
pub enum OpenRefusal {
    /// Opening or inspecting it failed.
    Unreadable(io::Error),
    /// The path is a directory.
    Directory,
    /// The path is not a directory, and should be one.
    NotADirectory,
    /// The file is a FIFO, a socket or a device.
    Special,
    /// The file, or a directory on the way, belongs to another user.
    Foreign(Step, u32),
    /// Other users may write to it or to a directory on the way.
    Writable(Step, Writers),
    /// A link leads out of the folder in which the file was looked for.
    Outside(PathBuf),
    /// A link leads to a file whose lines must not be shown.
    Hidden {
        /// The file that the link leads to.
        target: PathBuf,
    },
}

/// One step on the way to a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// Its path.
    pub path: PathBuf,
    /// True for the last one, the path that was requested.
    pub is_last: bool,
}

/// Users who may write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Writers {
    /// Every user, by this mode.
    Everybody(u32),
    /// A group that is neither this process's nor root's, by this mode.
    Group(u32, u32),
}

impl OpenRefusal {
    /// True if nothing exists at the path.
    pub fn is_absence(&self) -> bool {
        matches!(self, Self::Unreadable(error) if error.kind() == io::ErrorKind::NotFound)
    }

    /// Returns the fault, to follow "the file", and the remedy.
    pub fn explain(&self) -> (String, Cow<'static, str>) {
        match self {
            Self::Unreadable(error) if error.kind() == io::ErrorKind::NotFound => (
                "does not exist".into(),
                "correct the path, or make the file".into(),
            ),
            Self::Unreadable(error) if error.kind() == io::ErrorKind::PermissionDenied => (
                "may not be read by this user".into(),
                "change its owner or mode, or run as another user".into(),
            ),
            Self::Unreadable(error) => (
                format!("cannot be opened: {error}"),
                "correct the path, or what it leads to".into(),
            ),
            Self::Directory => ("is a directory".into(), "name a file in it".into()),
            Self::NotADirectory => ("is not a folder".into(), "name a folder".into()),
            Self::Special => (
                "is not a regular file".into(),
                "FIFOs, sockets and devices cannot be used; name a regular file".into(),
            ),
            Self::Foreign(step, owner) => {
                let us = rustix::process::geteuid().as_raw();
                let ours = if us == 0 {
                    "to root".to_owned()
                } else {
                    format!("to this user ({us}) or root")
                };
                let what = format!("{}belongs to user {owner}, not {ours}", step.prefix());
                let path = shown_path(&step.path);
                // Root checks an installed host's files: to take them away from that host's user would stop it.
                let remedy = if us == 0 {
                    format!(
                        "run this as the user who owns it: `sudo -u '#{owner}' leasehold …`; or, if it should be root's, \
                         run `chown 0 {path}`"
                    )
                } else {
                    format!("run `chown {us} {path}`, or run as user {owner}")
                };
                (what, remedy.into())
            }
            Self::Writable(step, writers) => {
                let (who, mode, letter) = match writers {
                    Writers::Everybody(mode) => ("everybody".to_owned(), mode, 'o'),
                    Writers::Group(group, mode) => (format!("group {group}"), mode, 'g'),
                };
                let prefix = step.prefix();
                let what = format!("{prefix}may be written by {who} (its mode is {mode:04o})");
                let path = shown_path(&step.path);
                (what, format!("run `chmod {letter}-w {path}`").into())
            }
            Self::Outside(folder) => (
                format!(
                    "is a link that leads out of its folder `{}`",
                    shown_path(folder)
                ),
                "put the file itself there".into(),
            ),
            Self::Hidden { target } => {
                let target = shown_path(target);
                (
                    format!(
                        "is a link to `{target}`, which not every user may read, and errors show its lines"
                    ),
                    format!("name {target} itself").into(),
                )
            }
        }
    }
}

impl Step {
    fn prefix(&self) -> String {
        if self.is_last {
            String::new()
        } else {
            format!("is reached through `{}`, which ", shown_path(&self.path))
        }
    }
}
