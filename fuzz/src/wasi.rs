//! Guests that call WASI with pointers and lengths of an input's choosing.
//!
//! With the feature `engine` the module is run in the host's runtime; without it, it is validated and surveyed.

/// A module of calls: it ends by itself, in a trap or at its timeout, within its limits.
pub fn wasi(data: &[u8]) {
    let module = leasehold_wasi_calls::module(data);
    if let Err(error) = wasmparser::Validator::new().validate_all(&module) {
        panic!("a generated module is not valid: {error}");
    }
    if let Err(problem) = crate::runtime::look(&module) {
        panic!("a generated module is refused: {problem}");
    }
    #[cfg(feature = "engine")]
    engine::run(&module);
}

#[cfg(feature = "engine")]
mod engine {
    use std::fs;
    use std::path::Path;
    use std::sync::{Arc, OnceLock};
    use std::time::{Duration, Instant};

    use futures_util::FutureExt as _;
    use futures_util::future::BoxFuture;
    use leasehold_config::JobSource;
    use leasehold_config::allow::{Allow, Dir};
    use leasehold_config::limits::{KIB, Limits, MIB};
    use leasehold_config::secrets::Secrets;
    use leasehold_lock::{Clock as _, Revision, SystemClock, Tenure};
    use leasehold_runtime::{
        Authority, GuestKv, KvEntry, KvError, Preparing, RunSpec, Runtime, RuntimeOptions,
        StopSignal, Trigger,
    };
    use tempfile::TempDir;
    use tokio::sync::mpsc;

    /// The timeout of a run, and the time in which it must be over on a slow machine.
    const TIMEOUT: Duration = Duration::from_millis(100);
    const PATIENCE: Duration = Duration::from_secs(10);
    /// Bytes by which a run may make the directory grow.
    const DISK: u64 = 256 * KIB;

    /// Storage that never answers.
    struct NoStore;

    fn unavailable<T: Send + 'static>() -> BoxFuture<'static, Result<T, KvError>> {
        async { Err(KvError::Unavailable("there is no store".to_owned())) }.boxed()
    }

    impl GuestKv for NoStore {
        fn get<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<Option<KvEntry>, KvError>> {
            unavailable()
        }

