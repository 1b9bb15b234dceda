//! The command line.

mod manner;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand};

use crate::commands;
use crate::commands::check::CheckArgs;
use crate::commands::completions::CompletionsArgs;
use crate::commands::dev::DevArgs;
use crate::commands::drain::DrainArgs;
use crate::commands::explain::ExplainArgs;
use crate::commands::init::InitArgs;
use crate::commands::lock::LockArgs;
use crate::commands::logs::LogsArgs;
use crate::commands::man::ManArgs;
use crate::commands::pause::PauseArgs;
use crate::commands::plugin::PluginCommand;
use crate::commands::resume::ResumeArgs;
use crate::commands::run::RunArgs;
use crate::commands::runs::RunsArgs;
use crate::commands::status::StatusArgs;
use crate::commands::store::StoreCommand;
use crate::commands::top::TopArgs;
use crate::commands::trigger::TriggerArgs;
use crate::commands::undrain::UndrainArgs;
use crate::diagnostics::Diagnostics;
use crate::exit::Exit;
use crate::failure::{Failure, end};
use crate::held_command;
use crate::interrupt::until_signal;
use crate::log_level::{LogArgs, LogLevel};
use crate::orders::RunEndArgs;
use crate::sink;
use crate::variables::{set_variables, with_variables};
use leasehold_runtime::descriptors;
use leasehold_supervisor::event_level::EventLevel;
use leasehold_supervisor::last_words::LAST_WORDS;

/// Run WebAssembly jobs only while the etcd lock that each declares is held.
///
/// Exit codes: 0 done or stopped as asked; 1 a `once` job, a triggered run, or a plugin that was tried, failed; 2 usage; 3 configuration;
/// 4 plugin refused; 5 store refused, unreachable, in use or not to be opened; 6 a `once` job did not get its lock in time,
/// or a run was not triggered or restarted;
/// 7 another host has this host's id; 8 the lock of `lock` was lost; 70 internal; 130 cut short by a signal: a host by the second one, or by SIGQUIT.
///
/// Every option can be set by an environment variable, which its help names. The command line has precedence.
#[derive(Parser)]
#[command(name = "leasehold", version, max_term_width = 100)]
#[command(disable_version_flag = true, arg_required_else_help = true)]
struct Cli {
    /// Print version; with --verbose also the commit, the versions inside, and the paths in use.
    #[arg(short = 'V', long)]
    version: bool,
    /// With --version, print everything about the program.
    #[arg(short, long, requires = "version")]
    verbose: bool,
    #[command(flatten)]
    log: LogArgs,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Run the jobs of a configuration.
    ///
    /// SIGTERM or SIGINT stops guests within their grace time and then gives the locks back. A second
    /// signal, or SIGQUIT, stops guests at once. SIGHUP reads the configuration again. SIGUSR1, SIGUSR2, SIGALRM
    /// and others that would end the process are ignored and logged.
    Run(RunArgs),
    /// Run several hosts and their store in this process, to see how they share a file's jobs.
    ///
    /// The store is etcd's API on this machine: in memory, unless the file embeds one in a
    /// directory. The hosts contend for the same locks as if each had a machine to itself. SIGTERM
    /// and SIGINT end them as they end `run`; at the end a table lists the runs.
    Dev(DevArgs),
    /// The store by itself: serve it, back it up, restore it, look after it.
    Store {
        #[command(subcommand)]
        command: StoreCommand,
    },
    /// Check a configuration and its plugins without starting anything, and print each job's values
    /// and their origins.
    Check(CheckArgs),
    /// Write a commented configuration, and the folder for plugins that it names.
    ///
    /// An existing file is never overwritten. The next commands to type are printed.
    Init(InitArgs),
    /// Write plugins: create a project, build it, inspect the result, and try it.
    Plugin {
        #[command(subcommand)]
        command: PluginCommand,
    },
    /// Show hosts, jobs and locks as they are now.
    Status(StatusArgs),
    /// Explain why a job does not run, or since when it does.
    Explain(ExplainArgs),
    /// Show holders, waiters and their order as they change: the dashboard.
    ///
    /// Shows the locks of the configuration's store or of any etcd, also those of other clients. Without a
    /// terminal, --once prints them and --stream prints what happens. Nothing of others is changed in the store unless
    /// --allow-write. The open pane of a job's output is a key of its own in the store. Press ? for the keys.
    Top(Box<TopArgs>),
    /// Show runs, newest first.
    Runs(RunsArgs),
    Lock(Box<LockArgs>),
    /// Show the output of a job's runs.
    ///
    /// Of a finished run, what its record keeps (`limits.output_kept`). Of a running one, the last lines that its host
    /// has in memory. With --follow, what comes from now on: hosts send it while it is requested, within limits of
    /// bytes a second, and what is left out is counted. Lines that begin with `--` are notes of this program.
    Logs(LogsArgs),
    /// Run a job once, now, under its lock, on any host that has it.
    ///
    /// Takes no tick of its schedule. Refused while the job is paused, runs, or waits for its lock. Hosts that
    /// do not hold the lock leave it to the one that does: it is run once at most, and not again if that host
    /// dies. Exit codes: 0 taken or, with --wait, done; 1 it failed; 2 its --config was refused; 6 not taken:
    /// the job is paused, runs already, or no host took it in time; 130 Ctrl-C.
    Trigger(TriggerArgs),
    /// Keep new runs of a job from starting.
    ///
    /// The run under way goes on. Ticks that pass meanwhile follow the job's `missed`: by default they are
    /// left out, so a nightly job does not run at noon when the pause ends.
    Pause(PauseArgs),
    /// End a pause.
    Resume(ResumeArgs),
    /// Keep a host from starting runs; it ends when its last run has ended.
    ///
    /// Other hosts take over its jobs. A host that is started while it is drained stands by.
    Drain(DrainArgs),
    /// End the drain of a host.
    Undrain(UndrainArgs),
    /// Ask the run of a job to end, within its grace time.
    ///
    /// The job goes on by its schedule. A job that keeps running starts again, here or elsewhere: `pause JOB
    /// --stop` keeps it off. A later run is never ended by this.
    Stop(RunEndArgs),
    /// End the run of a job and run it again at once, with its newest version.
    ///
    /// Refused while the job is paused or the run's host is drained, with exit code 6: it would not run again there.
    Restart(RunEndArgs),
    /// Print the JSON schema of the configuration, for editors and validators.
    ///
    /// Editors find it by the first line of a file, such as `#:schema leasehold.schema.json`, a path from that file.
    Schema,
    /// Print the script by which a shell completes these commands.
    Completions(CompletionsArgs),
    /// Print the manual page, or write the pages of all commands into a folder.
    Man(ManArgs),
}

