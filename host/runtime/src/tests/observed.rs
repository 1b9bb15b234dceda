//! Steps of loads, as an observer receives them.

use std::sync::Mutex;

use super::*;

/// Keeps the steps that it receives, with their jobs.
#[derive(Default)]
struct StepLog(Mutex<Vec<(String, LoadStep)>>);

impl StepLog {
    fn steps(&self) -> Vec<(String, LoadStep)> {
        self.0.lock().unwrap().clone()
    }

    fn count(&self, wanted: impl Fn(&LoadStep) -> bool) -> usize {
        self.steps().iter().filter(|(_, step)| wanted(step)).count()
    }
}

impl LoadObserver for StepLog {
    fn observe(&self, plugin: &ObservedPlugin<'_>, step: &LoadStep) {
        let mut steps = self.0.lock().unwrap();
        steps.push((plugin.job.to_owned(), step.clone()));
    }
}

/// A rig with a compile cache, and the steps of its loads.
fn observed(cache: &TempDir) -> (Rig, Arc<StepLog>) {
    let rig = Rig::with(&RuntimeOptions {
        max_runs: 8,
        preparing: Preparing::InThisProcess,
        cache_dir: Some(cache.path().join("cache")),
        ..RuntimeOptions::default()
    });
    let log = Arc::new(StepLog::default());
    rig.runtime.observe_loads(log.clone());
    (rig, log)
}

const fn is_cached(step: &LoadStep) -> bool {
    matches!(
        step,
        LoadStep::Ready {
            is_cached: true,
            ..
        }
    )
}

#[tokio::test]
async fn compiled_plugin_has_two_steps_and_a_cached_one_has_one() {
    let cache = tempfile::tempdir().unwrap();
    let (rig, log) = observed(&cache);
    let plugin = rig.load(guests::EXIT_3).await;
    let steps = log.steps();
    assert!(
        matches!(&steps[..], [
            (first, LoadStep::Compiling { size_bytes }),
            (_, LoadStep::Ready { sha256, is_cached: false, .. }),
        ] if first == "demo" && *size_bytes == plugin.facts().size_bytes && *sha256 == plugin.facts().sha256),
        "{steps:?}"
    );
    // Another process finds the entry.
    let (rig, log) = observed(&cache);
    rig.load(guests::EXIT_3).await;
    let steps = log.steps();
    assert!(
        matches!(&steps[..], [(_, step)] if is_cached(step)),
        "{steps:?}"
    );
}

#[tokio::test]
async fn refused_plugin_ends_its_load() {
    let cache = tempfile::tempdir().unwrap();
    let (rig, log) = observed(&cache);
    rig.load_bytes(b"not a plugin").await.unwrap_err();
    rig.load_file(Path::new("/nowhere/x.wasm"), None)
        .await
        .unwrap_err();
    let ends: Vec<LoadStep> = log.steps().into_iter().map(|(_, step)| step).collect();
    assert_eq!(ends.last(), Some(&LoadStep::Refused));
    assert_eq!(log.count(|step| *step == LoadStep::Refused), 2, "{ends:?}");
}

/// Fails when concurrent loads of one plugin are each compiled, as at the start of a host with many jobs of one file.
#[tokio::test(flavor = "multi_thread")]
async fn concurrent_loads_of_one_plugin_compile_it_once() {
    let cache = tempfile::tempdir().unwrap();
    let (rig, log) = observed(&cache);
    let path = rig.file("plugin.wasm", &wat::parse_str(guests::EXIT_3).unwrap());
    let loads = (0..8).map(|_| rig.load_file(&path, None));
    for loaded in futures_util::future::join_all(loads).await {
        loaded.unwrap();
    }
    assert_eq!(
        log.count(|step| matches!(step, LoadStep::Compiling { .. })),
        1
    );
    assert_eq!(log.count(is_cached), 7);
}
