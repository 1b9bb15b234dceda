//! The record writer on a store in memory: its writes, their number of revisions, and the effect of a lost lease.

use std::time::Instant;

use leasehold_lock::{ConnectOptions, Kv, LeaseId, SystemClock, Token};
use leasehold_records::fixtures::{host_record, job_record};
use leasehold_records::{JobState, Outcome, RunKey, UnixMs};
use leasehold_store::{Store, StoreOptions};

use super::*;

const TTL: Duration = Duration::from_secs(3);
const PATIENCE: Duration = Duration::from_secs(30);

struct Scene {
    store: Store,
    locks: Locks,
    root: Root,
}

impl Scene {
    async fn new() -> Self {
        let store = Store::open(StoreOptions::memory()).await.unwrap();
        let options = ConnectOptions::in_process(Arc::new(store.connector()));
        Self {
            locks: Locks::connect(options).await.unwrap(),
            store,
            root: Root::default(),
        }
    }

    fn record_writer(&self) -> (RecordWriter, RecordWriterTask) {
        let event_log = EventLog::with_sinks(Arc::new(SystemClock), "h", Vec::new());
        RecordWriter::start(self.locks.clone(), self.root.clone(), TTL, event_log)
    }

    fn kv(&self) -> Kv {
        self.locks.kv()
    }

    async fn revision(&self) -> i64 {
        let scan = self.kv().scan("/none/", || (), |(), _| ()).await;
        scan.unwrap().revision.get()
    }

    async fn runs(&self, job: &str) -> Vec<RunRecord> {
        let found = self.kv().list(&self.root.runs_of(job), 0).await.unwrap();
        let runs = found.iter().map(|kv| RunRecord::from_json(&kv.value));
        runs.collect::<Result<_, _>>().unwrap()
    }

