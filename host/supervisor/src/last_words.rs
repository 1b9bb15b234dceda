//! Writing the last text of a process, which may have no reader.

use std::io::Write;
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::time::Duration;

/// Longest wait at the end of a process for a reader.
pub const LAST_WORDS: Duration = Duration::from_secs(1);

/// Writes `text`, but waits no longer than [`LAST_WORDS`]: a pipe that is never read must not keep a process.
pub fn write(mut out: impl Write + Send + 'static, text: String) {
    let (done, written) = sync_channel(1);
    let writing = std::thread::Builder::new()
        .name("leasehold-last".into())
        .spawn(move || {
            let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
            let _ = done.send(());
        });
    if writing.is_ok() {
        // A thread that is stuck ends with the process.
        let (Ok(()) | Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected)) =
            written.recv_timeout(LAST_WORDS);
    }
}
