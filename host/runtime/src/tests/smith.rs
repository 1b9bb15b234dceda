//! Generated modules and components, 2,000 of them: each loads or is refused, within limits, and the host survives.
//!
//! `fuzz/smith`, which is built in a workspace of its own, generates them.

use std::path::Path;
use std::process::Command;
use std::time::Instant;

use leasehold_records::printable;

use super::*;

/// Number of seeds of one test.
const BATCH: usize = 500;
/// Longest time that one load may take. It is a bound for a busy machine, not a promise.
const SLOWEST: Duration = Duration::from_secs(20);

/// Writes the files of a batch.
fn generate(batch: usize, folder: &Path) {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/Cargo.toml");
    let target = manifest.with_file_name("target");
    let made = Command::new(env!("CARGO"))
        .args(["run", "--quiet", "--locked", "-p", "leasehold-smith"])
        .arg("--manifest-path")
        .arg(&manifest)
        .arg("--target-dir")
        .arg(&target)
        .args(["--", &(batch * BATCH).to_string(), &BATCH.to_string()])
        .arg(folder)
        // The generator must not use the build settings of the tests.
        .env_remove("CARGO_RESOLVER_FEATURE_UNIFICATION")
        .env_remove("CARGO_UNSTABLE_FEATURE_UNIFICATION")
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&made.stderr);
    assert!(made.status.success(), "the generator failed: {errors}");
}

async fn loads_or_is_refused(batch: usize) {
    let rig = Rig::new();
    let folder = rig.dir.path().join("smith");
    generate(batch, &folder);
    let (mut loaded, mut refused) = (0, 0);
    for entry in std::fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        let bytes = std::fs::read(&path).unwrap();
        let began = Instant::now();
        let result = rig.load_bytes(&bytes).await;
        let took = began.elapsed();
        assert!(took < SLOWEST, "{}: {took:?}", path.display());
        match result {
            Err(error) => {
                refused += 1;
                let text = error.problem.to_string();
                assert_eq!(printable::line(&text), text, "{}", path.display());
            }
            Ok(plugin) => {
                loaded += 1;
                if loaded % 10 == 0 {
                    let short = authority(lasting(Duration::from_millis(50)));
                    rig.run_plugin(&plugin, short, spec()).await;
                }
            }
        }
    }
    assert_eq!(loaded + refused, BATCH);
    assert!(
        loaded > BATCH / 10,
        "{loaded} of {BATCH} reached the compiler"
    );
    assert!(refused > BATCH / 10, "{refused} of {BATCH} were refused");
    rig.still_works().await;
}

#[tokio::test]
async fn generated_plugins_load_or_are_refused_1_of_4() {
    loads_or_is_refused(0).await;
}

#[tokio::test]
async fn generated_plugins_load_or_are_refused_2_of_4() {
    loads_or_is_refused(1).await;
}

#[tokio::test]
async fn generated_plugins_load_or_are_refused_3_of_4() {
    loads_or_is_refused(2).await;
}

#[tokio::test]
async fn generated_plugins_load_or_are_refused_4_of_4() {
    loads_or_is_refused(3).await;
}
