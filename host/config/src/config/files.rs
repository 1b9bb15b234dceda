//! Files that the configuration names and that must exist before a host starts.
//!
//! Checks files without reading their contents, except for the manifests in plugins. Opening never
//! waits, so a FIFO cannot block a start.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io::Read as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use leasehold_diagnostics::{ConfigError, shown, shown_path};
use sha2::{Digest as _, Sha256};

use super::context::{PluginReader, ReadPlugin};
use super::file_claim::{ClaimedItem, FileClaim, FileKind};
use super::node::Node;
use super::read;
use crate::credentials;
use crate::manifest::Manifest;
use crate::owned::Folder;
use crate::owned::{OpenRefusal, open as open_regular};

/// The mode bits of group and world.
const OTHERS: u32 = 0o077;
/// The mode bits that let a file be executed.
const EXECUTE: u32 = 0o111;

/// Reads a path and records that its file must exist.
pub(super) fn claimed(node: &Node<'_>, kind: FileKind) -> Option<PathBuf> {
    let path = read::path(node)?;
    node.context().claim(FileClaim {
        what: ClaimedItem::File(kind, path.clone()),
        span: node.span(),
    });
    Some(path)
}

/// Records that the host's own environment must have this variable.
pub(super) fn claim_variable(node: &Node<'_>, name: &str) {
    node.context().claim(FileClaim {
        what: ClaimedItem::Variable(name.to_owned()),
        span: node.span(),
    });
}

/// Records that the service manager must pass this credential.
pub(super) fn claim_credential(node: &Node<'_>, name: &str) {
    node.context().claim(FileClaim {
        what: ClaimedItem::Credential(name.to_owned()),
        span: node.span(),
    });
}

/// Checks that a claimed resource exists and is fit for its use.
pub(super) fn check(claim: &FileClaim) -> Option<ConfigError> {
    match &claim.what {
        ClaimedItem::File(FileKind::Directory, path) => check_directory(path, claim),
        ClaimedItem::File(FileKind::PluginFolder, path) => check_folder(path, claim),
        ClaimedItem::File(kind, path) => check_file(*kind, path, claim),
        ClaimedItem::Variable(name) => check_variable(name, claim),
        ClaimedItem::Credential(name) => check_credential(name, claim),
    }
}

fn check_variable(name: &str, claim: &FileClaim) -> Option<ConfigError> {
    std::env::var_os(name).is_none().then(|| {
        let message = format!("the environment has no variable `{}`", shown(name));
        ConfigError::at(claim.span.clone(), message)
            .help("set it where the host is started, or name a file with `file`")
    })
}

fn check_credential(name: &str, claim: &FileClaim) -> Option<ConfigError> {
    match credentials::path_of(name) {
        Ok(path) => check_file(FileKind::Secret, &path, claim),
        Err(why) => {
            let message = format!("credential `{}` {why}", shown(name));
            let (message, help) = message.rsplit_once(": ").unwrap_or((&message, ""));
            let by_hand = format!(
                "to check by hand: {}=/folder leasehold check",
                credentials::VARIABLE
            );
            Some(
                ConfigError::at(claim.span.clone(), message)
                    .help(help)
                    .help(by_hand),
            )
        }
    }
}

fn check_directory(path: &Path, claim: &FileClaim) -> Option<ConfigError> {
    let what = match std::fs::metadata(path) {
        Ok(found) if found.is_dir() => return None,
        Ok(_) => (
            "is not a directory".to_owned(),
            "name the directory it is in".into(),
        ),
        Err(error) => OpenRefusal::Unreadable(error).explain(),
    };
    let message = format!("directory `{}` {}", shown_path(path), what.0);
    Some(
        ConfigError::at(claim.span.clone(), message)
            .help(what.1.replace("make the file", "make the directory"))
            .help("relative paths start at the folder of the configuration file"),
    )
}

