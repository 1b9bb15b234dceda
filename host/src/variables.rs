//! Environment variables: every option of the command line has one.
//!
//! An option of one command has a variable of its own, as `LEASEHOLD_RUNS_LIMIT` for `leasehold runs --limit`. Options
//! that mean the same for several commands share one ([`is_shared`]). The command line has precedence over a variable,
//! and an option there over the variables of all options that it excludes. An empty variable counts as absent, and so
//! does one that switches a flag off.

use std::collections::BTreeSet;
use std::ffi::OsString;

use clap::builder::{BoolishValueParser, TypedValueParser as _};
use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Command};

/// Start of every variable.
const PREFIX: &str = "LEASEHOLD";

/// Reader of the environment.
type VariableReader<'a> = &'a dyn Fn(&str) -> Option<OsString>;

/// Returns the command with the variables of all its options, for these arguments and this environment.
pub(crate) fn with_variables(
    command: Command,
    arguments: &[OsString],
    read: VariableReader<'_>,
) -> Command {
    let given = command
        .clone()
        .ignore_errors(true)
        .try_get_matches_from(arguments)
        .ok();
    extend(command, &[], given.as_ref(), read)
}

/// Returns the variables of options that the environment sets, sorted: an error may be about any of them.
pub(crate) fn set_variables(command: &Command, read: VariableReader<'_>) -> Vec<String> {
    let own = command.get_arguments().filter_map(Arg::get_env);
    let mut names: Vec<String> = own
        .map(|name| name.to_string_lossy().into_owned())
        .filter(|name| read(name).is_some())
        .collect();
    let subcommands = command.get_subcommands();
    names.extend(subcommands.flat_map(|sub| set_variables(sub, read)));
    names.sort();
    names.dedup();
    names
}

/// Returns the variable of an option of the command with this path. `None` for an argument that is not an option.
pub(crate) fn variable_of(path: &[&str], arg: &Arg) -> Option<String> {
    if matches!(arg.get_id().as_str(), "help" | "version" | "verbose") {
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
    read: VariableReader<'_>,
) -> Command {
    let excluded = excluded(&command, given);
    let subcommands: Vec<String> = command
        .get_subcommands()
        .map(|sub| sub.get_name().to_owned())
        .collect();
    let mut command = command.mut_args(|arg| {
        let variable = variable_of(path, &arg);
        let is_excluded = excluded.contains(arg.get_id().as_str());
        match variable.filter(|name| !is_excluded && !is_absent(&arg, read(name))) {
            Some(name) => with_variable(arg, name),
            None => arg,
        }
    });
    for name in &subcommands {
        let path = [path, &[name.as_str()]].concat();
        let given = given.and_then(|given| given.subcommand_matches(name));
        command = command.mut_subcommand(name, |sub| extend(sub, &path, given, read));
    }
    command
}

/// True if the variable sets nothing. The parser takes any value of a flag as its presence, also for the options that
/// the flag requires, excludes or replaces.
fn is_absent(arg: &Arg, value: Option<OsString>) -> bool {
    let Some(value) = value else {
        // Help shows the variable, and nothing else depends on it.
        return false;
    };
    let is_off = || {
        let parsed = BoolishValueParser::new().parse_ref(&Command::new(PREFIX), None, &value);
        parsed.is_ok_and(|is_on| !is_on)
    };
    value.is_empty() || is_flag(arg) && is_off()
}

fn is_flag(arg: &Arg) -> bool {
    matches!(arg.get_action(), ArgAction::SetTrue)
}

fn with_variable(arg: Arg, name: String) -> Arg {
    let is_flag = is_flag(&arg);
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
        variables_with(arguments, &|name| (name == empty).then(OsString::new))
    }

    fn variables_with(arguments: &[&str], read: VariableReader<'_>) -> Vec<String> {
        let arguments: Vec<OsString> = arguments.iter().map(Into::into).collect();
        let command = with_variables(sample(), &arguments, read);
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

    #[test]
    fn flag_s_variable_that_is_off_counts_as_absent() {
        let with_once = |value: &'static str| {
            let read = |name: &str| (name == "LEASEHOLD_TOP_ONCE").then(|| value.into());
            let names = variables_with(&["leasehold", "top"], &read);
            names.contains(&"LEASEHOLD_TOP_ONCE".to_owned())
        };
        for off in ["false", "False", "no", "n", "f", "off", "0", ""] {
            assert!(!with_once(off), "{off}");
        }
        // A word that is neither is refused by the parser, with the variable's name.
        for on in ["true", "yes", "1", "maybe"] {
            assert!(with_once(on), "{on}");
        }
        let read = |name: &str| (name == "LEASEHOLD_TOP_ENDPOINT").then(|| "false".into());
        let names = variables_with(&["leasehold", "top"], &read);
        assert!(names.contains(&"LEASEHOLD_TOP_ENDPOINT".to_owned()));
    }

    #[test]
    fn variables_that_are_off_are_not_named_as_set() {
        let read = |name: &str| match name {
            "LEASEHOLD_TOP_ONCE" => Some("0".into()),
            "LEASEHOLD_CONFIG" => Some("x".into()),
            _ => None,
        };
        let command = with_variables(sample(), &["leasehold".into(), "top".into()], &read);
        assert_eq!(set_variables(&command, &read), ["LEASEHOLD_CONFIG"]);
    }
}
