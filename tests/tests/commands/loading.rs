//! Loading of plugins: shown while it takes long, ended by a signal at once, and done once for all commands.

use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use leasehold_tests::bombs::many_branches;
use leasehold_tests::events::Event;
use leasehold_tests::process::{Process, children, is_alive};
use leasehold_tests::tail::Tail;
use leasehold_tests::terminal::{Screen, Terminal};
use leasehold_tests::wait::eventually;
use leasehold_tests::wat_plugins::printer;
use rustix::process::Signal;

use crate::SLACK;
use crate::room::Room;

/// The longest from a signal to the end of a command that only loads: a busy machine's, not a promise. The plugin takes
/// longer to compile.
const END_BOUND: Duration = Duration::from_secs(5);

/// A running command, with its output.
struct Running {
    process: Process,
    stdout: Tail<String>,
    stderr: Tail<String>,
}

impl Running {
    fn start(room: &Room, args: &[&str]) -> Result<Self> {
        let mut command = room.command(args)?;
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut process = Process::spawn(format!("leasehold {}", args.join(" ")), &mut command)?;
        let stdout = process.take_stdout().context("no standard output")?;
        let stderr = process.take_stderr().context("no standard error")?;
        Ok(Self {
            process,
            stdout: Tail::read(stdout, str::to_owned)?,
            stderr: Tail::read(stderr, str::to_owned)?,
        })
    }

    /// Waits until a process compiles for it, and returns that process.
    fn compiler(&self) -> Result<u32> {
        eventually(SLACK, "a process that compiles", || {
            let child = *children(self.process.pid()).first().context("no process")?;
            let threads = std::fs::read_to_string(format!("/proc/{child}/status"))?;
            ensure!(!threads.contains("Threads:\t1\n"), "it does not work yet");
            Ok(child)
        })
    }

    /// Ends it with a signal; returns its exit code.
    fn end(&mut self, signal: Signal) -> Result<Option<i32>> {
        self.process.signal(signal)?;
        let began = Instant::now();
        let status = self.process.wait_exit(SLACK)?;
        let took = began.elapsed();
        println!("{}: {signal:?} took {took:?}", self.process);
        ensure!(
            took < END_BOUND,
            "{}: {signal:?} took {took:?}",
            self.process
        );
        ensure!(self.stdout.wait_closed(SLACK) && self.stderr.wait_closed(SLACK));
        Ok(status.code())
    }
}

/// A folder with a job whose plugin takes minutes to compile.
fn slow() -> Result<Room> {
    let room = Room::new(
        "[jobs.slow]\nplugin = \"slow.wasm\"\n\
         limits = { compile_time = \"10m\", compile_memory = \"8GiB\" }\n",
    )?;
    room.write("slow.wasm", &many_branches(5_000, 400_000))?;
    Ok(room)
}

/// Files of preparations that have not ended.
fn work_files(room: &Room) -> usize {
    let work = std::fs::read_dir(room.path().join("data/compiled/work"));
    work.into_iter().flatten().count()
}

#[test]
fn a_signal_ends_a_command_that_compiles_and_its_process() -> Result<()> {
    let room = slow()?;
    let trial = [
        "plugin",
        "run",
        "slow.wasm",
        "-c",
        "leasehold.toml",
        "--job",
        "slow",
    ];
    let inspect = [
        "plugin",
        "inspect",
        "slow.wasm",
        "--compile",
        "-c",
        "leasehold.toml",
        "--job",
        "slow",
    ];
    let (stops, aborts) = (Some(0), Some(130));
    for (args, signal, code) in [
        (&["run"] as &[&str], Signal::INT, stops),
        (&["run"], Signal::TERM, stops),
        (&["run"], Signal::QUIT, aborts),
        (&["dev", "--log-format", "text"], Signal::INT, stops),
        (&["dev", "--log-format", "text"], Signal::QUIT, aborts),
        (&["check"], Signal::INT, aborts),
        (&["check"], Signal::TERM, aborts),
        (&trial, Signal::INT, aborts),
        (&inspect, Signal::INT, aborts),
    ] {
        let mut command = Running::start(&room, args)?;
        let compiler = command.compiler()?;
        let ended = command.end(signal)?;
        let stderr = command.stderr.all();
        ensure!(ended == code, "{args:?}, {signal:?}: {ended:?}: {stderr:?}");
        eventually(SLACK, "the process that compiles to end", || {
            ensure!(!is_alive(compiler), "{args:?}: {compiler} lives");
            Ok(())
        })?;
        ensure!(work_files(&room) == 0, "{args:?}: files are left");
    }
    Ok(())
}

