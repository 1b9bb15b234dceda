//! `leasehold plugin run`: runs a plugin under a simulated lock, without etcd.
//!
//! For plugin authors: prints the plugin's output as it comes and its result and, on request,
//! simulates the loss of its lock. Nothing remains after the command, and no store is used.
//!
//! - `lock`: the simulated lock; `fake`: storage in memory
//! - `job`: the inputs of the run
//! - `print`: the printed output

mod fake;
mod job;
mod lock;
mod print;

use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use leasehold_lock::{BootTime, Clock, SystemClock};
use tokio::sync::mpsc;

use crate::config_place;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::interrupt::interrupted;
use crate::progress::LoadProgress;
use crate::sink;
use fake::FakeKv;
use job::RunInputs;
use leasehold_config::secrets::{self, Secrets};
use leasehold_config::{Config, JobLock, Reading};
use leasehold_runtime::{
    Authority, GuestEvent, Plugin, RawOutput, RunEnd, RunReport, RunSpec, Runtime, StopSignal,
    Trigger,
};
use leasehold_supervisor::prepare::runtime_at;
use leasehold_supervisor::shutdown::{AT_ONCE, Signals};
use lock::FakeLock;
use print::RunPrinter;

/// Events of the guest that may wait to be printed; the terminal may be slower than the guest.
const EVENTS: usize = 1024;
/// Writes to standard output that may wait to be passed on; beyond them the guest waits.
const WRITES: usize = 16;

/// Arguments of `leasehold plugin run`.
#[derive(Clone, clap::Args)]
pub(crate) struct PluginRunArgs {
    /// The plugin.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The lock: `fake` is held until the run ends, `fake:5s` is lost after five seconds.
    #[arg(long, value_name = "fake[:TIME]", default_value = "fake")]
    lock: FakeLock,
    /// The configuration of the job, or of the folder that the plugin is meant for.
    ///
    /// Without one, the plugin gets the fenced data and the limits that its manifest and its
    /// sidecar file request, and no HTTP requests, directories or secrets.
    #[arg(short, long, value_name = "CONFIG")]
    config: Option<PathBuf>,
    /// Job of the configuration to run it as. Without it, the plugin runs as a dropped-in one.
    #[arg(long, value_name = "NAME", requires = "config")]
    job: Option<String>,
    /// Value of the guest's config that overrides all others: a key, with dots between tables, and
    /// a value as TOML or as plain text.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    values: Vec<String>,
    /// Arguments of the guest, in place of the job's.
    #[arg(value_name = "ARGS", last = true)]
    args: Vec<String>,
}

/// Runs the command.
pub(crate) async fn run(args: PluginRunArgs) -> Result<Exit, Failure> {
    let mut signals = Signals::new().map_err(|error| Failure::internal(&error))?;
    let loaded = tokio::select! {
        biased;
        signal = signals.next() => return Err(interrupted(signal)),
        loaded = load(args.clone()) => loaded?,
    };
    Box::pin(start(args, loaded, signals)).await
}

/// Inputs and plugin of a trial, with the runtime that loaded it.
struct LoadedTrial {
    inputs: RunInputs,
    runtime: Runtime,
    plugin: Plugin,
}

/// Resolves the inputs of the run, on a thread that may block, and loads the plugin.
async fn load(args: PluginRunArgs) -> Result<LoadedTrial, Failure> {
    let (file, is_usual) = (args.file.clone(), args.config.is_none());
    let resolved = tokio::task::spawn_blocking(move || {
        let inputs = job::resolve(
            &args.file,
            args.config.as_deref(),
            args.job.as_deref(),
            &args.values,
        )?;
        let runtime = runtime(&inputs.config, is_usual)?;
        Ok::<_, Failure>((inputs, runtime))
    });
    let resolved = resolved.await.map_err(|error| Failure::internal(&error))?;
    let (inputs, runtime) = resolved?;
    let job = &inputs.job;
    let progress = LoadProgress::of(1);
    runtime.observe_loads(progress.observer(None));
    let plugin = runtime
        .load(&job.source(), &file, None, job.limits(), job.allow())
        .await
        .map_err(|error| Failure::new(Exit::Plugin, error.to_string()))?;
    Ok(LoadedTrial {
        inputs,
        runtime,
        plugin,
    })
}

/// Runs the loaded plugin under the simulated lock.
async fn start(
    args: PluginRunArgs,
    loaded: LoadedTrial,
    mut signals: Signals,
) -> Result<Exit, Failure> {
    let LoadedTrial {
        inputs,
        runtime,
        plugin,
    } = loaded;
    let job = &inputs.job;
    let secrets = Secrets::read(job.secrets())
        .map_err(|error| Failure::new(Exit::Plugin, error.to_string()))?;
    let (env, env_secrets) = secrets::environment(job.env());
    let passes = !std::io::stdout().is_terminal() && job.secrets().is_empty();
    let (raw_stdout, raw) = if passes {
        let (output, end) = RawOutput::new(WRITES);
        (Some(output), Some(end))
    } else {
        (None, None)
    };
    let spec = RunSpec {
        tap: None,
        raw_stdout,
        job: job.name().to_owned(),
        run_id: "trial-1".to_owned(),
        attempt: 1,
        trigger: Trigger::Manual,
        scheduled_at_unix_ms: None,
        args: if args.args.is_empty() {
            job.args().to_vec()
        } else {
            args.args
        },
        env,
        env_secrets,
        secrets,
        config_json: inputs.config_json,
        timeout: job.timeout(),
        stop: StopSignal::new(inputs.config.host().grace()),
        mark: None,
        trace: None,
    };
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let began = clock.now();
    let tenure = args.lock.tenure(&clock);
    let kv = Arc::new(FakeKv::new(tenure.clone()));
    let lock = job.locks().label();
    let modes = job.locks().iter().map(JobLock::mode);
    let trial = Trial {
        runtime: &runtime,
        plugin: &plugin,
        authority: Authority::simulated(&lock, tenure, kv).in_modes(modes),
        spec,
        clock,
        printer: RunPrinter::new(began),
        raw,
    };
    RunPrinter::started(job.name(), &lock, args.lock);
    Ok(Box::pin(trial.work(args.lock, &mut signals)).await)
}