/// Parses the command line, with the variables of its options; ends the process where it cannot be understood.
fn parse() -> Cli {
    let arguments: Vec<OsString> = std::env::args_os().collect();
    let environment = |name: &str| std::env::var_os(name);
    let command = with_variables(Cli::command(), &arguments, &environment);
    let variables = set_variables(&command, &environment);
    let matches = command.try_get_matches_from(arguments);
    let parsed = matches.and_then(|matches| Cli::from_arg_matches(&matches));
    parsed.unwrap_or_else(|error| {
        if error.use_stderr() && !variables.is_empty() {
            let names = variables.join(", ");
            sink::print_error(&format!(
                "note: the environment sets options too: {names}\n\n"
            ));
        }
        error.exit()
    })
}

/// Returns the command with the variables of all its options, whatever the environment sets.
fn with_every_variable() -> clap::Command {
    with_variables(Cli::command(), &[], &|_| None)
}

/// Runs the program and returns its exit code.
pub fn main() -> ExitCode {
    if let Some(ended) = leasehold_runtime::run_if_asked().or_else(held_command::run_if_asked) {
        return ended;
    }
    let cli = parse();
    let command = match cli.command {
        Some(command) if !cli.version => command,
        _ => return end(commands::version::run(cli.verbose), false),
    };
    if let Err(error) = crate::threads::try_all() {
        // Written from here: the normal writer needs a thread too.
        sink::print_error(&format!("error: {error}\n"));
        return Exit::Internal.into();
    }
    let level = cli.log.level();
    if level == Some(LogLevel::Error) {
        sink::set_quiet();
    }
    let lines = command.line_filter(level);
    let diagnostics = Diagnostics::install(lines, command.log_format());
    let goes_on = command.goes_on();
    let events = level.map_or(command.event_level(), LogLevel::of_events);
    let ended = run_to_end(command, events);
    diagnostics.finish(LAST_WORDS);
    end(ended, goes_on)
}

fn run_to_end(command: Command, level: EventLevel) -> Result<Exit, Failure> {
    if !matches!(command, Command::Lock(_)) {
        // The command of a lock inherits the limits of its caller.
        descriptors::raise();
    }
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        // Replies are polled after this many turns of tasks. A turn of a guest that computes takes
        // a tick.
        .event_interval(8)
        .thread_name("leasehold")
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => return Err(Failure::internal(&error)),
    };
    // On a worker, next to the tasks it waits for, and not on a thread that has to be woken each
    // time.
    let ended = if command.ends_at_signal() {
        runtime.block_on(until_signal(run(command, level)))
    } else {
        let work = runtime.spawn(run(command, level));
        runtime
            .block_on(work)
            .unwrap_or_else(|error| Err(Failure::internal(&error)))
    };
    // An abandoned compilation may still occupy a thread; the process need not wait for it.
    runtime.shutdown_background();
    ended
}

