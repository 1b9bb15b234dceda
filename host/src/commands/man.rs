//! `leasehold man`: manual pages, made from the command line's own help.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};

use crate::config_place::VARIABLE;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::show_format::print;

/// Files that the first page names, with their use.
const FILES: &[(&str, &str)] = &[
    (
        "./leasehold.toml",
        "The configuration, unless one is given.",
    ),
    (
        "$XDG_CONFIG_HOME/leasehold/leasehold.toml",
        "The next place of the configuration; ~/.config without the variable.",
    ),
    (
        "/etc/leasehold/leasehold.toml",
        "The last place of the configuration.",
    ),
    (
        "$XDG_STATE_HOME/leasehold, /var/lib/leasehold",
        "The host's own files, unless data_dir names another directory.",
    ),
];

/// Variables that the first page names, with their use.
const VARIABLES: &[(&str, &str)] = &[
    (
        VARIABLE,
        "The configuration: a file, or a folder whose .toml files are read as one.",
    ),
    (
        "LEASEHOLD_LOG",
        "Filter of what libraries log on standard error, such as warn or leasehold_lock=debug.",
    ),
    (
        "CREDENTIALS_DIRECTORY",
        "Directory of systemd's credentials, for secrets with `credential`.",
    ),
];

/// Arguments of `leasehold man`.
#[derive(clap::Args)]
pub(crate) struct ManArgs {
    /// Folder for one page a command. Without it, the first page is printed: leasehold man | man -l -
    #[arg(value_name = "DIR")]
    dir: Option<PathBuf>,
}

/// Prints the first page, or writes all of them.
pub(crate) fn run(args: &ManArgs, command: clap::Command) -> Result<Exit, Failure> {
    let mut command = without_help(command);
    command.build();
    let Some(dir) = &args.dir else {
        let page = first_page(&command).map_err(|error| Failure::internal(&error))?;
        return print(&String::from_utf8_lossy(&page));
    };
    let written = write_all(&command, dir).map_err(|error| {
        let message = format!("pages cannot be written into {}: {error}", dir.display());
        Failure::new(Exit::Usage, message)
    })?;
    print(&format!("{written} pages are in {}\n", dir.display()))
}

/// Leaves out the `help` commands: each has the text of a page.
fn without_help(command: clap::Command) -> clap::Command {
    command
        .disable_help_subcommand(true)
        .mut_subcommands(without_help)
}

/// Writes the page of every command, and returns their number.
fn write_all(command: &clap::Command, dir: &Path) -> io::Result<usize> {
    fs::create_dir_all(dir)?;
    fs::write(dir.join("leasehold.1"), first_page(command)?)?;
    let mut written = 1;
    for sub in command.get_subcommands() {
        written += write_below(sub, dir)?;
    }
    Ok(written)
}

/// Writes the page of a command and of those below it.
fn write_below(command: &clap::Command, dir: &Path) -> io::Result<usize> {
    let man = Man::new(command.clone());
    let mut page = Vec::new();
    man.render(&mut page)?;
    fs::write(dir.join(man.get_filename()), page)?;
    let mut written = 1;
    for sub in command.get_subcommands() {
        written += write_below(sub, dir)?;
    }
    Ok(written)
}

/// Renders the page of the program, with its files and variables.
fn first_page(command: &clap::Command) -> io::Result<Vec<u8>> {
    let man = Man::new(command.clone());
    let mut page = Vec::new();
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    man.render_synopsis_section(&mut page)?;
    man.render_description_section(&mut page)?;
    man.render_options_section(&mut page)?;
    man.render_subcommands_section(&mut page)?;
    let mut roff = Roff::new();
    for (heading, entries) in [("FILES", FILES), ("ENVIRONMENT", VARIABLES)] {
        roff.control("SH", [heading]);
        for (name, text) in entries {
            roff.control("TP", []);
            roff.text([bold(*name)]);
            roff.text([roman(*text)]);
        }
    }
    roff.to_writer(&mut page)?;
    man.render_version_section(&mut page)?;
    Ok(page)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_has_a_page_and_the_first_names_files() {
        let dir = tempfile::tempdir().unwrap();
        let store = clap::Command::new("store").subcommand(clap::Command::new("serve"));
        let command = clap::Command::new("leasehold")
            .version("1.2")
            .subcommand(store);
        let mut command = without_help(command);
        command.build();
        assert_eq!(write_all(&command, dir.path()).unwrap(), 3);
        let mut names: Vec<_> = fs::read_dir(dir.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        let wanted = [
            "leasehold-store-serve.1",
            "leasehold-store.1",
            "leasehold.1",
        ];
        assert_eq!(names, wanted);
        let first = fs::read_to_string(dir.path().join("leasehold.1")).unwrap();
        for part in ["/etc/leasehold/leasehold.toml", VARIABLE] {
            assert!(first.contains(part), "{first}");
        }
    }
}