/// Creates the runtime, with the compile cache of the host that will run the plugin, so that it is
/// compiled once.
///
/// Without a configuration, that is the host of the one that is found, if its cache is this user's.
/// Errors in its jobs do not matter here.
fn runtime(config: &Config, is_usual: bool) -> Result<Runtime, Failure> {
    let found = is_usual.then(config_place::find_silently).flatten();
    let usual = found.and_then(|file| read_usual(&file));
    let shared = usual.and_then(|usual| runtime_at(config, usual.host().data_dir()).ok());
    match shared {
        Some(runtime) => Ok(runtime),
        None => {
            runtime_at(config, config.host().data_dir()).map_err(|error| Failure::internal(&error))
        }
    }
}

/// Reads the place of the host's data. Errors in it are reported.
fn read_usual(file: &Path) -> Option<Reading> {
    let usual = Reading::load(file).ok();
    if usual.is_none() {
        let file = file.display();
        sink::print_warning(&format!(
            "warning: the compile cache of {file} is not used; `leasehold check {file}` shows the errors\n"
        ));
    }
    usual
}

/// A plugin under trial.
struct Trial<'a> {
    runtime: &'a Runtime,
    plugin: &'a Plugin,
    authority: Authority,
    spec: RunSpec,
    clock: Arc<dyn Clock>,
    printer: RunPrinter,
    /// Standard output unchanged, if that is not a terminal and holds no secret.
    raw: Option<mpsc::Receiver<Bytes>>,
}

impl Trial<'_> {
    /// Runs until the plugin is done for good. Keeps the lock between runs that the plugin
    /// requests.
    async fn work(mut self, lock: FakeLock, signals: &mut Signals) -> Exit {
        let mut number = 1;
        loop {
            let (report, asked) = self.once(signals).await;
            self.printer.ended(&report, asked);
            let RunEnd::Again(pause) = &report.end else {
                return exit_of(&report.end, lock);
            };
            let ended = tokio::select! {
                () = tokio::time::sleep(*pause) => false,
                _ = self.authority.tenure().ended() => true,
                _ = signals.next() => return Exit::Ok,
            };
            if ended {
                RunPrinter::lost_between_runs();
                return Exit::Ok;
            }
            number += 1;
            self.spec.run_id = format!("trial-{number}");
        }
    }

    /// Runs the plugin once, and returns the time at which its stop was requested.
    async fn once(&mut self, signals: &mut Signals) -> (RunReport, Option<BootTime>) {
        let (events, mut box_) = mpsc::channel::<GuestEvent>(EVENTS);
        let stop = self.spec.stop.clone();
        let slot = self.runtime.slots().take().await;
        let run = self.runtime.run(
            self.plugin,
            self.authority.clone(),
            self.spec.clone(),
            events,
            slot,
        );
        let (mut asked, raw) = (None, &mut self.raw);
        let listen = async {
            loop {
                tokio::select! {
                    Some(bytes) = next(raw) => RunPrinter::bytes(&bytes),
                    event = box_.recv() => match event {
                        Some(event) => RunPrinter::event(&event),
                        None => break,
                    },
                    signal = signals.next() => {
                        if asked.is_some() || signal == AT_ONCE {
                            stop.abort.cancel();
                        } else {
                            asked = Some(self.clock.now());
                            stop.requested.cancel();
                            RunPrinter::asked(stop.grace);
                        }
                    }
                }
            }
        };
        let (report, ()) = tokio::join!(run, listen);
        // The last bytes that the guest wrote may still be waiting.
        while let Some(Ok(bytes)) = raw.as_mut().map(mpsc::Receiver::try_recv) {
            RunPrinter::bytes(&bytes);
        }
        (report, asked)
    }
}

/// Returns the next bytes of standard output, if they are passed on.
async fn next(raw: &mut Option<mpsc::Receiver<Bytes>>) -> Option<Bytes> {
    match raw {
        Some(raw) => raw.recv().await,
        None => None,
    }
}

/// Returns the exit code. A requested stop is not a failure of the plugin.
const fn exit_of(end: &RunEnd, lock: FakeLock) -> Exit {
    match end {
        RunEnd::Done(_) | RunEnd::Again(_) | RunEnd::Stopped => Exit::Ok,
        RunEnd::Lost(_) if lock.is_lost() => Exit::Ok,
        _ => Exit::JobFailed,
    }
}
