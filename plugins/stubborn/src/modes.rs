//! The ways to misbehave.
//!
//! Values without a visible effect pass through `black_box`: else the optimizer would remove the loop that
//! is to be stopped.

use std::env;
use std::fs;
use std::hint::black_box;
use std::io::{self, Write as _};
use std::thread;
use std::time::Duration;

use leasehold_job::{Context, Failure, Lock, Outcome, log};
use serde::Deserialize;

use crate::Config;

/// Behaviour once the beats are logged.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Mode {
    /// Return at once: the control group.
    Ok,
    /// Compute for ever, without a single call to the host.
    Spin,
    /// Wait inside a host call for as long as it allows, again and again.
    Block,
    /// Sleep for an hour on the WASI clock.
    Sleep,
    /// Fill memory again and again: one instruction that takes milliseconds.
    Fill,
    /// Write to stdout and to the log without a pause.
    Flood,
    /// Call `stop_requested` and ignore its answer.
    IgnoreStop,
    /// Allocate until it is refused, then abort.
    Bomb,
    /// Recurse until the stack is used up.
    Overflow,
    /// Panic, which ends in an `unreachable` instruction.
    Trap,
    /// Leak the secret named `key` in every possible way, and last as the note of a finished run.
    TellDone,
    /// As `TellDone`, last as the reason of a retry.
    TellRetry,
    /// As `TellDone`, last as the reason of a fatal failure.
    TellFatal,
    /// As `TellDone`, last as the message of a panic.
    TellPanic,
    /// Read the file at `path` and return its size.
    Open,
}

/// Longest wait that the contract can express, 49 days.
const LONGER_THAN_ANY_LEASE: Duration = Duration::from_millis(u32::MAX as u64);

const MIB: usize = 1024 * 1024;

pub(crate) fn misbehave(ctx: &Context, config: &Config) -> Result<Outcome, Failure> {
    let lock = ctx.lock();
    match config.mode {
        Mode::Ok => Ok(Outcome::done_with("no trouble today")),
        Mode::Spin => spin(),
        Mode::Block => loop {
            lock.stop_requested(LONGER_THAN_ANY_LEASE);
        },
        Mode::Sleep => {
            thread::sleep(Duration::from_hours(1));
            Ok(Outcome::done_with("slept for an hour"))
        }
        Mode::Fill => fill(config.mib),
        Mode::Flood => flood(),
        Mode::IgnoreStop => ignore_stop(lock),
        Mode::Bomb => bomb(),
        Mode::Overflow => Ok(Outcome::done_with(format!("came back from {}", dive(0)))),
        Mode::Trap => panic!("stubborn traps as configured"),
        Mode::TellDone => Ok(Outcome::done_with(tell(ctx)?)),
        Mode::TellRetry => Err(Failure::retry(tell(ctx)?)),
        Mode::TellFatal => Err(Failure::fatal(tell(ctx)?)),
        Mode::TellPanic => panic!("{}", tell(ctx)?),
        Mode::Open => open(&config.path),
    }
}

fn spin() -> ! {
    let mut round = 0_u64;
    loop {
        round = black_box(round.wrapping_add(1));
    }
}

fn fill(mib: usize) -> Result<Outcome, Failure> {
    let mut memory = Vec::new();
    mib.checked_mul(MIB)
        .filter(|&bytes| memory.try_reserve_exact(bytes).is_ok())
        .map(|bytes| memory.resize(bytes, 0_u8))
        .ok_or_else(|| Failure::fatal(format!("{mib} MiB do not fit this job's memory limit")))?;
    for byte in (0..=u8::MAX).cycle() {
        black_box(&mut memory).fill(byte);
    }
    Ok(Outcome::done())
}

fn flood() -> ! {
    let mut line = 0_u64;
    loop {
        line += 1;
        println!("flood {line} on stdout");
        log::info!("flood {line} in the log");
    }
}

fn ignore_stop(lock: Lock) -> ! {
    let mut round = 0_u64;
    loop {
        round += 1;
        let asked = lock.stop_requested(Duration::from_millis(10));
        log::info!("still here, round {round}"; "asked-to-stop" => asked);
    }
}

fn bomb() -> ! {
    let mut hoard: Vec<Vec<u8>> = Vec::new();
    loop {
        hoard.push(black_box(vec![1; MIB]));
    }
}

/// Recurses until the stack is used up; its end is too deep to be reached.
///
/// Its frames hold numbers only: they fill the stack that the host bounds, not the one in the
/// guest's own memory. The use of the result prevents a tail call and a loop.
fn dive(depth: u64) -> u64 {
    if depth == u64::MAX {
        return 0;
    }
    dive(depth + 1).rotate_left(7) ^ depth
}

/// Leaks the secret on standard output and standard error in two writes each, in the log's message and
/// fields, as progress, and with the environment; returns a text with it for the end of the run.
fn tell(ctx: &Context) -> Result<String, Failure> {
    let secret = ctx
        .secret("key")
        .ok_or_else(|| Failure::fatal("no secret `key` was granted"))?;
    let (head, tail) = secret.split_at(secret.len() / 2);
    let failed = |error: io::Error| Failure::fatal(error.to_string());
    for stream in [&mut io::stdout() as &mut dyn io::Write, &mut io::stderr()] {
        for part in ["told ", head, tail, " at once\n"] {
            stream.write_all(part.as_bytes()).map_err(failed)?;
            stream.flush().map_err(failed)?;
        }
    }
    for (name, value) in env::vars() {
        println!("{name}={value}");
    }
    log::info!("told {secret} in the log"; "field" => secret, secret => "name");
    ctx.progress(1, Some(2), &format!("told {secret} as progress"));
    // Without a line end, so the host holds it back until the run ends.
    print!("told {secret}");
    io::stdout().flush().map_err(failed)?;
    Ok(format!("told {secret} at last"))
}

fn open(path: &str) -> Result<Outcome, Failure> {
    match fs::read(path) {
        Ok(bytes) => Ok(Outcome::done_with(format!("{} bytes", bytes.len()))),
        Err(error) => Err(Failure::fatal(format!("cannot open {path}: {error}"))),
    }
}
