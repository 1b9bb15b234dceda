//! `leasehold init`: writes a commented configuration, and the folder for plugins that it names.
//!
//! No file is overwritten.

use std::fs::{DirBuilder, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use crate::config_place::USUAL_FILE;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::show_format::print;

/// The configuration that is written.
const STARTER: &str = include_str!("init/leasehold.toml");
/// The folder for plugins that it names, beside it.
const PLUGINS: &str = "plugins";

/// Arguments of `leasehold init`.
#[derive(clap::Args)]
pub(crate) struct InitArgs {
    /// The file to write.
    #[arg(value_name = "FILE", default_value = USUAL_FILE)]
    file: PathBuf,
}

/// Writes the file and the folder, and prints the next commands.
pub(crate) fn run(args: &InitArgs) -> Result<Exit, Failure> {
    let file = args.file.as_path();
    let folder = match file.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    };
    let plugins = folder.join(PLUGINS);
    let unwritten = |path: &Path, error: &io::Error| {
        let message = format!("{} cannot be written: {error}", path.display());
        Failure::new(Exit::Usage, message)
    };
    make_folder(folder).map_err(|error| unwritten(folder, &error))?;
    write_new(file).map_err(|error| {
        if error.kind() == io::ErrorKind::AlreadyExists {
            let file = file.display();
            let message = format!(
                "{file} exists, and nothing is overwritten\n  \
                 = help: name another file, or see whether that one is valid: leasehold check {file}"
            );
            Failure::new(Exit::Usage, message)
        } else {
            unwritten(file, &error)
        }
    })?;
    make_folder(&plugins).map_err(|error| unwritten(&plugins, &error))?;
    print(&next_steps(file, &plugins))
}

/// Creates a folder that only this user may change, unless it exists.
fn make_folder(folder: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o755).create(folder)
}

fn write_new(file: &Path) -> io::Result<()> {
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o644)
        .open(file)?
        .write_all(STARTER.as_bytes())
}

fn next_steps(file: &Path, plugins: &Path) -> String {
    let (plain, option) = if file == Path::new(USUAL_FILE) {
        (String::new(), String::new())
    } else {
        let file = file.display();
        (format!(" {file}"), format!(" -c {file}"))
    };
    format!(
        "{file} is written; plugins go into {plugins}/\n\n  \
         leasehold check{plain}\n  leasehold run{option}\n  leasehold status{option}\n",
        file = file.display(),
        plugins = plugins.display(),
    )
}

#[cfg(test)]
mod tests {
    use std::fs;

    use leasehold_config::Config;

    use super::*;

    #[test]
    fn written_file_is_a_valid_configuration() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("new/leasehold.toml");
        let args = InitArgs { file: file.clone() };
        assert_eq!(run(&args).unwrap(), Exit::Ok);
        let config = Config::load(&file).unwrap_or_else(|report| panic!("{report}"));
        let plugins = config.plugins().expect("a folder for plugins");
        assert_eq!(plugins.dir(), dir.path().join("new/plugins"));

        fs::write(&file, "mine").unwrap();
        let failure = run(&args).unwrap_err();
        assert_eq!(failure.exit, Exit::Usage);
        let message = failure.message.replace(dir.path().to_str().unwrap(), "DIR");
        insta::assert_snapshot!(message, @r"
        DIR/new/leasehold.toml exists, and nothing is overwritten
          = help: name another file, or see whether that one is valid: leasehold check DIR/new/leasehold.toml
        ");
        assert_eq!(fs::read_to_string(&file).unwrap(), "mine");
    }

    /// Returns the file with every line of these tables without its `#`.
    fn uncommented(tables: &[&str]) -> String {
        let mut takes = false;
        let mut text = String::new();
        for line in STARTER.lines() {
            if let Some(header) = line
                .strip_prefix("#[")
                .and_then(|rest| rest.split(']').next())
            {
                takes = tables.contains(&header);
            } else if !line.starts_with('#') {
                takes = false;
            }
            let is_comment = line.starts_with("# ");
            let line = if takes && !is_comment {
                line.trim_start_matches('#')
            } else {
                line
            };
            text.push_str(line);
            text.push('\n');
        }
        text
    }

    #[test]
    fn examples_in_comments_are_valid_too() {
        let job = uncommented(&["jobs.report", "jobs.report.allow", "jobs.report.secrets"]);
        let policy = uncommented(&["plugins.allow"]);
        for text in [job, policy] {
            let parsed = Config::parse(&text, Path::new("x.toml"));
            assert!(parsed.is_ok(), "{}", parsed.unwrap_err());
        }
        let remote =
            uncommented(&["store", "store.tls"]).replacen("[store]\nembedded = true", "", 1);
        let parsed = Config::parse(&remote, Path::new("x.toml"));
        assert!(parsed.is_ok(), "{}", parsed.unwrap_err());
    }
}
