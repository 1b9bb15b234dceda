//! The growing output of a child, line by line, for tests that wait for a line.
//!
//! One thread reads until the pipe closes, and its owner joins it. A tail must outlive the child it
//! reads from: it is declared after the process in a struct, since fields drop in order.

use std::io::{BufRead, BufReader, Read};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

/// All lines read so far, each turned into a `T`.
#[derive(Debug)]
pub struct Tail<T> {
    shared: Arc<Shared<T>>,
    reader: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared<T> {
    read: Mutex<Progress<T>>,
    grown: Condvar,
}

#[derive(Debug)]
struct Progress<T> {
    lines: Vec<T>,
    closed: bool,
}

/// End of a wait for a line that did not come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoLine {
    /// The time was up.
    Timeout,
    /// The pipe closed: no more lines will come.
    Closed,
}

impl<T: Clone + Send + 'static> Tail<T> {
    /// Starts to read `pipe` to its end. Bytes that are not UTF-8 become replacement characters.
    ///
    /// # Errors
    /// No thread could be started.
    pub fn read(pipe: impl Read + Send + 'static, parse: fn(&str) -> T) -> Result<Self> {
        let shared = Arc::new(Shared {
            read: Mutex::new(Progress {
                lines: Vec::new(),
                closed: false,
            }),
            grown: Condvar::new(),
        });
        let theirs = Arc::clone(&shared);
        let reader = std::thread::Builder::new()
            .name("tail".to_owned())
            .spawn(move || theirs.fill_from(pipe, parse))
            .context("starting a thread to read a child's output")?;
        Ok(Self {
            shared,
            reader: Some(reader),
        })
    }

    /// Everything read so far.
    pub fn all(&self) -> Vec<T> {
        self.shared.lock().lines.clone()
    }

    /// Number of lines read so far; a position to wait from.
    pub fn len(&self) -> usize {
        self.shared.lock().lines.len()
    }

    /// True if no line was read so far.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The first line from the `start`th on that `wanted` accepts, waiting for it.
    ///
    /// # Errors
    /// The time was up or the pipe closed first.
    pub fn wait_from(
        &self,
        start: usize,
        timeout: Duration,
        mut wanted: impl FnMut(&T) -> bool,
    ) -> Result<T, NoLine> {
        let until = Instant::now() + timeout;
        let mut seen = start;
        let mut read = self.shared.lock();
        loop {
            if let Some(line) = read.lines.iter().skip(seen).find(|line| wanted(line)) {
                return Ok(line.clone());
            }
            seen = seen.max(read.lines.len());
            let left = until.saturating_duration_since(Instant::now());
            if read.closed {
                return Err(NoLine::Closed);
            } else if left.is_zero() {
                return Err(NoLine::Timeout);
            }
            (read, _) = self
                .shared
                .grown
                .wait_timeout(read, left)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Waits until the pipe is closed, so that nothing more will come; `false` when it still is open.
    pub fn wait_closed(&self, timeout: Duration) -> bool {
        matches!(
            self.wait_from(usize::MAX, timeout, |_| false),
            Err(NoLine::Closed)
        )
    }
}

impl<T> Shared<T> {
    fn lock(&self) -> MutexGuard<'_, Progress<T>> {
        self.read.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn fill_from(&self, pipe: impl Read, parse: fn(&str) -> T) {
        let mut pipe = BufReader::new(pipe);
        let mut line = Vec::new();
        while matches!(pipe.read_until(b'\n', &mut line), Ok(1..)) {
            let parsed = parse(String::from_utf8_lossy(&line).trim_end_matches(['\r', '\n']));
            self.lock().lines.push(parsed);
            self.grown.notify_all();
            line.clear();
        }
        self.lock().closed = true;
        self.grown.notify_all();
    }
}

impl<T> Drop for Tail<T> {
    fn drop(&mut self) {
        if let Some(reader) = self.reader.take() {
            let _ = reader.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SLACK: Duration = Duration::from_secs(20);

    fn tail(pipe: impl Read + Send + 'static) -> Tail<String> {
        Tail::read(pipe, str::to_owned).unwrap()
    }

    #[test]
    fn a_wait_ends_by_a_line_a_timeout_or_the_pipes_end() {
        let (reader, mut writer) = std::io::pipe().unwrap();
        let tail = tail(reader);
        assert_eq!(
            tail.wait_from(0, Duration::from_millis(1), |_| true),
            Err(NoLine::Timeout)
        );
        std::io::Write::write_all(&mut writer, b"one\ntwo\n").unwrap();
        assert_eq!(
            tail.wait_from(0, SLACK, |line| line == "two"),
            Ok("two".to_owned())
        );
        assert!(!tail.wait_closed(Duration::from_millis(1)));
        drop(writer);
        assert_eq!(
            tail.wait_from(0, SLACK, |line| line == "three"),
            Err(NoLine::Closed)
        );
        assert_eq!(tail.all(), ["one", "two"]);
    }

    #[test]
    fn a_wait_from_a_mark_ignores_what_came_before_it() {
        let tail = tail(&b"same\nother\nsame\n"[..]);
        assert!(tail.wait_closed(SLACK));
        assert_eq!(tail.wait_from(1, SLACK, |_| true), Ok("other".to_owned()));
        assert_eq!(tail.wait_from(3, SLACK, |_| true), Err(NoLine::Closed));
    }

    #[test]
    fn invalid_utf8_and_an_unended_last_line_are_kept() {
        let tail = tail(&b"a\xffb\r\nlast"[..]);
        assert!(tail.wait_closed(SLACK));
        assert_eq!(tail.all(), ["a\u{fffd}b", "last"]);
    }
}