fn check_file(kind: FileKind, given: &Path, claim: &FileClaim) -> Option<ConfigError> {
    let file = open_regular(given);
    let path = shown_path(given);
    let say = |what: &str| {
        ConfigError::at(
            claim.span.clone(),
            format!("{} `{path}` {what}", kind.noun()),
        )
    };
    let file = match file {
        Ok(file) => file,
        Err(refusal) => {
            let (what, help) = refusal.explain();
            let finding = say(&what).help(help);
            return Some(match refusal {
                OpenRefusal::Special if kind.is_secret() => finding
                    .help("it is read again at each use, which a pipe cannot be: write it into a file of mode 600"),
                _ => finding.help("relative paths start at the folder of the configuration file"),
            });
        }
    };
    if kind == FileKind::Program {
        let mode = file
            .metadata()
            .map(|metadata| metadata.permissions().mode());
        let is_executable = mode.is_ok_and(|mode| mode & EXECUTE != 0);
        return (!is_executable)
            .then(|| say("is not executable").help(format!("run `chmod +x {path}`")));
    }
    if !kind.is_secret() || credentials::holds(given) {
        return None;
    }
    match file.metadata() {
        Ok(metadata) if metadata.permissions().mode() & OTHERS == 0 => None,
        Ok(metadata) => {
            let mode = metadata.permissions().mode() & 0o777;
            let what = format!("can be read or changed by others (its mode is {mode:04o})");
            Some(say(&what).help(format!("run `chmod 600 {path}`")))
        }
        Err(error) => Some(say(&format!("cannot be looked at: {error}")).help("try again")),
    }
}

/// Checks that the folder for plugins exists, and that other users cannot change its contents.
fn check_folder(path: &Path, claim: &FileClaim) -> Option<ConfigError> {
    let refusal = Folder::open(path).err()?;
    let path = shown_path(path);
    let (what, help) = refusal.explain();
    let noun = FileKind::PluginFolder.noun();
    let finding = ConfigError::at(claim.span.clone(), format!("{noun} `{path}` {what}"));
    Some(match refusal {
        OpenRefusal::NotADirectory => finding.help("name the folder that holds the plugins"),
        _ if refusal.is_absence() => finding
            .help(format!("run `mkdir -m 755 {path}`, or correct the path"))
            .help("relative paths start at the folder of the configuration file"),
        _ => finding.help(help),
    })
}

/// Reader of plugins that reads each one once.
#[derive(Default)]
pub(super) struct Files(RefCell<BTreeMap<PathBuf, Option<Seen>>>);

/// One plugin that was read.
struct Seen {
    size: u64,
    peeked: Rc<ReadPlugin>,
}

impl PluginReader for Files {
    fn peek(&self, path: &Path, most: u64) -> Option<Rc<ReadPlugin>> {
        let fits = |seen: &Option<Seen>| {
            let seen = seen.as_ref()?;
            (seen.size <= most).then(|| seen.peeked.clone())
        };
        let mut known = self.0.borrow_mut();
        if let Some(seen @ Some(_)) = known.get(path) {
            return fits(seen);
        }
        // A plugin that was too large for another job may fit this one.
        let seen = look_into(path, most);
        let found = fits(&seen);
        known.insert(path.to_owned(), seen);
        found
    }
}

fn look_into(path: &Path, most: u64) -> Option<Seen> {
    let file = open_regular(path).ok()?;
    let size = file.metadata().ok()?.len();
    if size > most {
        return None;
    }
    let mut bytes = Vec::with_capacity(usize::try_from(size).unwrap_or(0));
    // The file may grow while it is read.
    file.take(most.saturating_add(1))
        .read_to_end(&mut bytes)
        .ok()?;
    let size = bytes.len() as u64;
    (size <= most).then(|| Seen {
        size,
        peeked: Rc::new(ReadPlugin {
            digest: Sha256::digest(&bytes).into(),
            manifest: Manifest::read(&bytes),
        }),
    })
}
