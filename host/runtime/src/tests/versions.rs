//! Plugins built against other versions of the contract than this host's, from the WIT files of those
//! versions, with the tools that build every guest.

use std::path::Path;

use super::*;

/// First published version of the contract, which is frozen: see `the_contract_has_only_been_added_to`.
const V1_0_0: &str = include_str!("../../../../plugins/wit/frozen/job-1.0.0.wit");
/// Current contract.
const TODAY: &str = include_str!("../../../../plugins/wit/job.wit");

/// Makes the contract of a later version, with a function that does not exist today.
fn later(version: &str) -> String {
    let today = format!("package leasehold:job@{CONTRACT_VERSION};");
    let text = TODAY.replacen(&today, &format!("package leasehold:job@{version};"), 1);
    assert_ne!(text, TODAY, "the package is {today}");
    let token = "  token: func() -> u64;\n";
    let added = text.replacen(token, &format!("{token}  renewals: func() -> u64;\n"), 1);
    assert_ne!(added, text, "the lock has a token");
    added
}

/// Builds a job against `wit`. It calls `calls` of the lock, writes the key `demo/a` with a fence, and is
/// done when the store confirms the write.
fn built_against(wit: &str, version: &str, calls: &str) -> Vec<u8> {
    let mut core = wat::parse_str(format!(
        r#"(module
            (import "leasehold:job/lock@{version}" "{calls}" (func $call (result i64)))
            (import "leasehold:job/fenced-kv@{version}" "put" (func $put (param i32 i32 i32 i32 i32)))
            (memory (export "memory") 2)
            (data (i32.const 64) "demo/a")
            (data (i32.const 80) "one")
            (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) (i32.const 4096))
            (func (export "leasehold:job/guest@{version}#run") (result i32)
                (if (i64.eqz (call $call)) (then unreachable))
                (call $put (i32.const 64) (i32.const 6) (i32.const 80) (i32.const 3) (i32.const 256))
                (if (i32.load8_u (i32.const 256)) (then unreachable))
                (i32.const 512)))"#
    ))
    .unwrap();
    let mut resolve = wit_parser::Resolve::default();
    let package = resolve.push_str("job.wit", wit).unwrap();
    let world = resolve.select_world(&[package], Some("job")).unwrap();
    let encoding = wit_component::StringEncoding::UTF8;
    wit_component::embed_component_metadata(&mut core, &resolve, world, encoding).unwrap();
    core
}

fn rig() -> Rig {
    let mut rig = Rig::new();
    rig.grants.kv = vec!["demo/".to_owned()];
    rig
}

/// Runs the plugin, and checks its fenced write in the store.
async fn runs_and_writes(plugin: &[u8], version: &str) {
    let rig = rig();
    let fake_kv = Arc::new(FakeKv::default());
    let plugin = rig.load_bytes(plugin).await.unwrap();
    assert_eq!(plugin.facts().contract.as_deref(), Some(version));
    let long = authority_with(lasting(Duration::from_mins(1)), fake_kv.clone());
    let ran = rig.run_plugin(&plugin, long, spec()).await;
    assert_eq!(ran.report.end, RunEnd::Done(None));
    assert_eq!(fake_kv.value("demo/a"), Some(b"one".to_vec()));
}

#[tokio::test]
async fn plugin_for_the_first_version_runs_and_writes_fenced_keys() {
    assert_ne!(CONTRACT_VERSION, "1.0.0", "there has been an addition");
    runs_and_writes(&built_against(V1_0_0, "1.0.0", "token"), "1.0.0").await;
}

#[tokio::test]
async fn a_plugin_built_against_todays_contract_runs() {
    let today = CONTRACT_VERSION;
    runs_and_writes(&built_against(TODAY, today, "token"), today).await;
}

/// Directory of components, each built against the contract of its name when that was published.
fn published() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/contracts")
}

fn write_missing(path: &Path, wit: &str, version: &str) {
    if !path.exists() {
        let core = built_against(wit, version, "token");
        let encoder = wit_component::ComponentEncoder::default().module(&core);
        std::fs::write(path, encoder.unwrap().encode().unwrap()).unwrap();
    }
}

/// Files of other builds than this one's: a change of the tools that build plugins, or of the host, does not reach them.
/// With `LEASEHOLD_WRITE_FIXTURES=1` those that are missing are written.
#[tokio::test]
async fn components_of_every_published_contract_run() {
    let known = [("1.0.0", V1_0_0), (CONTRACT_VERSION, TODAY)];
    if std::env::var_os("LEASEHOLD_WRITE_FIXTURES").is_some() {
        std::fs::create_dir_all(published()).unwrap();
        for (version, wit) in known {
            write_missing(&published().join(format!("{version}.wasm")), wit, version);
        }
    }
    let mut versions = Vec::new();
    for entry in std::fs::read_dir(published()).unwrap() {
        let path = entry.unwrap().path();
        let version = path.file_stem().unwrap().to_str().unwrap().to_owned();
        runs_and_writes(&std::fs::read(&path).unwrap(), &version).await;
        versions.push(version);
    }
    for (version, _) in known {
        assert!(
            versions.iter().any(|kept| kept == version),
            "contract {version} has no component: run this test with LEASEHOLD_WRITE_FIXTURES=1 and commit the file"
        );
    }
}

#[tokio::test]
async fn plugin_for_a_later_minor_version_runs() {
    runs_and_writes(&built_against(&later("1.2.0"), "1.2.0", "token"), "1.2.0").await;
}

#[tokio::test]
async fn plugin_that_calls_an_unknown_function_is_refused() {
    let rig = rig();
    let newer = built_against(&later("1.2.0"), "1.2.0", "renewals");
    let refusal = rig.load_bytes(&newer).await.unwrap_err().problem;
    insta::assert_snapshot!("calls_a_function_of_1_2", refusal.to_string());
    rig.still_works().await;
}

#[tokio::test]
async fn plugin_of_an_unknown_major_version_is_refused() {
    let rig = rig();
    let foreign = built_against(&later("2.0.0"), "2.0.0", "token");
    let refusal = rig.load_bytes(&foreign).await.unwrap_err().problem;
    insta::assert_snapshot!("built_for_2_0", refusal.to_string());
    rig.still_works().await;
}

/// Returns the significant lines of a contract, without comments, blank lines and the package's version.
fn lines(wit: &str) -> Vec<&str> {
    let lines = wit.lines().map(str::trim);
    lines
        .filter(|line| !line.is_empty() && !line.starts_with("//") && !line.starts_with("package"))
        .collect()
}

#[test]
fn the_contract_has_only_been_added_to() {
    let today = lines(TODAY);
    let mut rest = today.iter();
    for line in lines(V1_0_0) {
        assert!(
            rest.any(|other| *other == line),
            "lost or moved since 1.0.0: {line}"
        );
    }
    assert!(lines(V1_0_0).len() < today.len());
}
