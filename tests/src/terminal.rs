//! A real terminal with a shell in it: keys go in, and the screen comes out.
//!
//! It is tmux's, with a server of its own whose socket is in a directory of its own; no other server is used. The
//! server and all processes started in it end with the owner.

mod screen;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

pub use screen::Screen;

use crate::binaries;
use crate::process::Process;
use crate::suite;
use crate::wait::eventually;

/// Bound of a wait for a text on the screen, and for a shell's answer.
const PATIENCE: Duration = Duration::from_secs(20);

/// Pause between two readings of a screen: each starts a process.
const LOOK_EVERY: Duration = Duration::from_millis(40);

/// Config of tmux: every line of the window is the program's, and keys are sent without a delay.
const CONFIG: &str = "set -g status off\nset -g escape-time 0\nset -g automatic-rename off\n";

/// The name of the one session, and of the user in it.
const SESSION: &str = "test";
/// Name of the user at the terminal.
pub const USER: &str = "olga";

/// A terminal; ends, with the processes in it, when dropped.
#[derive(Debug)]
pub struct Terminal {
    // Before the directory with its socket.
    server: Process,
    tmux: PathBuf,
    dir: TempDir,
}

impl Terminal {
    /// A terminal of so many columns and lines. Its shell finds our programs, has job control and no
    /// line editor that would repair modes left behind by a program.
    ///
    /// # Errors
    /// tmux is missing or does not start, or our programs have not been built.
    pub fn start(columns: u16, lines: u16) -> Result<Self> {
        let tmux = binaries::tmux()?;
        // A person at a dashboard can stop runs.
        suite::operator_acts();
        let programs = binaries::leasehold_tui()?;
        let programs = programs.parent().context("a program in no directory")?;
        let dir = tempfile::Builder::new()
            .prefix("leasehold-terminal-")
            .tempdir()
            .context("making a directory for a terminal")?;
        let config = dir.path().join("tmux.conf");
        std::fs::write(&config, CONFIG).context("writing tmux's config")?;
        let path = std::env::var_os("PATH").unwrap_or_default();
        let path = std::iter::once(programs.to_owned()).chain(std::env::split_paths(&path));
        let path = std::env::join_paths(path).context("putting our programs on the path")?;
        let mut command = Self::command(&tmux, dir.path());
        command
            .arg("-f")
            .arg(&config)
            // In the foreground, so that it is our child.
            .arg("-D")
            .env("PATH", path)
            .env("HOME", dir.path())
            .env("USER", USER)
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let server = Process::start(
            "tmux".to_owned(),
            &mut command,
            Stdio::null(),
            Some(dir.path()),
        )?;
        let terminal = Self { server, tmux, dir };
        let (columns, lines) = (columns.to_string(), lines.to_string());
        let size = ["-x", &columns, "-y", &lines];
        let new = ["new-session", "-d", "-s", SESSION];
        eventually(PATIENCE, "tmux to listen", || {
            terminal.tmux(&[&new[..], &size[..], &["exec sh"]].concat())
        })?;
        // The shell's prompt, for root and for other users.
        terminal.wait("a prompt", |screen| {
            ensure!(!screen.text().trim().is_empty(), "there is nothing");
            Ok(())
        })?;
        Ok(terminal)
    }

    /// The directory that the shell is in.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Types text as it is.
    ///
    /// # Errors
    /// The terminal has ended.
    pub fn text(&self, text: &str) -> Result<()> {
        self.tmux(&["send-keys", "-t", SESSION, "-l", "--", text])
            .map(drop)
    }

    /// Presses keys by their names, such as `Enter`, `C-z` or `q`.
    ///
    /// # Errors
    /// The terminal has ended.
    pub fn keys(&self, keys: &[&str]) -> Result<()> {
        self.tmux(&[&["send-keys", "-t", SESSION, "--"][..], keys].concat())
            .map(drop)
    }

