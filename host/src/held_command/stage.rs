//! The process that becomes the command. It asks the kernel to be killed with the keeper, which the command inherits.

use std::ffi::OsString;
use std::io;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, ExitCode};

use rustix::process::{Signal, getppid, set_parent_process_death_signal};

use super::arguments::StageArgs;
use crate::sink;

/// Exit code of a command that exists and cannot be executed, as of shells and `env`.
const NOT_EXECUTABLE: u8 = 126;
/// Exit code of a command that does not exist, as of shells and `env`.
const NOT_FOUND: u8 = 127;

/// Becomes the command. Returns only if that fails.
pub(super) fn run(args: &[OsString]) -> ExitCode {
    let Some(args) = StageArgs::parse(args) else {
        return ExitCode::from(NOT_EXECUTABLE);
    };
    let bound = set_parent_process_death_signal(Some(Signal::KILL));
    if bound.is_err() || getppid() != Some(args.keeper) {
        // The keeper ended before the kernel was asked.
        return ExitCode::from(NOT_EXECUTABLE);
    }
    let [program, rest @ ..] = args.command.as_slice() else {
        return ExitCode::from(NOT_EXECUTABLE);
    };
    let error = Command::new(program).args(rest).exec();
    sink::print_error(&describe(&program.to_string_lossy(), &error));
    ExitCode::from(match error.kind() {
        io::ErrorKind::NotFound => NOT_FOUND,
        _ => NOT_EXECUTABLE,
    })
}

fn describe(program: &str, error: &io::Error) -> String {
    let help = match error.kind() {
        io::ErrorKind::NotFound if program.contains('/') => "",
        io::ErrorKind::NotFound => "\n  = help: it is in no folder of PATH",
        io::ErrorKind::PermissionDenied => "\n  = help: make it executable: chmod +x",
        _ => "",
    };
    format!("error: the command `{program}` cannot be run: {error}{help}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn command_that_cannot_be_run_is_named_with_a_remedy() {
        let shown = |program, errno: i32| describe(program, &io::Error::from_raw_os_error(errno));
        insta::assert_snapshot!(shown("backup", 2), @r"
        error: the command `backup` cannot be run: No such file or directory (os error 2)
          = help: it is in no folder of PATH
        ");
        insta::assert_snapshot!(shown("./backup.sh", 2), @"error: the command `./backup.sh` cannot be run: No such file or directory (os error 2)");
        insta::assert_snapshot!(shown("./backup.sh", 13), @r"
        error: the command `./backup.sh` cannot be run: Permission denied (os error 13)
          = help: make it executable: chmod +x
        ");
        insta::assert_snapshot!(shown("./data", 8), @"error: the command `./data` cannot be run: Exec format error (os error 8)");
    }
}
