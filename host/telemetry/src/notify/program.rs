//! One run of the program that gets messages.
//!
//! It has a process group of its own, which is killed when the program has ended, has taken too long, or is no longer
//! waited for. Its environment is small: the host's may hold secrets.

use std::process::Stdio;
use std::time::Duration;

use leasehold_config::NotifyCommand;
use leasehold_records::printable;
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::Command;

use super::notice::Notice;

/// Variables of the host that the program gets.
const PASSED_ON: [&str; 5] = ["PATH", "HOME", "LANG", "LC_ALL", "TZ"];
/// Bytes of standard error that are kept.
const MOST_ERROR: usize = 4 * 1024;

/// A process group that is killed at the end of its program.
struct ProcessGroup(Pid);

impl Drop for ProcessGroup {
    fn drop(&mut self) {
        // An error means that no process of it is left.
        let _ = kill_process_group(self.0, Signal::KILL);
    }
}

/// Runs the program with the message, within this time. The error is for people.
pub(super) async fn run(
    command: &NotifyCommand,
    notice: &Notice,
    json: &[u8],
    timeout: Duration,
) -> Result<(), String> {
    let mut child = prepare(command, notice)
        .spawn()
        .map_err(|error| format!("it cannot be started: {error}"))?;
    let group = child.id().and_then(|id| Pid::from_raw(id.cast_signed()));
    let group = group.map(ProcessGroup);
    let (stdin, stderr) = (child.stdin.take(), child.stderr.take());
    let feed = async {
        if let Some(mut stdin) = stdin {
            // A program may end without reading the message.
            let _ = stdin.write_all(json).await;
        }
    };
    let wait = async {
        let status = child.wait().await;
        // Children that hold standard error open end here.
        drop(group);
        status
    };
    let all = async { tokio::join!(wait, feed, read_end(stderr)) };
    let (status, (), error) = tokio::time::timeout(timeout, all).await.map_err(|_| {
        format!(
            "it took longer than {}",
            humantime::format_duration(timeout)
        )
    })?;
    let status = status.map_err(|error| format!("its end is not known: {error}"))?;
    if status.success() {
        return Ok(());
    }
    let end = status
        .code()
        .map_or_else(|| status.to_string(), |code| format!("exit code {code}"));
    match error.lines().rfind(|line| !line.trim().is_empty()) {
        Some(line) => Err(format!("{end}: {}", printable::line(line.trim()))),
        None => Err(end),
    }
}

fn prepare(command: &NotifyCommand, notice: &Notice) -> Command {
    let mut prepared = Command::new(command.program());
    prepared
        .args(command.args())
        .current_dir("/")
        .env_clear()
        .envs(
            PASSED_ON
                .iter()
                .filter_map(|name| Some((name, std::env::var_os(name)?))),
        )
        .env("LEASEHOLD_NOTIFY_KIND", notice.kind.as_str())
        .env("LEASEHOLD_NOTIFY_JOB", &*notice.job)
        .env("LEASEHOLD_NOTIFY_HOST", &*notice.host)
        .env("LEASEHOLD_NOTIFY_SUMMARY", &notice.summary)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true);
    prepared
}

/// Reads to the end, and returns the last part.
async fn read_end(from: Option<impl AsyncRead + Unpin>) -> String {
    let (mut kept, mut chunk) = (Vec::new(), [0; 1024]);
    if let Some(mut from) = from {
        while let Ok(count @ 1..) = from.read(&mut chunk).await {
            kept.extend_from_slice(&chunk[..count]);
            let surplus = kept.len().saturating_sub(MOST_ERROR);
            kept.drain(..surplus);
        }
    }
    String::from_utf8_lossy(&kept).into_owned()
}