/// A signal that comes before the handlers ends the process as well.
#[test]
fn a_signal_right_after_the_start_ends_the_host() -> Result<()> {
    let room = slow()?;
    for pause in [0, 3, 10, 30, 100] {
        let mut command = Running::start(&room, &["run"])?;
        std::thread::sleep(Duration::from_millis(pause));
        let ended = command.end(Signal::INT)?;
        ensure!(
            ended.is_none() || ended == Some(0),
            "after {pause} ms: {ended:?}"
        );
    }
    ensure!(work_files(&room) == 0, "files are left");
    Ok(())
}

#[test]
fn long_loading_prints_lines_beside_the_output() -> Result<()> {
    let room = slow()?;
    let mut command = Running::start(&room, &["check"])?;
    let line = command.stderr.wait_from(0, SLACK, |line| {
        line.starts_with("loading: compiling slow.wasm ")
    });
    let line = line.map_err(|why| anyhow::anyhow!("no line: {why:?}"))?;
    ensure!(!line.contains('\u{1b}') && !line.contains('\r'), "{line:?}");
    command.end(Signal::TERM)?;
    ensure!(command.stdout.is_empty(), "{:?}", command.stdout.all());
    Ok(())
}

#[test]
fn bar_on_a_terminal_fits_one_line_and_leaves_nothing() -> Result<()> {
    let room = slow()?;
    let terminal = Terminal::start(36, 12)?;
    terminal.line(&format!("cd {}; HOME=$PWD; clear", room.path().display()))?;
    terminal.wait_shell()?;
    terminal.line("leasehold check")?;
    let bar = |screen: &Screen| {
        let lines: Vec<&str> = (screen.text().lines())
            .filter(|line| line.contains("0/1"))
            .collect();
        let is_cut = |line: &&str| line.starts_with("[          ] 0/1 compili");
        ensure!(lines.len() == 1 && lines.iter().all(is_cut), "no bar");
        Ok(())
    };
    terminal.wait("a bar", bar)?;
    // It is redrawn in its place.
    std::thread::sleep(Duration::from_millis(500));
    terminal.wait("one bar", bar)?;
    terminal.keys(&["C-c"])?;
    let screen = terminal.shows(&["error: stopped by SIGINT"])?;
    ensure!(!screen.contains("0/1"), "{screen}");
    terminal.line("TERM=dumb leasehold check")?;
    terminal.shows(&["loading: compiling slow.wasm"])?;
    terminal.keys(&["C-c"])?;
    terminal.wait_shell()
}

/// The events of a host from its start until its plugin is loaded; the store is away.
fn loads(room: &Room) -> Result<Vec<Event>> {
    let mut host = Running::start(room, &["run", "--log-format", "json"])?;
    let started = host
        .stdout
        .wait_from(0, SLACK, |line| Event::parse(line).is("host-started"));
    started.map_err(|why| anyhow::anyhow!("{why:?}: {:?}", host.stderr.all()))?;
    let code = host.end(Signal::TERM)?;
    ensure!(code == Some(0), "{code:?}");
    ensure!(host.stderr.is_empty(), "{:?}", host.stderr.all());
    let all = host.stdout.all();
    let events = all.iter().map(|line| Event::parse(line));
    Ok(events
        .filter(|event| event.is("plugin-compiling") || event.is("plugin-ready"))
        .collect())
}