async fn run(command: Command, level: EventLevel) -> Result<Exit, Failure> {
    match command {
        Command::Run(args) => Box::pin(commands::run::run(args, level)).await,
        Command::Check(args) => commands::check::run(args).await,
        Command::Dev(args) => Box::pin(commands::dev::run(args, level)).await,
        Command::Store { command } => commands::store::run(command, level).await,
        Command::Plugin { command } => commands::plugin::run(command).await,
        Command::Top(args) => Box::pin(commands::top::run(*args)).await,
        Command::Status(args) => commands::status::run(args).await,
        Command::Explain(args) => commands::explain::run(args).await,
        Command::Runs(args) => commands::runs::run(args).await,
        Command::Lock(args) => Box::pin(commands::lock::run(*args)).await,
        Command::Logs(args) => Box::pin(commands::logs::run(args)).await,
        Command::Trigger(args) => commands::trigger::run(args).await,
        Command::Pause(args) => commands::pause::run(args).await,
        Command::Resume(args) => commands::resume::run(args).await,
        Command::Drain(args) => commands::drain::run(args).await,
        Command::Undrain(args) => commands::undrain::run(args).await,
        Command::Stop(args) => commands::stop::run(args).await,
        Command::Restart(args) => commands::restart::run(args).await,
        Command::Init(args) => commands::init::run(&args),
        Command::Schema => commands::schema::run(),
        Command::Completions(args) => commands::completions::run(&args, Cli::command()),
        Command::Man(args) => commands::man::run(&args, with_every_variable()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    /// Adds the options of a command and of its subcommands, by their variables.
    fn collect(
        command: &clap::Command,
        path: &str,
        variables: &mut BTreeMap<String, Vec<String>>,
        without: &mut Vec<String>,
    ) {
        let path = format!("{path} {}", command.get_name());
        for arg in command.get_arguments() {
            let Some(long) = arg.get_long() else {
                continue;
            };
            let option = format!("{} --{long}", path.trim_start());
            match arg.get_env() {
                Some(name) => {
                    let name = name.to_string_lossy().into_owned();
                    variables.entry(name).or_default().push(option);
                }
                None if matches!(long, "help" | "version" | "verbose") => {}
                None => without.push(option),
            }
        }
        for sub in command.get_subcommands() {
            collect(sub, &path, variables, without);
        }
    }

    #[test]
    fn every_option_has_a_variable_and_shares_it_by_intent() {
        let command = with_every_variable();
        let (mut variables, mut without) = (BTreeMap::new(), Vec::new());
        collect(&command, "", &mut variables, &mut without);
        assert!(
            without.is_empty(),
            "options without a variable: {without:?}"
        );
        variables.retain(|_, options| options.len() > 1);
        let shared: Vec<&String> = variables.keys().collect();
        assert_eq!(shared, ["LEASEHOLD_CONFIG", "LEASEHOLD_LOG_FORMAT"]);
    }

    #[test]
    fn the_help_of_every_command() {
        let mut command = with_every_variable().term_width(100);
        command.build();
        insta::assert_snapshot!("help", command.render_long_help());
        for path in [
            &["run"][..],
            &["dev"],
            &["check"],
            &["init"],
            &["status"],
            &["explain"],
            &["top"],
            &["runs"],
            &["lock"],
            &["logs"],
            &["trigger"],
            &["pause"],
            &["resume"],
            &["drain"],
            &["undrain"],
            &["stop"],
            &["restart"],
            &["schema"],
            &["completions"],
            &["man"],
            &["store", "serve"],
            &["store", "backup"],
            &["store", "restore"],
            &["store", "status"],
            &["plugin", "new"],
            &["plugin", "build"],
            &["plugin", "inspect"],
            &["plugin", "run"],
        ] {
            let start = Some(&mut command);
            let sub = path.iter().fold(start, |found, name| {
                found.and_then(|command| command.find_subcommand_mut(name))
            });
            let (sub, name) = (sub.expect("a command"), path.join("_"));
            insta::assert_snapshot!(
                format!("help_{name}"),
                sub.clone().term_width(100).render_long_help()
            );
        }
    }
}
