//! `leasehold plugin`: creates, builds, inspects and tries a plugin, in the author's language.
//!
//! The rest of the host uses nothing of this module.
//!
//! - `inspect`, `run`: facts about a plugin, and one run of it without a store
//! - `new`: a project from `templates`, for a `language`
//! - `build`: from a `project` to a plugin, with the compiler of one of the `builders` and the
//!   `section` that no compiler writes; `tools`: paths of compilers

mod build;
mod builders;
mod inspect;
mod language;
mod lookup;
mod new;
mod project;
mod run;
mod section;
mod templates;
mod tools;

use std::path::PathBuf;

use clap::Subcommand;

use crate::exit::Exit;
use crate::failure::Failure;
use inspect::InspectArgs;
use language::Language;
use run::PluginRunArgs;

/// Commands for plugins.
#[derive(Subcommand)]
pub(crate) enum PluginCommand {
    /// Create a project: a small, complete job in a language, with a test where the language has
    /// one.
    ///
    /// Existing files are never overwritten. The next commands to type are printed.
    New {
        /// The job's name, which also becomes the folder's.
        name: String,
        /// The language to write it in.
        #[arg(long, value_enum)]
        lang: Language,
        /// Folder to create instead of ./NAME.
        #[arg(long, value_name = "DIR")]
        dir: Option<PathBuf>,
    },
    /// Build a project's plugin into its `build` folder.
    ///
    /// Recognizes the language by the project's files and runs its compiler. A missing tool is
    /// reported with the command that installs it. The manifest in `job.toml` becomes a part of the
    /// plugin. Compilers are searched in the project, then in the folder that the variable
    /// `LEASEHOLD_GUEST_TOOLS` names (python, js, go), then on the path.
    Build {
        /// The project.
        #[arg(value_name = "DIR", default_value = ".")]
        dir: PathBuf,
    },
    /// Show a plugin's form, imports, needs and manifest, and whether it could run here.
    ///
    /// Ends with 0 when it can run, and with 4 when not.
    Inspect(InspectArgs),
    /// Run a plugin under a simulated lock, without etcd.
    ///
    /// Its standard output goes to standard output, everything else to standard error. Ends with 1
    /// when it failed. Ends with 0 when it is done, or was stopped by ctrl-c or by the loss of the lock
    /// that --lock=fake:TIME simulates. Ends with 130 when ctrl-c comes before it runs.
    Run(PluginRunArgs),
}

impl PluginCommand {
    /// Returns true for a command that a signal ends at once, with what it has begun.
    pub(crate) const fn ends_at_signal(&self) -> bool {
        match self {
            Self::Inspect(_) => true,
            // A compiler receives the terminal's signals itself. A guest is stopped within its grace time.
            Self::New { .. } | Self::Build { .. } | Self::Run(_) => false,
        }
    }
}

/// Runs a command.
pub(crate) async fn run(command: PluginCommand) -> Result<Exit, Failure> {
    let command = match command {
        PluginCommand::Inspect(args) => return Box::pin(inspect::run(args)).await,
        PluginCommand::Run(args) => return Box::pin(run::run(args)).await,
        command => command,
    };
    // Files and compilers block; nothing else waits for this process.
    let work = tokio::task::spawn_blocking(move || match command {
        PluginCommand::New { name, lang, dir } => new::new(&name, lang, dir),
        PluginCommand::Build { dir } => build::build(&dir),
        // Handled above.
        PluginCommand::Inspect(_) | PluginCommand::Run(_) => Ok(Exit::Ok),
    });
    work.await
        .unwrap_or_else(|error| Err(Failure::internal(&error)))
}

/// Writes to standard output; a reader that closed the pipe still gets the exit code.
fn print(text: &str) {
    let _ = crate::sink::print(text);
}
