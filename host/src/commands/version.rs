//! `leasehold --version`, and with `--verbose` what a report of a fault needs: the commit, the versions of what is
//! inside, and the paths in use.

use std::fmt::Write as _;

use leasehold_config::Reading;
use leasehold_runtime::{CONTRACT_VERSION, WASMTIME_VERSION};

use crate::config_place;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::show_format::print;

/// The commit that the program was built from, if its build knew.
const COMMIT: Option<&str> = option_env!("LEASEHOLD_BUILD_COMMIT");
/// The target that the program was built for.
const TARGET: &str = env!("LEASEHOLD_BUILD_TARGET");

/// Prints the version.
pub(crate) fn run(verbose: bool) -> Result<Exit, Failure> {
    let mut text = format!("leasehold {}\n", env!("CARGO_PKG_VERSION"));
    if verbose {
        let commit = COMMIT.unwrap_or("unknown: built outside of its repository");
        let mut row = |name: &str, value: &str| {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "{name:<14} {value}");
        };
        row("commit", commit);
        row("target", TARGET);
        row("contract", &format!("leasehold:job@{CONTRACT_VERSION}"));
        row("wasmtime", WASMTIME_VERSION);
        for (name, value) in paths() {
            row(name, &value);
        }
    }
    print(&text)
}

/// The paths that a host started here would use.
fn paths() -> Vec<(&'static str, String)> {
    let Some(file) = config_place::find_silently() else {
        let data = leasehold_config::default_data_dir();
        return vec![
            ("configuration", "none".to_owned()),
            ("data", data.display().to_string()),
            ("cache", data.join("compiled").display().to_string()),
        ];
    };
    let shown = file.display().to_string();
    match Reading::load(&file) {
        Ok(config) => {
            let data = config.host().data_dir();
            vec![
                ("configuration", shown),
                ("data", data.display().to_string()),
                ("cache", data.join("compiled").display().to_string()),
            ]
        }
        Err(_) => vec![(
            "configuration",
            format!("{shown}, which has errors: leasehold check {shown}"),
        )],
    }
}
