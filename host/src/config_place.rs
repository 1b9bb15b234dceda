//! Discovery of the configuration for commands that are given none.
//!
//! The variable `LEASEHOLD_CONFIG` comes first: the file or folder that it names must exist. Else the first of the usual
//! files that exists is used. A file outside the current folder is named on standard error.

use std::ffi::OsString;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use crate::exit::Exit;
use crate::failure::Failure;
use crate::sink;

/// Name of the file in each of the usual folders.
pub(crate) const USUAL_FILE: &str = "leasehold.toml";
/// Variable that names the configuration.
pub(crate) const VARIABLE: &str = "LEASEHOLD_CONFIG";
/// Folder for the whole machine.
const SYSTEM_FOLDER: &str = "/etc/leasehold";

/// The option of commands that need a configuration.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct ConfigArg {
    /// The configuration: a file, or a folder whose .toml files are read as one. [default:
    /// `$LEASEHOLD_CONFIG`, else the first leasehold.toml in ., `$XDG_CONFIG_HOME`/leasehold,
    /// /etc/leasehold]
    #[arg(short, long, value_name = "FILE")]
    config: Option<PathBuf>,
}

impl ConfigArg {
    /// Returns the configuration that was given, else the one that is found.
    pub(crate) fn find(&self) -> Result<PathBuf, Failure> {
        find(self.config.as_deref())
    }
}

/// Returns the configuration that was given, else the one that is found, else the failure that lists the places.
pub(crate) fn find(given: Option<&Path>) -> Result<PathBuf, Failure> {
    match find_if_any(given) {
        Some(file) => Ok(file),
        None => Err(Search::of_this_process().failure()),
    }
}

/// Returns the configuration that was given, else the one that is found, if there is any.
pub(crate) fn find_if_any(given: Option<&Path>) -> Option<PathBuf> {
    let search = Search::of_this_process();
    // The parser of the command line has read the variable too.
    let is_variable = given.is_some() && search.variable.as_deref() == given.map(Path::as_os_str);
    if let Some(given) = given.filter(|_| !is_variable) {
        return Some(given.to_owned());
    }
    let found = search.find()?;
    if let Some(note) = found.note() {
        sink::print_warning(&note);
    }
    Some(found.into_path())
}

/// Returns the configuration that is found, if there is any, without a line about it.
pub(crate) fn find_silently() -> Option<PathBuf> {
    Search::of_this_process().find().map(FoundConfig::into_path)
}

/// A configuration that was not given by an argument.
#[derive(Debug, PartialEq, Eq)]
enum FoundConfig {
    /// Named by the variable; it may be missing.
    Variable(PathBuf),
    /// In the current folder.
    Here(PathBuf),
    /// In a folder of the user or of the machine.
    Elsewhere(PathBuf),
}

impl FoundConfig {
    /// Line that names the file, unless it is in the current folder.
    fn note(&self) -> Option<String> {
        match self {
            Self::Variable(path) => Some(format!(
                "leasehold: the configuration is {}, from {VARIABLE}\n",
                path.display()
            )),
            Self::Here(_) => None,
            Self::Elsewhere(path) => Some(format!(
                "leasehold: the configuration is {}\n",
                path.display()
            )),
        }
    }

    fn into_path(self) -> PathBuf {
        match self {
            Self::Variable(path) | Self::Here(path) | Self::Elsewhere(path) => path,
        }
    }
}

/// Places to search, from the environment.
#[derive(Clone, Debug)]
struct Search {
    /// `$LEASEHOLD_CONFIG`.
    variable: Option<OsString>,
    /// The file in the current folder.
    here: PathBuf,
    /// The files in the folders of the user and of the machine, in order.
    elsewhere: Vec<PathBuf>,
}

