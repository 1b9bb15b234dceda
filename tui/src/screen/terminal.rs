//! The terminal is captured and restored here, after every end: a return, an error or a panic.
//!
//! Restored is everything that was changed: raw mode, alternate screen, mouse, paste and cursor.

use std::io::{self, Stdout, Write as _, stdout};
use std::panic;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread::ThreadId;
use std::time::Duration;

use crossterm::cursor::Show;
use crossterm::event::{
    DisableBracketedPaste, DisableMouseCapture, EnableBracketedPaste, EnableMouseCapture,
};
use crossterm::execute;
use crossterm::style::force_color_output;
use crossterm::terminal::{
    EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode,
};
use ratatui::Terminal;
use ratatui::backend::CrosstermBackend;
use rustix::process::{Signal, kill_current_process_group};
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::timeout;

/// Panic messages of other threads, kept until the screen is restored.
static SAID: Mutex<Vec<String>> = Mutex::new(Vec::new());
/// The terminal is captured. Leaving the alternate screen twice would move the cursor to its place before the first
/// time, over later output such as a panic message.
static TAKEN: AtomicBool = AtomicBool::new(false);
/// The thread that has the terminal.
static OWNER: Mutex<Option<ThreadId>> = Mutex::new(None);
/// Most messages that are kept.
const SAID_MOST: usize = 20;
/// Most time for a process to be stopped by its own signal.
const STOPS_WITHIN: Duration = Duration::from_secs(1);

/// A captured terminal. Dropping it restores the terminal.
pub(super) struct TerminalScreen {
    pub(super) terminal: Terminal<CrosstermBackend<Stdout>>,
    mouse: bool,
}

impl TerminalScreen {
    /// Captures the terminal for this thread.
    pub(super) fn take(mouse: bool) -> io::Result<Self> {
        // A theme without colours needs none removed, and the sequence that crossterm would send instead also ends
        // bold and reverse.
        force_color_output(true);
        hook();
        *OWNER.lock().unwrap_or_else(PoisonError::into_inner) = Some(std::thread::current().id());
        enter(mouse)?;
        let terminal = Terminal::new(CrosstermBackend::new(stdout())).inspect_err(|_| leave())?;
        Ok(Self { terminal, mouse })
    }

    /// Captures the mouse, or leaves it to the terminal.
    pub(super) fn mouse(&mut self, mouse: bool) -> io::Result<()> {
        self.mouse = mouse;
        if mouse {
            execute!(stdout(), EnableMouseCapture)
        } else {
            execute!(stdout(), DisableMouseCapture)
        }
    }

    /// Restores the terminal, sleeps until the shell continues the process, and captures it again.
    pub(super) async fn suspend(&mut self) -> io::Result<()> {
        let mut continued = signal(SignalKind::from_raw(Signal::CONT.as_raw()))?;
        leave();
        // The parent process stops too, or no shell would notice. This thread may continue for a moment, since the
        // signal may reach another thread first: capturing the terminal then would leave it captured during the
        // sleep.
        kill_current_process_group(Signal::TSTP)?;
        // In an orphaned process group nothing could continue us, and the system ignores the stop signal.
        let _ = timeout(STOPS_WITHIN, continued.recv()).await;
        enter(self.mouse)?;
        self.terminal.clear()
    }
}

impl Drop for TerminalScreen {
    fn drop(&mut self) {
        *OWNER.lock().unwrap_or_else(PoisonError::into_inner) = None;
        leave();
        let said = std::mem::take(&mut *SAID.lock().unwrap_or_else(PoisonError::into_inner));
        for line in said {
            let line = leasehold_records::printable::lines(&line);
            let _ = writeln!(io::stderr(), "{line}");
        }
    }
}

fn enter(mouse: bool) -> io::Result<()> {
    enable_raw_mode()?;
    TAKEN.store(true, Ordering::SeqCst);
    let entered = execute!(stdout(), EnterAlternateScreen, EnableBracketedPaste).and_then(|()| {
        if mouse {
            execute!(stdout(), EnableMouseCapture)
        } else {
            Ok(())
        }
    });
    entered.inspect_err(|_| leave())
}

/// Restores everything, once. A failure here cannot be handled.
fn leave() {
    if !TAKEN.swap(false, Ordering::SeqCst) {
        return;
    }
    let _ = execute!(
        stdout(),
        DisableMouseCapture,
        DisableBracketedPaste,
        LeaveAlternateScreen,
        Show
    );
    let _ = disable_raw_mode();
}

/// Panic hook. A panic of the thread with the terminal restores it before the message is printed. Messages of other
/// threads, whose panics may be survived, are printed after the terminal is restored.
fn hook() {
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| {
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |panic| {
            let owner = *OWNER.lock().unwrap_or_else(PoisonError::into_inner);
            match owner {
                Some(owner) if owner == std::thread::current().id() => {
                    leave();
                    before(panic);
                }
                Some(_) => {
                    let mut said = SAID.lock().unwrap_or_else(PoisonError::into_inner);
                    if said.len() < SAID_MOST {
                        said.push(panic.to_string());
                    }
                }
                None => before(panic),
            }
        }));
    });
}