        fn list<'a>(
            &'a self,
            _: &'a str,
            _: u32,
            _: u64,
        ) -> BoxFuture<'a, Result<Vec<KvEntry>, KvError>> {
            unavailable()
        }

        fn put<'a>(&'a self, _: &'a str, _: Vec<u8>) -> BoxFuture<'a, Result<Revision, KvError>> {
            unavailable()
        }

        fn delete<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<bool, KvError>> {
            unavailable()
        }

        fn compare_and_put<'a>(
            &'a self,
            _: &'a str,
            _: Revision,
            _: Vec<u8>,
        ) -> BoxFuture<'a, Result<Revision, KvError>> {
            unavailable()
        }

        fn compare_and_delete<'a>(
            &'a self,
            _: &'a str,
            _: Revision,
        ) -> BoxFuture<'a, Result<(), KvError>> {
            unavailable()
        }

        fn check(&self) -> BoxFuture<'_, Result<(), KvError>> {
            unavailable()
        }
    }

    /// The runtime that runs every input, and the directory that guests may write to.
    struct Bench {
        executor: tokio::runtime::Runtime,
        runtime: Runtime,
        dir: TempDir,
        limits: Limits,
        grants: Allow,
    }

    impl Bench {
        fn new() -> Result<Self, Box<dyn std::error::Error>> {
            let executor = tokio::runtime::Builder::new_multi_thread()
                .worker_threads(1)
                .enable_all()
                .build()?;
            let options = RuntimeOptions {
                preparing: Preparing::InThisProcess,
                max_runs: 2,
                ..RuntimeOptions::default()
            };
            let runtime = {
                let _inside = executor.enter();
                Runtime::new(&options)?
            };
            let dir = tempfile::tempdir_in(crate::memory())?;
            let inside = dir.path().join("inside");
            fs::write(dir.path().join("secret"), "outside")?;
            let grants = Allow {
                dirs: vec![Dir {
                    host: inside,
                    guest: "/in".to_owned(),
                    write: true,
                }],
                ..Allow::default()
            };
            let limits = Limits {
                memory_bytes: 2 * MIB,
                output_bytes: 64 * KIB,
                disk_bytes: DISK,
                disk_files: 16,
                open_files: 8,
                ..Limits::default()
            };
            Ok(Self {
                executor,
                runtime,
                dir,
                limits,
                grants,
            })
        }

        /// Makes the directory as every run finds it.
        fn refresh(&self) -> std::io::Result<()> {
            let inside = self.dir.path().join("inside");
            if inside.exists() {
                fs::remove_dir_all(&inside)?;
            }
            fs::create_dir(&inside)?;
            fs::write(inside.join("file"), "hello")?;
            std::os::unix::fs::symlink("file", inside.join("link"))
        }
    }

    fn bench() -> &'static Bench {
        static BENCH: OnceLock<Bench> = OnceLock::new();
        BENCH.get_or_init(|| match Bench::new() {
            Ok(bench) => bench,
            Err(error) => panic!("no runtime: {error}"),
        })
    }

    pub(super) fn run(module: &[u8]) {
        let bench = bench();
        if let Err(error) = bench.refresh() {
            panic!("the directory: {error}");
        }
        let began = Instant::now();
        bench.executor.block_on(run_once(bench, module));
        let took = began.elapsed();
        assert!(took < PATIENCE, "it took {took:?}");
        let secret = fs::read(bench.dir.path().join("secret"));
        assert!(
            secret.is_ok_and(|text| text == b"outside"),
            "it left its directory"
        );
        let (bytes, names) = taken(&bench.dir.path().join("inside"));
        // The earlier files, and those that the run may make.
        assert!(
            bytes <= DISK + 5 && names <= 18,
            "{bytes} bytes of {names} files"
        );
    }

    async fn run_once(bench: &Bench, module: &[u8]) {
        let loaded = bench
            .runtime
            .load_bytes(
                &JobSource::table("fuzz"),
                Path::new("calls.wasm"),
                module.into(),
                None,
                &bench.limits,
                &bench.grants,
            )
            .await;
        let plugin = match loaded {
            Ok(plugin) => plugin,
            Err(error) => panic!("a generated module is refused: {error}"),
        };
        let clock = Arc::new(SystemClock);
        let end = clock.now().after(Duration::from_mins(1));
        let tenure = Tenure::detached(clock, end);
        let authority = Authority::simulated("fuzz", tenure, Arc::new(NoStore));
        let spec = RunSpec {
            tap: None,
            job: "fuzz".to_owned(),
            run_id: "fuzz-1-0".to_owned(),
            attempt: 1,
            trigger: Trigger::Manual,
            scheduled_at_unix_ms: None,
            args: vec!["one".to_owned()],
            env: vec![("NAME".to_owned(), "value".to_owned())],
            env_secrets: Vec::new(),
            secrets: Secrets::default(),
            config_json: "{}".to_owned(),
            raw_stdout: None,
            timeout: Some(TIMEOUT),
            stop: StopSignal::new(Duration::ZERO),
            mark: None,
            trace: None,
        };
        let (send, _receive) = mpsc::channel(64);
        let slot = bench.runtime.slots().take().await;
        let report = bench
            .runtime
            .run(&plugin, authority, spec, send, slot)
            .await;
        assert!(report.peak_memory_bytes <= bench.limits.memory_bytes);
        assert!(report.output.len() as u64 <= bench.limits.output_bytes);
    }

    /// Bytes and names in a directory and below it.
    fn taken(dir: &Path) -> (u64, usize) {
        let entries = fs::read_dir(dir).into_iter().flatten().flatten();
        entries.fold((0, 0), |(bytes, names), entry| {
            let Ok(found) = entry.path().symlink_metadata() else {
                return (bytes, names + 1);
            };
            if found.is_dir() {
                let (more, inside) = taken(&entry.path());
                return (bytes + more, names + inside + 1);
            }
            let own = if found.is_file() { found.len() } else { 0 };
            (bytes + own, names + 1)
        })
    }
}