    /// Types a line and ends it.
    ///
    /// # Errors
    /// The terminal has ended.
    pub fn line(&self, line: &str) -> Result<()> {
        self.text(line)?;
        self.keys(&["Enter"])
    }

    /// Pastes text as a terminal does, marked as such if the program has asked for it.
    ///
    /// # Errors
    /// The terminal has ended.
    pub fn paste(&self, text: &str) -> Result<()> {
        self.tmux(&["set-buffer", "--", text])?;
        self.tmux(&["paste-buffer", "-p", "-t", SESSION]).map(drop)
    }

    /// Changes the size, as dragging a window's corner does.
    ///
    /// # Errors
    /// The terminal has ended.
    pub fn resize(&self, columns: u16, lines: u16) -> Result<()> {
        let (columns, lines) = (columns.to_string(), lines.to_string());
        self.tmux(&["resize-window", "-t", SESSION, "-x", &columns, "-y", &lines])
            .map(drop)
    }

    /// Writes everything into `file` that programs send to the terminal from now on, byte by byte.
    ///
    /// # Errors
    /// The terminal has ended.
    pub fn copy_to(&self, file: &str) -> Result<PathBuf> {
        let path = self.dir.path().join(file);
        let command = format!("cat > '{}'", path.display());
        self.tmux(&["pipe-pane", "-t", SESSION, &command])?;
        Ok(path)
    }

    /// A value of tmux, by one of its formats, such as `#{alternate_on}`.
    ///
    /// # Errors
    /// The terminal has ended.
    pub fn ask(&self, format: &str) -> Result<String> {
        let answer = self.tmux(&["display-message", "-p", "-t", SESSION, format])?;
        Ok(answer.trim_end().to_owned())
    }

    /// The text on the screen.
    ///
    /// # Errors
    /// The terminal has ended.
    pub fn screen(&self) -> Result<Screen> {
        self.tmux(&["capture-pane", "-p", "-t", SESSION])
            .map(Screen::new)
    }

    /// The text on the screen, with the colours and other attributes as escape sequences.
    ///
    /// # Errors
    /// The terminal has ended.
    pub fn styled(&self) -> Result<Screen> {
        self.tmux(&["capture-pane", "-p", "-e", "-t", SESSION])
            .map(Screen::new)
    }

    /// Looks at the screen until `probe` succeeds.
    ///
    /// # Errors
    /// It did not in time; the error shows the screen.
    pub fn wait<T>(&self, what: &str, mut probe: impl FnMut(&Screen) -> Result<T>) -> Result<T> {
        let started = Instant::now();
        loop {
            let screen = self.screen()?;
            match probe(&screen) {
                Ok(value) => return Ok(value),
                Err(error) if started.elapsed() >= PATIENCE => bail!(
                    "waited {PATIENCE:?} for {what}; at the end: {error:#}; the screen:\n{screen}"
                ),
                Err(_) => std::thread::sleep(LOOK_EVERY),
            }
        }
    }

    /// Waits until all of these texts are on the screen at once.
    ///
    /// # Errors
    /// They were not in time; the error shows the screen.
    pub fn shows(&self, texts: &[&str]) -> Result<Screen> {
        self.wait(&format!("{texts:?}"), |screen| {
            let missing = texts.iter().find(|text| !screen.contains(text));
            ensure!(missing.is_none(), "there is no {missing:?}");
            Ok(screen.clone())
        })
    }

    /// The program that the shell waits for, or has put to sleep.
    ///
    /// # Errors
    /// There is none.
    pub fn program(&self) -> Result<Pid> {
        eventually(PATIENCE, "a program in the terminal", || {
            let child = self.children()?.into_iter().next();
            let pid = child.context("the shell has no child")?.parse()?;
            Pid::from_raw(pid).context("no pid")
        })
    }

    fn children(&self) -> Result<Vec<String>> {
        let shell = self.ask("#{pane_pid}")?;
        let children = std::fs::read_to_string(format!("/proc/{shell}/task/{shell}/children"));
        let children = children.context("asking for the shell's children")?;
        Ok(children.split_whitespace().map(str::to_owned).collect())
    }