#[test]
fn a_host_logs_what_it_compiles_and_what_is_cached() -> Result<()> {
    let room = Room::new("[jobs.a]\nplugin = \"a.wasm\"\n[jobs.b]\nplugin = \"a.wasm\"\n")?;
    room.write("a.wasm", &printer("a", 0)?)?;
    let cold = loads(&room)?;
    let compiled: Vec<&Event> = (cold.iter())
        .filter(|event| event.is("plugin-compiling"))
        .collect();
    ensure!(compiled.len() == 1, "two jobs of one plugin: {cold:?}");
    ensure!(compiled[0].u64("size_bytes").is_some() && compiled[0].job().is_some());
    let is_cached = |event: &&Event| event.value()["cached"] == true;
    let ready: Vec<&Event> = (cold.iter())
        .filter(|event| event.is("plugin-ready"))
        .collect();
    ensure!(ready.len() == 2, "{cold:?}");
    ensure!(ready.iter().filter(|event| is_cached(event)).count() == 1);
    ensure!(ready.iter().all(|event| event.u64("took_ms").is_some()));
    let warm = loads(&room)?;
    ensure!(
        warm.len() == 2 && warm.iter().all(|event| is_cached(&event)),
        "{warm:?}"
    );
    Ok(())
}

#[test]
fn a_plugin_that_was_tried_is_cached_for_check_and_run() -> Result<()> {
    let room = Room::new("[jobs.a]\nplugin = \"a.wasm\"\n")?;
    room.write("a.wasm", &printer("a", 0)?)?;
    let tried = room.run(&["plugin", "run", "a.wasm"])?;
    ensure!(tried.code == Some(0) && tried.stdout == "a", "{tried:?}");
    let loaded = loads(&room)?;
    ensure!(
        loaded.len() == 1 && loaded[0].value()["cached"] == true,
        "{loaded:?}"
    );
    let checked = room.run(&["check"])?;
    ensure!(
        checked.code == Some(0) && checked.stderr.is_empty(),
        "{checked:?}"
    );
    let cache = room.path().join("data/compiled");
    let line = format!("compile cache: {}", cache.display());
    ensure!(checked.stdout.contains(&line), "{}", checked.stdout);
    Ok(())
}

/// Fails when a mistake in another table makes the trial compile into another cache.
#[test]
fn a_plugin_tried_beside_a_wrong_job_is_cached() -> Result<()> {
    let job = "[jobs.a]\nplugin = \"a.wasm\"\n";
    let room = Room::new(&format!("{job}evry = \"1h\"\n"))?;
    room.write("a.wasm", &printer("a", 0)?)?;
    let tried = room.run(&["plugin", "run", "a.wasm"])?;
    ensure!(tried.code == Some(0) && tried.stdout == "a", "{tried:?}");
    ensure!(!tried.stderr.contains("warning"), "{tried:?}");
    room.configure(job)?;
    let loaded = loads(&room)?;
    ensure!(
        loaded.len() == 1 && loaded[0].value()["cached"] == true,
        "{loaded:?}"
    );
    Ok(())
}

#[test]
fn a_trial_reports_a_configuration_without_a_cache() -> Result<()> {
    let room = Room::new("[host]\n")?;
    room.write("a.wasm", &printer("a", 0)?)?;
    let tried = room.run(&["plugin", "run", "a.wasm"])?;
    ensure!(tried.code == Some(0) && tried.stdout == "a", "{tried:?}");
    let warning = "warning: the compile cache of leasehold.toml is not used; \
                   `leasehold check leasehold.toml` shows the errors";
    ensure!(tried.stderr.contains(warning), "{tried:?}");
    Ok(())
}
