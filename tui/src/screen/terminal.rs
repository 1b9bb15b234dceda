//! The terminal is taken here and given back here, whatever happens in between: an end, an error, a panic.
//!
//! What is given back is everything that was taken: raw mode, the other screen, mouse, paste and cursor.

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

/// What other threads said when they panicked, until there is a screen to say it on.
static SAID: Mutex<Vec<String>> = Mutex::new(Vec::new());
/// Whether there is anything to give back. Leaving the other screen twice would put the cursor back to where
/// it was before the first time, over whatever has been said since: a panic, say.
static TAKEN: AtomicBool = AtomicBool::new(false);
/// The thread that has the terminal.
static OWNER: Mutex<Option<ThreadId>> = Mutex::new(None);
/// What others may have said at most, in lines.
const SAID_MOST: usize = 20;
/// How long a process may take to be stopped by its own signal.
const STOPS_WITHIN: Duration = Duration::from_secs(1);

/// A terminal that is taken. Dropping it gives it back.
pub(super) struct TerminalScreen {
    pub(super) terminal: Terminal<CrosstermBackend<Stdout>>,
    mouse: bool,
}

impl TerminalScreen {
    /// Takes the terminal for this thread.
    pub(super) fn take(mouse: bool) -> io::Result<Self> {
        // A theme without colours has none to leave out, and what crossterm would send in place of them
        // also ends bold and reverse.
        force_color_output(true);
        hook();
        *OWNER.lock().unwrap_or_else(PoisonError::into_inner) = Some(std::thread::current().id());
        enter(mouse)?;
        let terminal = Terminal::new(CrosstermBackend::new(stdout())).inspect_err(|_| leave())?;
        Ok(Self { terminal, mouse })
    }

    /// Takes the mouse, or leaves it to the terminal.
    pub(super) fn mouse(&mut self, mouse: bool) -> io::Result<()> {
        self.mouse = mouse;
        if mouse {
            execute!(stdout(), EnableMouseCapture)
        } else {
            execute!(stdout(), DisableMouseCapture)
        }
    }

    /// Gives the terminal back, sleeps until the shell continues us, and takes it again.
    pub(super) async fn suspend(&mut self) -> io::Result<()> {
        let mut continued = signal(SignalKind::from_raw(Signal::CONT.as_raw()))?;
        leave();
        // Whoever started us stops with us, or no shell would notice. This thread goes on for a moment, since
        // the signal may meet another one first: taking the terminal then would leave it taken while we sleep.
        kill_current_process_group(Signal::TSTP)?;
        // Where nobody could continue us, the system does not stop us either.
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

/// Gives everything back, once. Nothing more can be done about what fails here.
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

/// A panic of the thread that has the terminal gives it back before it is told; one of another thread, which
/// may well be survived, is told when the terminal has been given back.
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