    /// Sends a signal to that program.
    ///
    /// # Errors
    /// There is none.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        let program = self.program()?;
        kill_process(program, signal).with_context(|| format!("signalling {program:?}"))
    }

    /// Waits until the shell has the terminal again, and everything before that has been drawn.
    ///
    /// # Errors
    /// A program still has it.
    pub fn wait_shell(&self) -> Result<()> {
        self.wait("the shell", |_| {
            for child in self.children()? {
                // A stopped process is not in the foreground. An ended one exists until the shell reaps it.
                let stat = std::fs::read_to_string(format!("/proc/{child}/stat"));
                ensure!(stat?.contains(") T "), "{child} has the terminal");
            }
            Ok(())
        })?;
        // Its output comes after all earlier output.
        let number = fastrand::u32(..1_000_000);
        self.line(&format!("echo back-$(({number} + 1))"))?;
        self.shows(&[&format!("back-{}", number + 1)]).map(drop)
    }

    /// Types a command line and returns its output.
    ///
    /// # Errors
    /// It did not end; the error shows the screen.
    pub fn run(&self, command: &str) -> Result<String> {
        // Its output is read from files, not from the screen, which also shows the typed line.
        let (out, done) = (self.dir.path().join("out"), self.dir.path().join("done"));
        for file in [&out, &done] {
            let _ = std::fs::remove_file(file);
        }
        self.line(&format!("({command}) > out 2>&1; echo > done"))?;
        self.wait(command, |_| {
            ensure!(done.exists(), "it goes on");
            Ok(())
        })?;
        let said = std::fs::read(&out).context("reading what a command wrote")?;
        Ok(String::from_utf8_lossy(&said).trim_end().to_owned())
    }

    fn tmux(&self, args: &[&str]) -> Result<String> {
        // The server answers at once, or has ended and its socket with it; `-N` never starts another.
        let output = Self::command(&self.tmux, self.dir.path())
            .arg("-N")
            .args(args)
            .output()
            .context("running tmux")?;
        ensure!(
            output.status.success(),
            "tmux {args:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// A call of tmux about the server in `dir`, free of whatever the caller has in its environment.
    fn command(tmux: &Path, dir: &Path) -> Command {
        let mut command = Command::new(tmux);
        command
            .env_clear()
            .env("LC_ALL", "C.UTF-8")
            .current_dir(dir)
            .arg("-u")
            .arg("-S")
            .arg(dir.join("socket"));
        command
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // Programs in it are signalled as when a window is closed; then the server ends, even if they do not.
        let _ = self.tmux(&["kill-server"]);
        let _ = self.server.kill();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::is_alive;

    #[test]
    fn a_typed_command_runs_and_its_output_is_on_the_screen() {
        let terminal = Terminal::start(80, 20).unwrap();
        terminal.line("echo a$((1 + 1))b").unwrap();
        terminal.shows(&["a2b"]).unwrap();
        terminal.line(r"printf '\033[1mbold\033[m\n'").unwrap();
        terminal.shows(&["\nbold\n"]).unwrap();
        assert!(terminal.styled().unwrap().contains("\u{1b}[1mbold"));
        assert_eq!(
            terminal.run("stty size; echo $USER").unwrap(),
            "20 80\nolga"
        );
        terminal.wait_shell().unwrap();
    }

    #[test]
    fn processes_in_a_terminal_end_with_it() {
        let terminal = Terminal::start(80, 20).unwrap();
        terminal.line("sleep 600").unwrap();
        let program = terminal.program().unwrap();
        let pid = u32::try_from(program.as_raw_nonzero().get()).unwrap();
        let socket = terminal.dir().join("socket");
        drop(terminal);
        assert!(!socket.exists());
        eventually(PATIENCE, "the program to end", || {
            ensure!(!is_alive(pid), "{pid} is alive");
            Ok(())
        })
        .unwrap();
    }
}
