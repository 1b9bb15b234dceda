//! The thread that writes diagnostics, and the bounded queue before it.

use std::io::Write;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use leasehold_lock::{Clock as _, SystemClock};

use super::line::{Diagnostic, Form, render};
use leasehold_runtime::rate::LineRate;

/// Number of lines that may wait for a slow reader.
const DEPTH: usize = 1024;
/// Number of lines a second. Libraries log as often as a server or a neighbour makes them. At a few hundred bytes
/// each, this is what a disk can store in a night, and more than a person reads.
const MOST_A_SECOND: u32 = 200;

/// Opens the output, on the writing thread.
type Open = fn() -> Box<dyn Write>;

/// Receives diagnostics from any thread and never waits.
pub(super) struct Writer {
    form: Form,
    open: Open,
    dropped: AtomicU64,
    state: Mutex<State>,
}

struct State {
    rate: LineRate,
    thread: Thread,
}

/// The writing thread, which is started by the first line.
enum Thread {
    NotStarted,
    Running(SyncSender<Diagnostic>, JoinHandle<()>),
    Ended,
}

impl Writer {
    pub(super) fn new(form: Form, open: Open) -> Self {
        Self {
            form,
            open,
            dropped: AtomicU64::new(0),
            state: Mutex::new(State {
                rate: LineRate::new(MOST_A_SECOND, SystemClock.now()),
                thread: Thread::NotStarted,
            }),
        }
    }

    /// Queues a line, or counts it as dropped.
    pub(super) fn write(&self, diagnostic: Diagnostic) {
        let mut state = self.lock();
        let _ = state.rate.rolls_over(SystemClock.now());
        if !state.rate.passes() {
            self.missed(state.rate.take_held_back());
            return;
        }
        let missed = self.dropped.swap(0, Ordering::Relaxed);
        if missed > 0 && !self.push(&mut state, Diagnostic::gap(missed)) {
            self.missed(missed);
        }
        if !self.push(&mut state, diagnostic) {
            self.missed(1);
        }
    }

    fn missed(&self, count: u64) {
        self.dropped.fetch_add(count, Ordering::Relaxed);
    }

    fn push(&self, state: &mut State, diagnostic: Diagnostic) -> bool {
        if matches!(state.thread, Thread::NotStarted) {
            state.thread = self.start();
        }
        match &state.thread {
            Thread::Running(queue, _) => queue.try_send(diagnostic).is_ok(),
            Thread::NotStarted | Thread::Ended => false,
        }
    }

    /// Starts the thread. If the machine cannot start one, the line is dropped, and the next line tries again.
    fn start(&self) -> Thread {
        let (form, open) = (self.form, self.open);
        let (queue, lines) = sync_channel(DEPTH);
        let thread = std::thread::Builder::new()
            .name("leasehold-diag".into())
            .spawn(move || write_lines(&lines, form, open()));
        thread.map_or(Thread::NotStarted, |thread| Thread::Running(queue, thread))
    }

    /// Writes the remaining lines and ends the thread, but waits no longer than this for a reader.
    pub(super) fn finish(&self, within: Duration) {
        let thread = {
            let mut state = self.lock();
            let missed = self.dropped.swap(0, Ordering::Relaxed);
            if missed > 0 {
                self.push(&mut state, Diagnostic::gap(missed));
            }
            std::mem::replace(&mut state.thread, Thread::Ended)
        };
        let Thread::Running(queue, thread) = thread else {
            return;
        };
        drop(queue);
        let began = Instant::now();
        while !thread.is_finished() && began.elapsed() < within {
            std::thread::sleep(Duration::from_millis(1));
        }
        // A thread that is still stuck in a full pipe ends with the process.
        if thread.is_finished() {
            let _ = thread.join();
        }
    }

    /// Locks the state. It is consistent after every statement, so a poisoned lock is usable.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn write_lines(lines: &Receiver<Diagnostic>, form: Form, mut out: Box<dyn Write>) {
    while let Ok(diagnostic) = lines.recv() {
        let line = render(&diagnostic, form);
        // An error means that the output has no reader any more.
        if out
            .write_all(line.as_bytes())
            .and_then(|()| out.flush())
            .is_err()
        {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::mpsc::{Sender, channel};

    use super::*;

    /// A pipe that is never read: the first write never returns.
    struct Stuck;

    impl Write for Stuck {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            loop {
                std::thread::park();
            }
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    static WRITTEN: Mutex<Option<Sender<Vec<u8>>>> = Mutex::new(None);

    /// Forwards the written bytes to the test.
    struct Kept;

    impl Write for Kept {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let to = WRITTEN.lock().unwrap_or_else(PoisonError::into_inner);
            let _ = to.as_ref().map(|to| to.send(bytes.to_vec()));
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn line(number: usize) -> Diagnostic {
        Diagnostic::error("test", format!("line {number}"))
    }

    #[test]
    fn stalled_reader_delays_neither_a_line_nor_the_end() {
        let writer = Writer::new(Form::Json, || Box::new(Stuck));
        for number in 0..10 * DEPTH {
            writer.write(line(number));
        }
        writer.finish(Duration::from_millis(50));
        writer.write(line(0));
    }

    #[test]
    fn lines_beyond_the_rate_are_counted_and_told() {
        let (send, written) = channel();
        *WRITTEN.lock().unwrap() = Some(send);
        let writer = Writer::new(Form::Text { colours: false }, || Box::new(Kept));
        let lines = 100 * MOST_A_SECOND as usize;
        for number in 0..lines {
            writer.write(line(number));
        }
        writer.finish(Duration::from_mins(1));
        let text: Vec<u8> = written.try_iter().flatten().collect();
        let text = String::from_utf8(text).unwrap();
        let shown = text
            .lines()
            .filter(|line| line.contains("test: line"))
            .count();
        let dropped = text.lines().filter_map(|line| {
            let (count, _) = line
                .split_once("leasehold: ")?
                .1
                .split_once(" lines dropped")?;
            count.parse::<usize>().ok()
        });
        assert_eq!(shown + dropped.sum::<usize>(), lines, "{text}");
        assert!(shown < lines / 2, "{shown} were shown");
    }
}
