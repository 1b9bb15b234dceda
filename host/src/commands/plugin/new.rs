//! `plugin new`: writes a project.
//!
//! No file is overwritten. A name that a compiler or a host would refuse is refused first.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use super::language::Language;
use super::{print, templates};
use crate::exit::Exit;
use crate::failure::Failure;

/// Longest name, as for jobs.
const LONGEST_NAME: usize = 63;

/// Reserved words of Rust and names that the template already uses.
const TAKEN: &[&str] = &[
    "alloc",
    "as",
    "async",
    "await",
    "box",
    "break",
    "const",
    "continue",
    "core",
    "crate",
    "dyn",
    "else",
    "enum",
    "extern",
    "false",
    "fn",
    "for",
    "gen",
    "if",
    "impl",
    "in",
    "leasehold-job",
    "let",
    "loop",
    "match",
    "mod",
    "move",
    "mut",
    "pub",
    "ref",
    "return",
    "self",
    "serde",
    "static",
    "std",
    "struct",
    "super",
    "test",
    "trait",
    "true",
    "type",
    "unsafe",
    "use",
    "where",
    "while",
    "wit-bindgen",
    "yield",
];

pub(super) fn new(name: &str, language: Language, dir: Option<PathBuf>) -> Result<Exit, Failure> {
    check(name).map_err(|problem| Failure::new(Exit::Usage, problem))?;
    let dir = dir.unwrap_or_else(|| PathBuf::from(name));
    let refused = |error: &io::Error| {
        let text = format!("{} cannot be written: {error}", dir.display());
        Failure::new(Exit::Usage, text)
    };
    make_empty(&dir)?;
    for (path, text) in templates::files(language, name) {
        write_new(&dir.join(path), &text).map_err(|error| refused(&error))?;
    }
    print(&next_steps(name, language, &dir));
    Ok(Exit::Ok)
}

/// Creates the folder, or accepts an empty one.
fn make_empty(dir: &Path) -> Result<(), Failure> {
    let refused = |why: String| Err(Failure::new(Exit::Usage, why));
    match fs::read_dir(dir).map(|mut entries| entries.next().is_some()) {
        Ok(true) => refused(format!(
            "{} is there already, and nothing is overwritten: choose another folder with --dir",
            dir.display()
        )),
        Ok(false) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => match fs::create_dir_all(dir) {
            Ok(()) => Ok(()),
            Err(error) => refused(format!("{} cannot be made: {error}", dir.display())),
        },
        Err(error) => refused(format!("{} cannot be used: {error}", dir.display())),
    }
}

fn write_new(path: &Path, text: &str) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    File::create_new(path)?.write_all(text.as_bytes())
}

/// Checks that a name is valid for a job, a package and a folder in every language.
fn check(name: &str) -> Result<(), String> {
    let advice = "take up to 63 lower-case letters, digits and single `-`, beginning with a letter";
    let is_word = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let well_formed = name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.chars().all(is_word)
        && !name.ends_with('-')
        && !name.contains("--");
    if name.len() > LONGEST_NAME || !well_formed {
        return Err(format!(
            "{name:?} cannot be the name of a job here: {advice}"
        ));
    }
    if TAKEN.contains(&name) {
        return Err(format!(
            "{name:?} cannot be the name of a job here: Rust reserves it, or the template uses it; choose another"
        ));
    }
    Ok(())
}

fn next_steps(name: &str, language: Language, dir: &Path) -> String {
    let folder = quoted(dir);
    let mut text = format!(
        "{name} in {} is in {}\n\n  cd {folder}\n",
        language.as_str(),
        dir.display()
    );
    let mut step = |command: &str, why: &str| {
        // Writing into a string does not fail.
        let _ = writeln!(text, "  {command:<44}# {why}");
    };
    match language {
        Language::Rust => step("cargo test", "its logic, against a mock of the host"),
        Language::Js => step("npm install", "the compiler, once; about 400 MB"),
        Language::Python => {
            step("python3 -m venv .venv", "the compiler, once");
            step(".venv/bin/pip install -r requirements.txt", "");
        }
        Language::C | Language::Go => {}
    }
    step(
        "leasehold plugin build",
        &format!("writes build/{name}.wasm"),
    );
    step(
        "leasehold run",
        "runs it under its lock, with a store of its own",
    );
    let lines = text
        .lines()
        .map(|line| line.trim_end().trim_end_matches('#').trim_end());
    lines.collect::<Vec<_>>().join("\n") + "\n"
}

/// Quotes a path for a shell.
fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        text
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::ValueEnum as _;

    #[test]
    fn name_that_a_compiler_or_host_refuses_is_refused_first() {
        for good in ["a", "ledger", "night-report-2"] {
            assert_eq!(check(good), Ok(()));
        }
        let long = "a".repeat(64);
        for bad in [
            "", "2nd", "Ledger", "a_b", "a b", "../up", "a--b", "a-", "-a", "fn", "serde", "jöb",
            &long,
        ] {
            assert!(check(bad).is_err(), "{bad:?}");
        }
        insta::assert_snapshot!("bad_name", check("My Job").unwrap_err());
        insta::assert_snapshot!("taken_name", check("async").unwrap_err());
    }

    #[test]
    fn a_folder_with_something_in_it_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let mine = dir.path().join("job.toml");
        fs::write(&mine, "mine").unwrap();
        let refusal = new("demo", Language::C, Some(dir.path().to_owned())).unwrap_err();
        let text = refusal
            .message
            .replace(&dir.path().display().to_string(), "DIR");
        insta::assert_snapshot!("folder_in_use", text);
        assert_eq!(fs::read_to_string(&mine).unwrap(), "mine");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn what_to_type_next_is_said_for_every_language() {
        let mut all = String::new();
        for language in Language::value_variants() {
            all += &next_steps("demo", *language, Path::new("my jobs/demo"));
            all += "\n";
        }
        insta::assert_snapshot!("next_steps", all);
    }

    #[test]
    fn every_language_is_recognized_by_the_files_of_its_template() {
        for language in Language::value_variants() {
            let dir = tempfile::tempdir().unwrap();
            let into = dir.path().join("deep/demo");
            new("demo", *language, Some(into.clone())).unwrap();
            assert_eq!(Language::of(&into), Some(*language));
            let config = fs::read_to_string(into.join("leasehold.toml")).unwrap();
            fs::create_dir(into.join("build")).unwrap();
            fs::write(into.join("build/demo.wasm"), "").unwrap();
            leasehold_config::Config::load(&into.join("leasehold.toml"))
                .unwrap_or_else(|report| panic!("{report}\n{config}"));
        }
    }
}
