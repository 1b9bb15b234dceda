//! The host's side of one preparation: starts the process, sends its input, and waits for its answers and its end.
//!
//! No worker blocks on it. A process that is given up is killed and waited for before the result is returned.

use std::io;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::available_parallelism;
use std::time::{Duration, Instant};

use tokio::io::{
    AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, BufReader,
};
use tokio::process::{Child, Command};
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::child::ChildLimits;
use super::confine::MOST_CORES;
use super::messages::{
    GO_ON, MOST_ANSWER_BYTES, PrepareAnswer, PrepareStage, PrepareTask, PreparedPlugin,
};
use super::process_end;
use super::task::{Admit, PrepareLimits};
use crate::error::LoadProblem;

/// Number of bytes that are kept of a process's standard error.
const MOST_STDERR_BYTES: u64 = 16 * 1024;
/// Time for which starting a process is retried while the system has no room for it.
const CROWDED_FOR: Duration = Duration::from_secs(3);

/// One plugin to be prepared by a process of its own.
pub(super) struct PrepareRequest<'a> {
    pub(super) program: &'a Path,
    pub(super) bytes: &'a Arc<[u8]>,
    pub(super) limits: &'a PrepareLimits,
    pub(super) task: PrepareTask,
}

/// Result of the answers.
enum Outcome {
    /// The plugin is ready.
    Ready(PreparedPlugin),
    /// The plugin, or the task, is refused.
    Refused(LoadProblem),
    /// The answers ended in this step.
    Ended(PrepareStage),
}

