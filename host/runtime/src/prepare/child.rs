//! The process that prepares one plugin: limits itself, reads the task, answers line by line, and ends.
//!
//! Its arguments and its input are all that it has from the host. If it ends early, the host finds the reason in its
//! exit status.

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::process::ExitCode;
use std::thread;

use super::confine;
use super::messages::{GO_ON, PrepareAnswer, PrepareStage, PrepareTask};
use super::work;
use crate::error::LoadProblem;
use crate::proposals;

/// Argument with which this program compiles one plugin.
const COMMAND: &str = "__prepare";
/// Size of the stack for reading a plugin: the same as that of a program's first thread.
const STACK_BYTES: usize = 8 * 1024 * 1024;
/// Longest line of a task.
const MOST_TASK_BYTES: u64 = 64 * 1024;
/// Exit code after a panic.
const PANICKED: u8 = 101;
/// Exit code if the process cannot be set up.
const NOT_SET_UP: u8 = 70;

/// Arguments that follow [`COMMAND`].
pub(super) struct ChildLimits {
    pub(super) memory_bytes: u64,
    pub(super) processor_seconds: u64,
    /// Process id of the host, which must still be the parent.
    pub(super) parent: u32,
}

impl ChildLimits {
    pub(super) fn to_args(&self) -> [String; 4] {
        [
            COMMAND.to_owned(),
            self.memory_bytes.to_string(),
            self.processor_seconds.to_string(),
            self.parent.to_string(),
        ]
    }

    fn parse(mut args: impl Iterator<Item = String>) -> Option<Self> {
        Some(Self {
            memory_bytes: args.next()?.parse().ok()?,
            processor_seconds: args.next()?.parse().ok()?,
            parent: args.next()?.parse().ok()?,
        })
    }
}

/// Prepares a plugin if this process was started for that. `None` in any other process.
pub fn run_if_asked() -> Option<ExitCode> {
    let mut args = std::env::args_os().skip(1);
    if args.next()? != COMMAND {
        return None;
    }
    let args = args.map(|arg| arg.to_string_lossy().into_owned());
    Some(match ChildLimits::parse(args) {
        Some(limits) => run(&limits),
        None => ExitCode::from(NOT_SET_UP),
    })
}

fn run(limits: &ChildLimits) -> ExitCode {
    if let Err(error) = confine::limit(limits.memory_bytes, limits.processor_seconds) {
        answer(&PrepareAnswer::Failed(format!("no limits: {error}")));
        return ExitCode::from(NOT_SET_UP);
    }
    let parent = rustix::process::getppid().map(|pid| pid.as_raw_nonzero().get().unsigned_abs());
    if parent != Some(limits.parent) {
        // The host ended before this process requested to be killed at the host's end.
        return ExitCode::from(NOT_SET_UP);
    }
    confine::share_cores();
    if let Err(why) = confine::forbid_calls() {
        answer(&PrepareAnswer::Unconfined(why));
    }
    let working = thread::Builder::new()
        .name("prepare".to_owned())
        .stack_size(STACK_BYTES)
        .spawn(work);
    match working.map(thread::JoinHandle::join) {
        Ok(Ok(Ok(()))) => ExitCode::SUCCESS,
        Ok(Ok(Err(error))) => {
            answer(&PrepareAnswer::Failed(error.to_string()));
            ExitCode::from(NOT_SET_UP)
        }
        Ok(Err(_)) => ExitCode::from(PANICKED),
        Err(error) => {
            answer(&PrepareAnswer::Failed(format!("no thread: {error}")));
            ExitCode::from(NOT_SET_UP)
        }
    }
}

fn work() -> io::Result<()> {
    let mut input = BufReader::new(io::stdin().lock());
    let mut line = String::new();
    input.by_ref().take(MOST_TASK_BYTES).read_line(&mut line)?;
    let task: PrepareTask = serde_json::from_str(&line)?;
    if let Err(why) = confine::leave_files(task.dir.as_deref()) {
        answer(&PrepareAnswer::Unconfined(why));
    }
    let mut bytes = vec![0; task.size_bytes];
    input.read_exact(&mut bytes)?;
    let read = match work::read(&bytes, |stage| answer(&PrepareAnswer::Begins(stage))) {
        Ok(read) => read,
        Err(problem) => {
            answer(&refusal(&problem));
            return Ok(());
        }
    };
    answer(&PrepareAnswer::Surveyed(read.plugin.clone()));
    line.clear();
    input.take(MOST_TASK_BYTES).read_line(&mut line)?;
    if line != GO_ON {
        return Ok(());
    }
    answer(&PrepareAnswer::Begins(PrepareStage::Compile));
    let worked = match &task.dir {
        Some(dir) => read.compile(dir, &task.compiler),
        None => proposals::validate(&read.bytes),
    };
    answer(&match worked {
        Ok(()) => PrepareAnswer::Done,
        Err(problem) => refusal(&problem),
    });
    Ok(())
}

fn refusal(problem: &LoadProblem) -> PrepareAnswer {
    let text = problem.to_string();
    let out_of_memory = rustix::io::Errno::NOMEM.to_string();
    match problem {
        _ if text.contains(&out_of_memory) || text.contains("Cannot allocate memory") => {
            PrepareAnswer::OutOfMemory
        }
        LoadProblem::Host(why) => PrepareAnswer::Failed(why.clone()),
        LoadProblem::Empty => PrepareAnswer::Empty,
        LoadProblem::Truncated { at } => PrepareAnswer::Truncated { at: *at },
        _ => PrepareAnswer::Refused(text),
    }
}

/// Writes one answer. Errors are ignored: a host that no longer reads has given up, and kills this process.
fn answer(answer: &PrepareAnswer) {
    let mut out = io::stdout().lock();
    if let Ok(mut line) = serde_json::to_vec(answer) {
        line.push(b'\n');
        let _ = out.write_all(&line).and_then(|()| out.flush());
    }
}
