//! `leasehold plugin`: from nothing to a plugin, in the author's language.
//!
//! It must never take part in running jobs: nothing else in the host uses what is here.
//!
//! - `inspect`, `trial`: what a plugin is, and one run of it without a store
//! - `new`: a project from `templates`, for a `language`
//! - `build`: from a project to a plugin: the compiler's work, and the `section` it cannot write
//!   itself; `tools`: where compilers are

mod build;
mod inspect;
mod language;
mod new;
mod section;
mod templates;
mod tools;
mod trial;

use std::path::PathBuf;

use clap::Subcommand;

use crate::exit::Exit;
use crate::failure::Failure;
use inspect::InspectArgs;
use language::Language;
use trial::TrialArgs;

/// What there is to do with plugins.
#[derive(Subcommand)]
pub(crate) enum PluginCommand {
    /// Begin a project: a small, complete job in a language, with a test where the language has one.
    ///
    /// Nothing is ever overwritten. What to type next is printed.
    New {
        /// The job's name, which also becomes the folder's.
        name: String,
        /// The language to write it in.
        #[arg(long, value_enum)]
        lang: Language,
        /// The folder to make in place of ./NAME.
        #[arg(long, value_name = "DIR")]
        dir: Option<PathBuf>,
    },
    /// Build a project's plugin into its `build` folder.
    ///
    /// Recognizes the language by the project's files and runs its compiler; what is missing is named with
    /// the command that installs it. The manifest in `job.toml` becomes a part of the plugin.
    /// Compilers are looked for in the project, then in the folder that the variable
    /// `LEASEHOLD_GUEST_TOOLS` names (python, js, go), then on the path.
    Build {
        /// The project.
        #[arg(value_name = "DIR", default_value = ".")]
        dir: PathBuf,
    },
    /// Show what a plugin is, imports, needs and says of itself, and what would become of it here.
    ///
    /// Ends with 0 when it can run, and with 4 when not.
    Inspect(InspectArgs),
    /// Run a plugin without etcd, under a lock that is not one.
    ///
    /// Its standard output goes to standard output, everything else to standard error. Ends with 0 when it
    /// is done, or was stopped by ctrl-c or by the loss of the lock that --lock=fake:TIME asks for, and
    /// with 1 when it failed.
    Run(TrialArgs),
}

/// Carries a command out.
pub(crate) async fn run(command: PluginCommand) -> Result<Exit, Failure> {
    let command = match command {
        PluginCommand::Inspect(args) => return Box::pin(inspect::run(args)).await,
        PluginCommand::Run(args) => return Box::pin(trial::run(args)).await,
        command => command,
    };
    // Files and compilers block; nothing else waits for this process.
    let work = tokio::task::spawn_blocking(move || match command {
        PluginCommand::New { name, lang, dir } => new::new(&name, lang, dir),
        PluginCommand::Build { dir } => build::build(&dir),
        // Carried out above.
        PluginCommand::Inspect(_) | PluginCommand::Run(_) => Ok(Exit::Ok),
    });
    work.await
        .unwrap_or_else(|error| Err(Failure::internal(&error)))
}

/// Writes to standard output; whoever closed the pipe has the exit code.
fn say(text: &str) {
    let _ = crate::sink::print(text);
}