impl Search {
    fn of_this_process() -> Self {
        // An XDG path that is not absolute is ignored, as its specification requires.
        let absolute = |name| {
            std::env::var_os(name)
                .map(PathBuf::from)
                .filter(|path| path.is_absolute())
        };
        let user = absolute("XDG_CONFIG_HOME")
            .or_else(|| absolute("HOME").map(|home| home.join(".config")))
            .map(|folder| folder.join("leasehold"));
        let folders = user.into_iter().chain([PathBuf::from(SYSTEM_FOLDER)]);
        Self {
            variable: std::env::var_os(VARIABLE).filter(|value| !value.is_empty()),
            here: PathBuf::from(USUAL_FILE),
            elsewhere: folders.map(|folder| folder.join(USUAL_FILE)).collect(),
        }
    }

    fn find(&self) -> Option<FoundConfig> {
        if let Some(named) = &self.variable {
            return Some(FoundConfig::Variable(named.into()));
        }
        if self.here.exists() {
            return Some(FoundConfig::Here(self.here.clone()));
        }
        let mut elsewhere = self.elsewhere.iter();
        let found = elsewhere.find(|path| path.exists())?;
        Some(FoundConfig::Elsewhere(found.clone()))
    }

    /// The failure of a command that found none.
    fn failure(&self) -> Failure {
        let mut message = "there is no configuration".to_owned();
        for path in [&self.here].into_iter().chain(&self.elsewhere) {
            let why = match path.try_exists() {
                Err(error) => error.to_string(),
                Ok(_) => "does not exist".to_owned(),
            };
            // Writing to a string cannot fail.
            let _ = write!(message, "\n  = note: {}: {why}", path.display());
        }
        let _ = write!(
            message,
            "\n  = help: name one on the command line, or with the variable {VARIABLE}\n  \
             = help: or write one: leasehold init"
        );
        Failure::new(Exit::Config, message)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// A search below this folder: `here`, then `user`, then `machine`.
    fn search(dir: &Path, present: &[&str]) -> Search {
        let file = |name: &str| dir.join(name).join(USUAL_FILE);
        for name in present {
            fs::create_dir_all(dir.join(name)).unwrap();
            fs::write(file(name), "").unwrap();
        }
        Search {
            variable: None,
            here: file("here"),
            elsewhere: vec![file("user"), file("machine")],
        }
    }

    #[test]
    fn nearest_existing_file_is_found() {
        for (present, wanted) in [
            (&["here", "user", "machine"][..], "here"),
            (&["user", "machine"], "user"),
            (&["machine"], "machine"),
        ] {
            let dir = tempfile::tempdir().unwrap();
            let found = search(dir.path(), present).find().unwrap();
            assert_eq!(found.note().is_none(), wanted == "here");
            assert_eq!(found.into_path(), dir.path().join(wanted).join(USUAL_FILE));
        }
    }

    #[test]
    fn variable_comes_before_every_file_and_may_name_a_missing_one() {
        let dir = tempfile::tempdir().unwrap();
        let mut search = search(dir.path(), &["here"]);
        search.variable = Some("/nowhere/x.toml".into());
        let found = search.find().unwrap();
        insta::assert_snapshot!(
            found.note().unwrap(),
            @"leasehold: the configuration is /nowhere/x.toml, from LEASEHOLD_CONFIG"
        );
        assert_eq!(found.into_path(), Path::new("/nowhere/x.toml"));
    }

    #[test]
    fn failure_lists_every_place_and_names_init() {
        let dir = tempfile::tempdir().unwrap();
        let mut search = search(dir.path(), &[]);
        assert_eq!(search.find(), None);
        // A file in place of the folder: the place cannot be looked at.
        fs::write(dir.path().join("user"), "").unwrap();
        search.here = USUAL_FILE.into();
        let failure = search.failure();
        assert_eq!(failure.exit, Exit::Config);
        let message = failure.message.replace(dir.path().to_str().unwrap(), "DIR");
        insta::assert_snapshot!(message, @r"
        there is no configuration
          = note: leasehold.toml: does not exist
          = note: DIR/user/leasehold.toml: Not a directory (os error 20)
          = note: DIR/machine/leasehold.toml: does not exist
          = help: name one on the command line, or with the variable LEASEHOLD_CONFIG
          = help: or write one: leasehold init
        ");
    }
}
