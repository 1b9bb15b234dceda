//! Environment variables: every option of the command line has one.
//!
//! An option of one command has a variable of its own, as `LEASEHOLD_RUNS_LIMIT` for `leasehold runs --limit`. Options
//! that mean the same for several commands share one ([`is_shared`]). The command line has precedence over a variable,
//! and an option there over the variables of all options that it excludes. An empty variable counts as absent.

use std::collections::BTreeSet;
use std::env;
use std::ffi::OsString;

use clap::builder::BoolishValueParser;
use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Command};

/// Start of every variable.
const PREFIX: &str = "LEASEHOLD";

/// Returns the command with the variables of all its options, for these arguments.
pub(crate) fn with_variables(command: Command, arguments: &[OsString]) -> Command {
    let given = command
        .clone()
        .ignore_errors(true)
        .try_get_matches_from(arguments)
        .ok();
    let is_empty = |name: &str| env::var_os(name).is_some_and(|value| value.is_empty());
    extend(command, &[], given.as_ref(), &is_empty)
}

/// Returns the variables of options that the environment sets, sorted: an error may be about any of them.
pub(crate) fn set_variables(command: &Command) -> Vec<String> {
    let own = command.get_arguments().filter_map(Arg::get_env);
    let own = own.filter(|name| env::var_os(name).is_some());
    let mut names: Vec<String> = own
        .map(|name| name.to_string_lossy().into_owned())
        .collect();
    names.extend(command.get_subcommands().flat_map(set_variables));
    names.sort();
    names.dedup();
    names
}

/// Returns the variable of an option of the command with this path. `None` for an argument that is not an option.
pub(crate) fn variable_of(path: &[&str], arg: &Arg) -> Option<String> {
    if matches!(arg.get_id().as_str(), "help" | "version") {
        return None;
    }
    let name = match (arg.get_long(), path, arg.get_id().as_str()) {
        // The name of the configuration where `--config` is a value of it.
        (Some("config-file"), _, _) => return Some(format!("{PREFIX}_CONFIG")),
        (Some(long), _, _) => long,
        // The configuration is an argument of these commands.
        (None, ["check" | "dev"], "file") => "config",
        (None, _, _) => return None,
    };
    let mut words = vec![PREFIX];
    if !is_shared(path, name) {
        words.extend(path);
    }
    words.push(name);
    Some(words.join("_").replace('-', "_").to_uppercase())
}

/// True for an option that means the same for several commands.
fn is_shared(path: &[&str], option: &str) -> bool {
    match option {
        "quiet" | "log-level" => true,
        // Plugins are tried without a configuration, unless one is named. That of `trigger` is a value.
        "config" => !matches!(path, ["plugin", ..] | ["trigger"]),
        // For `dev`, the option replaces the dashboard.
        "log-format" => !matches!(path, ["dev"]),
        _ => false,
    }
}

fn extend(
    command: Command,
    path: &[&str],
    given: Option<&ArgMatches>,
    is_empty: &dyn Fn(&str) -> bool,
) -> Command {
    let excluded = excluded(&command, given);
    let subcommands: Vec<String> = command
        .get_subcommands()
        .map(|sub| sub.get_name().to_owned())
        .collect();
    let mut command = command.mut_args(|arg| {
        let variable = variable_of(path, &arg);
        match variable.filter(|name| !excluded.contains(arg.get_id().as_str()) && !is_empty(name)) {
            Some(name) => with_variable(arg, name),
            None => arg,
        }
    });
    for name in &subcommands {
        let path = [path, &[name.as_str()]].concat();
        let given = given.and_then(|given| given.subcommand_matches(name));
        command = command.mut_subcommand(name, |sub| extend(sub, &path, given, is_empty));
    }
    command
}

fn with_variable(arg: Arg, name: String) -> Arg {
    let is_flag = matches!(arg.get_action(), ArgAction::SetTrue);
    let arg = arg.env(name).hide_env_values(true);
    if is_flag {
        arg.value_parser(BoolishValueParser::new())
    } else {
        arg
    }
}

/// Returns the ids of the options that those on the command line exclude.
fn excluded(command: &Command, given: Option<&ArgMatches>) -> BTreeSet<String> {
    let Some(given) = given else {
        return BTreeSet::new();
    };
    let is_given = |arg: &Arg| {
        let id = arg.get_id().as_str();
        let is_known = given.try_contains_id(id).unwrap_or(false);
        is_known && given.value_source(id) == Some(ValueSource::CommandLine)
    };
    let conflicts = |a: &Arg, b: &Arg| {
        let conflicts = command.get_arg_conflicts_with(a);
        conflicts.iter().any(|other| other.get_id() == b.get_id())
    };
    let all: Vec<&Arg> = command.get_arguments().collect();
    let given: Vec<&Arg> = all.iter().copied().filter(|arg| is_given(arg)).collect();
    let is_excluded = |arg: &&Arg| {
        given
            .iter()
            .any(|other| conflicts(arg, other) || conflicts(other, arg))
    };
    let excluded = all.iter().copied().filter(is_excluded);
    excluded.map(|arg| arg.get_id().to_string()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Command {
        let option = |name: &'static str| Arg::new(name).long(name);
        Command::new("leasehold").subcommand(
            Command::new("top")
                .arg(option("config").conflicts_with("endpoint"))
                .arg(option("endpoint"))
                .arg(option("once").action(ArgAction::SetTrue))
                .arg(Arg::new("prefix")),
        )
    }

    fn variables(arguments: &[&str], empty: &str) -> Vec<String> {
        let arguments: Vec<OsString> = arguments.iter().map(Into::into).collect();
        let given = sample()
            .ignore_errors(true)
            .try_get_matches_from(&arguments);
        let is_empty = |name: &str| name == empty;
        let command = extend(sample(), &[], given.ok().as_ref(), &is_empty);
        let top = command.find_subcommand("top").unwrap();
        let names = top.get_arguments().filter_map(Arg::get_env);
        names
            .map(|name| name.to_string_lossy().into_owned())
            .collect()
    }

    #[test]
    fn option_on_the_command_line_silences_variables_it_excludes() {
        assert_eq!(
            variables(&["leasehold", "top"], ""),
            [
                "LEASEHOLD_CONFIG",
                "LEASEHOLD_TOP_ENDPOINT",
                "LEASEHOLD_TOP_ONCE"
            ]
        );
        assert_eq!(
            variables(&["leasehold", "top", "--endpoint", "x"], ""),
            ["LEASEHOLD_TOP_ENDPOINT", "LEASEHOLD_TOP_ONCE"]
        );
        assert_eq!(
            variables(&["leasehold", "top", "--config", "x"], ""),
            ["LEASEHOLD_CONFIG", "LEASEHOLD_TOP_ONCE"]
        );
    }

    #[test]
    fn empty_variable_counts_as_absent() {
        assert_eq!(
            variables(&["leasehold", "top"], "LEASEHOLD_CONFIG"),
            ["LEASEHOLD_TOP_ENDPOINT", "LEASEHOLD_TOP_ONCE"]
        );
    }
}
