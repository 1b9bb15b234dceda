//! A heartbeat: one line on stdout per beat, with the fencing token it was sent under.
//!
//! Shows that any WASI command can be a job. There is no SDK here and no dependency: the job reads
//! its lock and token from environment variables, and being stopped takes no cooperation. Each line is
//! an *effect* that carries its token. In a log collected from several hosts the tokens never decrease;
//! a smaller one would show that two of them ran at once.
//!
//! ```text
//! heartbeat [BEATS [INTERVAL_MS]]      BEATS 0 (the default): for ever; INTERVAL_MS: 1000
//!
//! beat 1 token=42 job=pulse lock=pulse run=r-7f
//! ```
//!
//! Every line is flushed: a beat that stays in a buffer was not sent.

use std::env;
use std::io::{self, Write};
use std::process::ExitCode;
use std::str::FromStr;
use std::thread;
use std::time::Duration;

fn main() -> ExitCode {
    match beat_as_asked(env::args().skip(1)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            eprintln!("heartbeat: {problem}");
            ExitCode::from(2)
        }
    }
}

fn beat_as_asked(mut args: impl Iterator<Item = String>) -> Result<(), String> {
    let beats: u64 = number("BEATS", args.next(), 0)?;
    let interval = Duration::from_millis(number("INTERVAL_MS", args.next(), 1000)?);
    if let Some(extra) = args.next() {
        return Err(format!("unexpected argument {extra:?}"));
    }

    let identity = identity();
    let mut out = io::stdout().lock();
    let mut beat = 0_u64;
    while beats == 0 || beat < beats {
        if beat > 0 {
            thread::sleep(interval);
        }
        beat += 1;
        writeln!(out, "beat {beat} {identity}")
            .and_then(|()| out.flush())
            .map_err(|error| format!("cannot write beat {beat}: {error}"))?;
    }
    Ok(())
}

/// Identity of the run from the environment; `-` for an absent variable, as outside Leasehold.
fn identity() -> String {
    let variable = |name: &str| env::var(name).unwrap_or_else(|_| "-".to_owned());
    format!(
        "token={} job={} lock={} run={}",
        variable("LEASEHOLD_TOKEN"),
        variable("LEASEHOLD_JOB"),
        variable("LEASEHOLD_LOCK"),
        variable("LEASEHOLD_RUN_ID"),
    )
}

fn number<T: FromStr>(name: &str, given: Option<String>, default: T) -> Result<T, String> {
    given.map_or(Ok(default), |text| {
        text.parse()
            .map_err(|_| format!("{name} must be a whole number, not {text:?}"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(words: &[&str]) -> impl Iterator<Item = String> {
        words
            .iter()
            .map(|&word| word.to_owned())
            .collect::<Vec<_>>()
            .into_iter()
    }

    #[test]
    fn a_wrong_argument_is_named() {
        assert_eq!(
            beat_as_asked(args(&["three"])),
            Err("BEATS must be a whole number, not \"three\"".to_owned())
        );
        assert_eq!(
            beat_as_asked(args(&["3", "-1"])),
            Err("INTERVAL_MS must be a whole number, not \"-1\"".to_owned())
        );
        assert_eq!(
            beat_as_asked(args(&["3", "1", "now"])),
            Err("unexpected argument \"now\"".to_owned())
        );
    }

    #[test]
    fn a_bounded_heartbeat_ends() {
        assert_eq!(beat_as_asked(args(&["2", "0"])), Ok(()));
    }
}
