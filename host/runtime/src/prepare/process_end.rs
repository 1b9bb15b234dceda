//! Translates the end of a process that prepared a plugin to a reason to refuse the plugin.

use std::os::unix::process::ExitStatusExt as _;
use std::process::ExitStatus;

use rustix::process::Signal;

use super::messages::PrepareStage;
use super::task::PrepareLimits;
use crate::error::LoadProblem;

/// Longest excerpt of a panic's message, in characters.
const MOST_MESSAGE_CHARS: usize = 160;

/// Returns the reason to refuse a plugin whose process ended with this status and this text on standard error.
pub(super) fn explain(
    status: ExitStatus,
    stage: PrepareStage,
    stderr: &str,
    limits: &PrepareLimits,
) -> LoadProblem {
    let is = |signal: Signal| status.signal() == Some(signal.as_raw());
    if is(Signal::XCPU) {
        return limits.late();
    }
    let lacked_memory = [
        "memory allocation of",
        "Cannot allocate memory",
        "out of memory",
    ];
    let is_out_of_memory = lacked_memory.iter().any(|words| stderr.contains(words));
    // A file over the size limit contains machine code that would have taken as much memory.
    if is_out_of_memory || is(Signal::XFSZ) {
        return out_of_memory(limits);
    }
    let part = part(stage);
    if stderr.contains("overflowed its stack") {
        return LoadProblem::Ended {
            how: format!("{part} overflowed the reader's stack"),
        };
    }
    if is(Signal::KILL) {
        return LoadProblem::Killed;
    }
    let how = match (panic_message(stderr), status.signal(), status.code()) {
        (Some(message), _, _) => format!("{part} crashed the reader: {message}"),
        (None, Some(signal), _) => format!("{part} ended the reader by signal {signal}"),
        (None, None, Some(code)) => format!("{part} ended the reader with code {code}"),
        (None, None, None) => format!("{part} ended the reader"),
    };
    LoadProblem::Ended { how }
}

pub(super) fn out_of_memory(limits: &PrepareLimits) -> LoadProblem {
    LoadProblem::CompileMemory {
        most: limits.memory_bytes,
    }
}

const fn part(stage: PrepareStage) -> &'static str {
    match stage {
        PrepareStage::Start => "the file",
        PrepareStage::Survey => "its sections",
        PrepareStage::Types => "its component-type section",
        PrepareStage::Compile => "its code",
    }
}

/// Returns the message of a panic: the line after the one that names its position.
fn panic_message(stderr: &str) -> Option<String> {
    let mut lines = stderr.lines();
    lines.find(|line| line.contains("panicked at"))?;
    let message: String = lines.next()?.chars().take(MOST_MESSAGE_CHARS).collect();
    Some(LoadProblem::name(&message))
}
