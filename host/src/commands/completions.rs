//! `leasehold completions`: a script by which a shell completes commands and options.

use clap_complete::Shell;

use crate::exit::Exit;
use crate::failure::Failure;
use crate::show_format::print;

/// Arguments of `leasehold completions`.
#[derive(clap::Args)]
pub(crate) struct CompletionsArgs {
    /// The shell.
    #[arg(value_enum, value_name = "SHELL")]
    shell: Shell,
}

/// Prints the script for this command line.
pub(crate) fn run(args: &CompletionsArgs, mut command: clap::Command) -> Result<Exit, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut command, "leasehold", &mut script);
    print(&String::from_utf8_lossy(&script))
}