    /// Waits until `probe` returns a value.
    async fn wait<T>(&self, what: &str, probe: impl AsyncFn(&Self) -> Option<T>) -> T {
        let until = Instant::now() + PATIENCE;
        loop {
            if let Some(found) = probe(self).await {
                return found;
            }
            assert!(Instant::now() < until, "waited in vain for {what}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    async fn end(self, record_writer: RecordWriter, task: RecordWriterTask) {
        drop(record_writer);
        task.finish().await;
        self.locks.close().await;
        self.store.close().await;
    }
}

fn started(job: &str, token: u64) -> RunRecord {
    RunRecord {
        job: job.into(),
        lock: job.into(),
        run_id: format!("h-{job}-{token}-0"),
        ..sample(token)
    }
}

fn ended(job: &str, token: u64) -> RunRecord {
    RunRecord {
        ended_unix_ms: Some(UnixMs::new(1_003)),
        outcome: Outcome::Done,
        ..started(job, token)
    }
}

fn state(job: &str, state: JobState, since_unix_ms: u64) -> JobRecord {
    JobRecord {
        since_unix_ms: UnixMs::new(since_unix_ms),
        ..job_record(job, "h", state)
    }
}

fn host() -> HostRecord {
    host_record("h", &["j"])
}

/// One run as a host reports it, its start and end a moment apart.
async fn quick_run(record_writer: &RecordWriter, job: &str, token: u64) {
    record_writer.job(state(job, JobState::Waiting, 3 * token));
    record_writer.run_started(started(job, token));
    record_writer.job(state(job, JobState::Running, 3 * token + 1));
    tokio::time::sleep(Duration::from_millis(2)).await;
    record_writer.run_ended(ended(job, token));
    tokio::time::sleep(Duration::from_millis(2)).await;
    record_writer.job(state(job, JobState::Sleeping, 3 * token + 2));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_burst_of_runs_is_recorded_without_loss() {
    let scene = Scene::new().await;
    let (record_writer, task) = scene.record_writer();
    record_writer.host(host());
    let began = Instant::now();
    for token in 1..=80 {
        for job in 0..50 {
            let job = format!("j{job}");
            record_writer.run_started(started(&job, token));
            record_writer.run_ended(ended(&job, token));
            record_writer.job(state(&job, JobState::Sleeping, token));
        }
        // Gives the task its turn, as among the tasks of a host.
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    drop(record_writer);
    task.finish().await;
    let (spent, took) = (scene.revision().await, began.elapsed());
    println!("4000 runs in {spent} revisions and {took:?}");
    for job in 0..50 {
        let runs = scene.runs(&format!("j{job}")).await;
        // The first ones by themselves, and the rest as one.
        assert!(runs.len() >= 10 && runs.iter().any(|run| run.runs() > 1));
        assert_eq!(runs.iter().map(RunRecord::runs).sum::<u64>(), 80);
        assert!(runs.iter().all(|run| run.outcome == Outcome::Done));
    }
    assert!(spent < 300, "{spent} revisions");
    scene.locks.close().await;
    scene.store.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_quick_run_costs_one_revision() {
    let scene = Scene::new().await;
    let (record_writer, task) = scene.record_writer();
    record_writer.host(host());
    let mut before = 0;
    for token in 1..=10 {
        if token == 3 {
            before = scene.revision().await;
        }
        quick_run(&record_writer, "j", token).await;
        let written = async |scene: &Scene| {
            let runs = scene.runs("j").await;
            let is_over = runs
                .last()
                .is_some_and(|run| run.token == Token::new(token));
            (is_over && runs.iter().all(|run| run.outcome == Outcome::Done)).then_some(())
        };
        scene.wait("the run's record", written).await;
    }
    let spent = scene.revision().await - before;
    // A busy machine may write a few of them separately.
    assert!((7..=14).contains(&spent), "{spent} revisions for 8 runs");
    scene.end(record_writer, task).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn standing_records_follow_the_session_to_its_next_lease() {
    let scene = Scene::new().await;
    let (record_writer, task) = scene.record_writer();
    record_writer.host(host());
    record_writer.job(state("j", JobState::Waiting, 1));
    let both = async |scene: &Scene| {
        let kv = scene.kv();
        let host = kv.get(&scene.root.host("h")).await.ok()??;
        let job = kv.get(&scene.root.job("j", "h")).await.ok()??;
        (host.lease == job.lease && !host.lease.is_none()).then_some(host.lease)
    };
    let mut lease = scene.wait("the standing records", both).await;
    for _ in 0..2 {
        let trace = leasehold_lock::AuditNote {
            key: "/word".into(),
            value: Vec::new(),
            keep: Duration::from_mins(1),
        };
        assert!(scene.locks.revoke_lease(lease, &trace).await.unwrap());
        let anew = async |scene: &Scene| both(scene).await.filter(|now| *now != lease);
        lease = scene
            .wait("the standing records on another lease", anew)
            .await;
    }
    // Deleted by hand, and nothing else changes.
    assert!(scene.kv().delete(&scene.root.host("h")).await.unwrap());
    scene.wait("the host's record", both).await;
    scene.end(record_writer, task).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_run_of_a_host_that_vanished_is_abandoned_by_the_next() {
    let scene = Scene::new().await;
    for (token, outcome) in [(1, Outcome::Done), (2, Outcome::Running)] {
        let record = RunRecord {
            host: "dead".into(),
            outcome,
            ..started("j", token)
        };
        let key = RunKey {
            job: "j".into(),
            token: Token::new(token),
            sequence: 0,
        };
        let key = scene.root.run(&key);
        scene
            .kv()
            .put(&key, &record.to_json(), LeaseId::NONE)
            .await
            .unwrap();
    }
    let (record_writer, task) = scene.record_writer();
    record_writer.run_started(started("j", 3));
    let abandoned = async |scene: &Scene| {
        let runs = scene.runs("j").await;
        let outcomes: Vec<Outcome> = runs.iter().map(|run| run.outcome).collect();
        (outcomes == [Outcome::Done, Outcome::Abandoned, Outcome::Running])
            .then(|| runs[1].detail.clone())
    };
    let detail = scene.wait("the abandoned run", abandoned).await;
    assert!(detail.contains("host dead"), "{detail}");
    scene.end(record_writer, task).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn history_of_a_job_is_bounded_and_keeps_the_newest_runs() {
    let scene = Scene::new().await;
    let (record_writer, task) = scene.record_writer();
    for token in 1..=400 {
        record_writer.run_started(started("j", token));
        // With an outcome that is never merged.
        record_writer.run_ended(RunRecord {
            outcome: Outcome::Lost,
            ..ended("j", token)
        });
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let bounded = async |scene: &Scene| {
        let runs = scene.runs("j").await;
        let is_newest = runs.last().is_some_and(|run| run.token == Token::new(400));
        (is_newest && (100..=140).contains(&runs.len())).then_some(())
    };
    scene.wait("a bounded history", bounded).await;
    scene.end(record_writer, task).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn last_records_are_written_and_the_history_is_tidied_up() {
    let scene = Scene::new().await;
    for token in 1..=150 {
        let key = RunKey {
            job: "j".into(),
            token: Token::new(token),
            sequence: 0,
        };
        let (key, record) = (scene.root.run(&key), ended("j", token));
        scene
            .kv()
            .put(&key, &record.to_json(), LeaseId::NONE)
            .await
            .unwrap();
    }
    let (record_writer, task) = scene.record_writer();
    record_writer.run_started(started("j", 200));
    record_writer.run_ended(ended("j", 200));
    drop(record_writer);
    task.finish().await;
    let runs = scene.runs("j").await;
    assert_eq!((runs.len(), runs[99].token), (100, Token::new(200)));
    scene.locks.close().await;
    scene.store.close().await;
}

#[tokio::test]
async fn cut_off_run_is_recorded_unless_its_host_did() {
    let scene = Scene::new().await;
    let (record_writer, task) = scene.record_writer();
    record_writer.run_ended(ended("j", 7));
    scene
        .wait("the first run", async |scene| scene.runs("j").await.pop())
        .await;
    let cut_off = |token| RunRecord {
        outcome: Outcome::Abandoned,
        ..started("j", token)
    };
    record_writer.run_cut_off(cut_off(7));
    record_writer.run_cut_off(cut_off(8));
    let runs = scene
        .wait("both runs", async |scene| {
            let runs = scene.runs("j").await;
            (runs.len() == 2).then_some(runs)
        })
        .await;
    let outcomes: Vec<_> = runs
        .iter()
        .map(|run| (run.token.get(), run.outcome))
        .collect();
    assert_eq!(outcomes, [(7, Outcome::Done), (8, Outcome::Abandoned)]);
    scene.end(record_writer, task).await;
}

/// Returns the bounds of a job with these keys.
fn bounds(keys: &str) -> JobHistory {
    let text = format!(
        "[store]\nembedded = true\n[jobs.j]\nplugin = \"/j.wasm\"\nhistory = {{ {keys} }}\n"
    );
    let config = leasehold_config::Config::parse(&text, std::path::Path::new("test.toml"));
    config.unwrap().jobs()[0].history()
}

impl Scene {
    async fn put(&self, key: &str, value: &[u8]) {
        let put = self.kv().put(key, value, LeaseId::NONE).await;
        put.unwrap();
    }

    /// Puts runs that ended so many days ago, under tokens from 1.
    async fn put_runs(&self, job: &str, days_ago: &[u64]) {
        let now = UnixMs::from_system(std::time::SystemTime::now());
        for (token, days) in (1..).zip(days_ago) {
            let at = now.before(Duration::from_hours(24 * days));
            let record = RunRecord {
                started_unix_ms: at,
                ended_unix_ms: Some(at),
                ..ended(job, token)
            };
            let key = self.root.run(&record.key());
            self.put(&key, &record.to_json()).await;
        }
    }

    async fn tokens(&self, job: &str) -> Vec<u64> {
        let runs = self.runs(job).await;
        runs.iter().map(|run| run.token.get()).collect()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn history_keeps_its_number_and_age_of_runs() {
    for (keys, kept) in [
        ("runs = 3", vec![5, 6, 200]),
        ("age = \"30d\"", vec![4, 5, 6, 200]),
        ("runs = 2, age = \"30d\"", vec![6, 200]),
        ("runs = 100", vec![1, 2, 3, 4, 5, 6, 200]),
    ] {
        let scene = Scene::new().await;
        scene.put_runs("j", &[90, 60, 31, 29, 2, 1]).await;
        let (record_writer, task) = scene.record_writer();
        record_writer.set_history("j", bounds(keys));
        record_writer.run_started(started("j", 200));
        record_writer.run_ended(ended("j", 200));
        let is_kept = async |scene: &Scene| (scene.tokens("j").await == kept).then_some(());
        scene.wait(&format!("{keys}: {kept:?}"), is_kept).await;
        scene.end(record_writer, task).await;
    }
}

#[tokio::test]
async fn run_under_way_is_never_old() {
    let scene = Scene::new().await;
    let record = started("j", 1);
    let key = scene.root.run(&record.key());
    scene.put(&key, &record.to_json()).await;
    let keys = vec![key, scene.root.run(&started("j", 2).key())];
    let now = UnixMs::from_system(std::time::SystemTime::now());
    let day = Duration::from_hours(24);
    let aged = aged::count_aged(&scene.kv(), &keys, day, now).await;
    assert_eq!(aged.unwrap(), 0);
    scene.locks.close().await;
    scene.store.close().await;
}

/// Runs of a job that no host has are deleted by any host, once the newest is old.
#[tokio::test]
async fn runs_of_a_job_without_hosts_are_deleted_when_old() {
    let scene = Scene::new().await;
    for (job, days) in [
        ("alive", &[400_u64, 300][..]),
        ("gone", &[400, 91]),
        ("paused-lately", &[400, 89]),
        ("zz", &[100]),
    ] {
        scene.put_runs(job, days).await;
    }
    let now = UnixMs::from_system(std::time::SystemTime::now());
    let sweep = async || {
        let swept = aged::sweep(scene.kv(), scene.root.clone(), now).await;
        swept.unwrap()
    };
    assert_eq!(sweep().await, [""; 0], "no host is alive");
    let record = HostRecord {
        jobs: vec!["alive".into()],
        ..host()
    };
    let own = scene.root.host("h");
    scene.put(&own, &record.to_json()).await;
    assert_eq!(sweep().await, ["gone", "zz"]);
    assert_eq!(scene.tokens("alive").await, [1, 2]);
    assert_eq!(scene.tokens("paused-lately").await, [1, 2]);
    assert_eq!(scene.tokens("gone").await, [0; 0]);
    scene.put(&scene.root.host("x"), b"?").await;
    scene.put_runs("gone", &[400]).await;
    assert_eq!(sweep().await, [""; 0], "a host's jobs are unknown");
    scene.locks.close().await;
    scene.store.close().await;
}
