//! Three members, three hosts, and faults at random for as long as asked; then a verdict on everything they logged.
//!
//! Started by `scripts/soak`, never by the test runner. A seed decides the order and length of all faults, not what
//! the machine makes of them. Exits with 1 if a promise was broken.

mod fault;
mod verdict;
mod world;

use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use fastrand::Rng;
use leasehold_tests::etcd::Version;

use crate::fault::Fault;
use crate::world::World;

/// Usage line.
const USAGE: &str = "usage: soak MINUTES [34|35] [SEED]";

/// The longest pause between two faults.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// The arguments.
struct Plan {
    span: Duration,
    version: Version,
    seed: u64,
}

fn main() -> ExitCode {
    match soak() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::from(2)
        }
    }
}

fn soak() -> Result<bool> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let plan = Plan::parse(&arguments)?;
    println!("seed {}", plan.seed);
    let mut world = World::start(plan.version)?;
    let mut rng = Rng::with_seed(plan.seed);
    let started = Instant::now();
    world.wait_all_run()?;
    while started.elapsed() < plan.span {
        std::thread::sleep(LONGEST_PAUSE.mul_f64(rng.f64()));
        let fault = Fault::choose(&mut rng);
        println!("{:7.1} {fault}", started.elapsed().as_secs_f64());
        world.suffer(&fault).with_context(|| fault.to_string())?;
    }
    println!("{:7.1} quiet", started.elapsed().as_secs_f64());
    let evidence = world.end()?;
    println!("{:7.1} ended", started.elapsed().as_secs_f64());
    let folder = evidence.keep(plan.seed)?;
    println!("evidence in {}", folder.display());
    let verdict = verdict::judge(&evidence).map_err(anyhow::Error::msg)?;
    print!("{verdict}");
    println!("seed {}", plan.seed);
    Ok(verdict.holds())
}

impl Plan {
    fn parse(arguments: &[String]) -> Result<Self> {
        let (minutes, rest) = arguments.split_first().context(USAGE)?;
        let minutes: f64 = minutes
            .parse()
            .with_context(|| format!("MINUTES is not a number: {minutes:?}; {USAGE}"))?;
        ensure!(
            minutes > 0.0 && minutes <= 1440.0,
            "MINUTES must be more than 0 and at most 1440, not {minutes}"
        );
        let (version, seed) = match rest {
            [] => (None, None),
            [version] => (Some(version), None),
            [version, seed] => (Some(version), Some(seed)),
            _ => bail!("too many arguments; {USAGE}"),
        };
        let version = match version.map(String::as_str) {
            None | Some("35") => Version::V3_5,
            Some("34") => Version::V3_4,
            Some(other) => bail!("there is no etcd {other:?} here; {USAGE}"),
        };
        let seed = match seed {
            None => fastrand::u64(..),
            Some(seed) => seed
                .parse()
                .with_context(|| format!("SEED is not a whole number: {seed:?}; {USAGE}"))?,
        };
        Ok(Self {
            span: Duration::from_secs_f64(minutes * 60.0),
            version,
            seed,
        })
    }
}
