//! Complete runs of small guests, written in the text format, without a store and without etcd.
//!
//! Deadlines here are real but generous. A test may wait for an end, but does not assert how fast it was.

mod contract;
mod disk;
mod files;
mod forms;
mod guests;
mod host_calls;
mod limits;
mod load;
mod observed;
mod output;
mod proposals;
mod secrets;
mod shapes;
mod smith;
mod stop;
mod storage;
mod traced;
mod versions;

use std::future::Future;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use leasehold_lock::{BootTime, Clock, SystemClock, Tenure};
use tempfile::TempDir;
use tokio::sync::mpsc;

use super::*;
use leasehold_config::secrets::Secrets;
use leasehold_config::wall::UnixMs;
use storage::FakeKv;

/// A runtime, a directory for plugins, and the source, limits and grants of their job.
pub(super) struct Rig {
    pub(super) runtime: Runtime,
    pub(super) dir: TempDir,
    pub(super) job: JobSource,
    pub(super) limits: Limits,
    pub(super) grants: Grants,
}

/// One run and its events.
pub(super) struct Ran {
    pub(super) report: RunReport,
    pub(super) events: Vec<GuestEvent>,
}

impl Ran {
    pub(super) fn lines(&self) -> Vec<&Line> {
        let all = self.events.iter();
        all.filter_map(|event| match event {
            GuestEvent::Line(line) => Some(line),
            GuestEvent::Progress { .. } => None,
        })
        .collect()
    }
}

impl Rig {
    pub(super) fn new() -> Self {
        Self::with(&RuntimeOptions {
            max_runs: 8,
            preparing: Preparing::InThisProcess,
            ..RuntimeOptions::default()
        })
    }

    pub(super) fn with(options: &RuntimeOptions) -> Self {
        Self {
            runtime: Runtime::new(options).unwrap(),
            dir: tempfile::tempdir().unwrap(),
            job: JobSource::table("demo"),
            limits: Limits::default(),
            grants: Grants::default(),
        }
    }

    pub(super) fn file(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.dir.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    }

    pub(super) async fn load_bytes(&self, bytes: &[u8]) -> Result<Plugin, LoadError> {
        self.load_file(&self.file("plugin.wasm", bytes), None).await
    }

    pub(super) async fn load_file(
        &self,
        path: &Path,
        pinned: Option<[u8; 32]>,
    ) -> Result<Plugin, LoadError> {
        self.runtime
            .load(&self.job, path, pinned, &self.limits, &self.grants)
            .await
    }

    pub(super) async fn load(&self, wat: &str) -> Plugin {
        let bytes = wat::parse_str(wat).unwrap();
        self.load_bytes(&bytes).await.unwrap()
    }

    /// Runs `wat` under a tenure of one minute.
    pub(super) async fn run(&self, wat: &str) -> Ran {
        self.run_for(wat, Duration::from_mins(1), spec()).await
    }

    /// Runs `wat` under a tenure of `tenure`.
    pub(super) async fn run_for(&self, wat: &str, tenure: Duration, spec: RunSpec) -> Ran {
        let plugin = self.load(wat).await;
        self.run_plugin(&plugin, authority(lasting(tenure)), spec)
            .await
    }

    pub(super) async fn run_plugin(
        &self,
        plugin: &Plugin,
        authority: Authority,
        spec: RunSpec,
    ) -> Ran {
        let (send, mut receive) = mpsc::channel(10_000);
        let slot = self.runtime.slots().take().await;
        let run = sendable(self.runtime.run(plugin, authority, spec, send, slot));
        let report = run.await;
        let mut events = Vec::new();
        while let Ok(event) = receive.try_recv() {
            events.push(event);
        }
        Ran { report, events }
    }

    /// Checks that the runtime still works: another guest runs.
    pub(super) async fn still_works(&self) {
        let ran = self.run(guests::EXIT_3).await;
        assert_eq!(ran.report.end, RunEnd::Exit(3));
    }
}

/// Checks that a future is `Send`: the supervisor spawns runs as tasks.
fn sendable<F: Future + Send>(future: F) -> F {
    future
}

pub(super) fn lasting(time: Duration) -> Tenure {
    let clock = Arc::new(SystemClock);
    let end = clock.now().after(time);
    Tenure::detached(clock, end)
}

pub(super) fn authority(tenure: Tenure) -> Authority {
    authority_with(tenure, Arc::new(FakeKv::default()))
}

pub(super) fn authority_with(tenure: Tenure, kv: Arc<dyn GuestKv>) -> Authority {
    Authority::simulated("team/demo", tenure, kv)
}

pub(super) fn spec() -> RunSpec {
    RunSpec {
        raw_stdout: None,
        tap: None,
        job: "demo".to_owned(),
        run_id: "run-1".to_owned(),
        attempt: 2,
        trigger: Trigger::Schedule,
        scheduled_at_unix_ms: Some(UnixMs::new(1_000)),
        args: vec!["--once".to_owned()],
        env: vec![
            ("COLOUR".to_owned(), "blue".to_owned()),
            ("LEASEHOLD_TOKEN".to_owned(), "999".to_owned()),
        ],
        env_secrets: Vec::new(),
        secrets: Secrets::default(),
        config_json: r#"{"a":1}"#.to_owned(),
        timeout: None,
        stop: StopSignal::new(Duration::from_mins(1)),
        mark: None,
        trace: None,
    }
}

/// Checks that nothing was admitted at or after the deadline.
pub(super) fn nothing_after_the_deadline(ran: &Ran, deadline: BootTime) {
    assert!(ran.report.last_admitted.is_none_or(|at| at < deadline));
    assert!(ran.lines().iter().all(|line| line.at < deadline));
}