impl PrepareRequest<'_> {
    /// Has a process prepare the plugin, within the limits.
    pub(super) async fn send(self, admit: Admit<'_>) -> Result<PreparedPlugin, LoadProblem> {
        let mut child = self.start().await?;
        let (Some(stdin), Some(stdout), Some(stderr)) =
            (child.stdin.take(), child.stdout.take(), child.stderr.take())
        else {
            return Err(LoadProblem::Host("a process without pipes".to_owned()));
        };
        let both = async {
            let work = async {
                let told = self.exchange(stdin, stdout, admit).await;
                if !matches!(told, Outcome::Ready(_)) {
                    // The process is not needed any more. If it is already ending, this has no effect.
                    end(&child);
                }
                (told, child.wait().await)
            };
            tokio::join!(work, last_words(stderr))
        };
        let Ok(((told, status), stderr)) = timeout(self.limits.time, both).await else {
            end(&child);
            // This fails only on a system that reaps children by itself. There is nothing to wait for then.
            let _ = child.wait().await;
            return Err(self.limits.late());
        };
        let status = status.map_err(|error| LoadProblem::Host(error.to_string()))?;
        self.judge(told, status, &stderr)
    }

    /// Starts the process. Retries while the system has no room for it.
    async fn start(&self) -> Result<Child, LoadProblem> {
        let began = Instant::now();
        loop {
            let error = match self.spawn() {
                Ok(child) => return Ok(child),
                Err(error) => error,
            };
            let is_crowded = matches!(
                error.kind(),
                io::ErrorKind::WouldBlock | io::ErrorKind::OutOfMemory
            );
            if !is_crowded || began.elapsed() > CROWDED_FOR {
                let program = self.program.display();
                let text = format!("no process to compile in: {program}: {error}");
                return Err(LoadProblem::Host(text));
            }
            tokio::time::sleep(CROWDED_FOR / 10).await;
        }
    }

    fn spawn(&self) -> io::Result<Child> {
        let cores = available_parallelism().map_or(1, usize::from);
        let cores = cores.min(MOST_CORES);
        let limits = ChildLimits {
            memory_bytes: self.limits.memory_bytes,
            // All of its cores may be used for the whole time. One second is added, so that the wall-clock limit
            // is reached first.
            processor_seconds: (self.limits.time.as_secs() + 1).saturating_mul(cores as u64),
            parent: std::process::id(),
        };
        Command::new(self.program)
            .arg0("leasehold")
            .args(limits.to_args())
            .env_clear()
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // A signal from the terminal must reach the host only.
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
    }

    async fn exchange(
        &self,
        mut stdin: impl AsyncWrite + Unpin,
        stdout: impl AsyncRead + Unpin,
        admit: Admit<'_>,
    ) -> Outcome {
        let (go_on, is_asked) = oneshot::channel();
        let write = async {
            // A process that ended meanwhile reads nothing. Its exit status shows the reason.
            let _ = self.feed(&mut stdin).await;
            if is_asked.await.is_ok() {
                let _ = stdin.write_all(GO_ON.as_bytes()).await;
                let _ = stdin.flush().await;
            }
            std::future::pending().await
        };
        tokio::select! {
            told = self.answers(stdout, admit, go_on) => told,
            told = write => told,
        }
    }

    async fn answers(
        &self,
        stdout: impl AsyncRead + Unpin,
        admit: Admit<'_>,
        go_on: oneshot::Sender<()>,
    ) -> Outcome {
        let mut go_on = Some(go_on);
        let mut answers = BufReader::new(stdout.take(MOST_ANSWER_BYTES));
        let (mut stage, mut surveyed) = (PrepareStage::Start, None);
        let mut line = Vec::new();
        loop {
            line.clear();
            match answers.read_until(b'\n', &mut line).await {
                Ok(0) | Err(_) => return Outcome::Ended(stage),
                Ok(_) => {}
            }
            let Ok(answer) = serde_json::from_slice(&line) else {
                return Outcome::Refused(garbage("its output is not valid"));
            };
            match answer {
                PrepareAnswer::Unconfined(why) => report_unconfined(&why),
                PrepareAnswer::Begins(begun) => stage = begun,
                PrepareAnswer::Surveyed(plugin) => {
                    if let Err(problem) = admit(&plugin) {
                        return Outcome::Refused(problem);
                    }
                    surveyed = Some(plugin);
                    // The receiver exists as long as this is polled.
                    let _ = go_on.take().map(|go_on| go_on.send(()));
                }
                PrepareAnswer::Done => {
                    return match surveyed {
                        Some(plugin) => Outcome::Ready(plugin),
                        None => Outcome::Refused(garbage(
                            "it finished before it was requested to go on",
                        )),
                    };
                }
                PrepareAnswer::Empty => return Outcome::Refused(LoadProblem::Empty),
                PrepareAnswer::Truncated { at } => {
                    return Outcome::Refused(LoadProblem::Truncated { at });
                }
                PrepareAnswer::Refused(text) => {
                    return Outcome::Refused(LoadProblem::Refused(LoadProblem::name(&text)));
                }
                PrepareAnswer::OutOfMemory => {
                    return Outcome::Refused(process_end::out_of_memory(self.limits));
                }
                PrepareAnswer::Failed(text) => {
                    return Outcome::Refused(LoadProblem::Host(LoadProblem::name(&text)));
                }
            }
        }
    }

    async fn feed(&self, stdin: &mut (impl AsyncWrite + Unpin)) -> io::Result<()> {
        let mut line = serde_json::to_vec(&self.task)?;
        line.push(b'\n');
        stdin.write_all(&line).await?;
        stdin.write_all(self.bytes).await?;
        stdin.flush().await
    }

    fn judge(
        &self,
        told: Outcome,
        status: ExitStatus,
        stderr: &str,
    ) -> Result<PreparedPlugin, LoadProblem> {
        match told {
            Outcome::Ready(plugin) if status.success() => Ok(plugin),
            Outcome::Ready(_) => {
                let stage = PrepareStage::Compile;
                Err(process_end::explain(status, stage, stderr, self.limits))
            }
            Outcome::Refused(problem) => Err(problem),
            Outcome::Ended(_) if status.success() => Err(garbage("it ended without an answer")),
            Outcome::Ended(stage) => Err(process_end::explain(status, stage, stderr, self.limits)),
        }
    }
}

/// Kills the process and its group, which it leads. It was not yet waited for, so its process id is not reused.
fn end(child: &Child) {
    let pid = child.id().and_then(|pid| i32::try_from(pid).ok());
    if let Some(group) = pid.and_then(rustix::process::Pid::from_raw) {
        // This fails only if the group has ended by itself.
        let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
    }
}

fn garbage(how: &str) -> LoadProblem {
    LoadProblem::Ended {
        how: format!("the reader failed: {how}"),
    }
}

/// Returns the beginning of a process's standard error. The rest is read and dropped.
async fn last_words(stderr: impl AsyncRead + Unpin) -> String {
    let mut stderr = stderr.take(MOST_STDERR_BYTES);
    let mut kept = Vec::new();
    // If reading fails, the text is incomplete.
    let _ = stderr.read_to_end(&mut kept).await;
    let _ = tokio::io::copy(&mut stderr.into_inner(), &mut tokio::io::sink()).await;
    String::from_utf8_lossy(&kept).into_owned()
}

/// Reports incomplete confinement, once per process: the reason is the same for all of its children.
fn report_unconfined(why: &str) {
    static REPORTED: AtomicBool = AtomicBool::new(false);
    if !REPORTED.swap(true, Ordering::Relaxed) {
        tracing::warn!(
            reason = LoadProblem::name(why),
            "plugins are compiled in a process that is less confined than it could be: use a newer kernel"
        );
    }
}

#[cfg(test)]
mod tests;
