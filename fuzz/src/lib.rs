//! Inputs of the fuzz targets and of their seeds' tests: bytes to a call that must neither panic nor take long.
//!
//! The runtime's survey is compiled as modules of this crate, so that a target needs no engine. A target returns nothing: it panics at a contradiction.

#![allow(
    dead_code,
    unreachable_pub,
    unused_imports,
    reason = "parts of the host are compiled without those that use them"
)]

mod runtime;
mod store;
mod wasi;

use std::io::Write as _;
use std::path::Path;

use leasehold_config::{self as config, allow, manifest, wall};
use leasehold_records::{
    AdminActionRecord, HolderRecord, HostRecord, IdRecord, JobRecord, RunRecord, TickRecord,
    printable,
};

pub use store::{store_log, store_requests};
pub use wasi::wasi;

/// A configuration with a folder of plugins and a job of its own.
const BASE: &str = r#"[host]
id = "fuzz"
[store]
endpoints = ["localhost:2379"]
[plugins]
dir = "plugins"
[plugins.allow]
kv = ["{job}/"]
http = ["https://api.example.com"]
[jobs.ledger]
plugin = "ledger.wasm"
"#;

fn parsed(text: &str) -> Result<config::Config, config::Report> {
    config::Config::parse(text, Path::new("leasehold.toml"))
}

/// Takes in one input; panics where the code behind it breaks.
pub type Target = fn(&[u8]);

/// Every target, by its name.
pub const TARGETS: &[(&str, Target)] = &[
    ("plugin", plugin),
    ("sidecar", sidecar),
    ("config", config),
    ("cron", cron),
    ("records", records),
    ("recording", recording),
    ("settings", settings),
    ("names", names),
    ("store_log", store_log),
    ("store_requests", store_requests),
    ("wasi", wasi),
];

/// A plugin's bytes: the survey, the form, and the manifest.
pub fn plugin(data: &[u8]) {
    if let Err(problem) = runtime::look(data) {
        let text = problem.to_string();
        assert_eq!(printable::line(&text), text, "a refusal can be printed");
    }
    drop(manifest::Manifest::read(data));
}

/// A manifest and a sidecar of a plugin that was dropped in, separated by a NUL.
pub fn sidecar(data: &[u8]) {
    let (manifest, sidecar) = match data.iter().position(|byte| *byte == 0) {
        Some(at) => (&data[..at], &data[at + 1..]),
        None => (data, &[][..]),
    };
    let config = match parsed(BASE) {
        Ok(config) => config,
        Err(report) => panic!("the configuration beneath is wrong: {report}"),
    };
    let plugin = with_manifest(manifest);
    let Ok(manifest) = manifest::Manifest::read(&plugin) else {
        return;
    };
    let Ok(text) = std::str::from_utf8(sidecar) else {
        return;
    };
    let found = config::DropIn {
        wasm: Path::new("plugins/dropped.wasm"),
        digest: None,
        manifest: manifest.as_ref(),
        sidecar: Some((Path::new("plugins/dropped.toml"), text)),
    };
    match config.dropped(&found) {
        Ok(job) => {
            drop(job.values());
            let _ = config.with_dropped([job]);
        }
        Err(report) => drop(report.to_string()),
    }
}

/// A module with nothing but a manifest.
fn with_manifest(text: &[u8]) -> Vec<u8> {
    let name = manifest::SECTION.as_bytes();
    let mut body = vec![u8::try_from(name.len()).unwrap_or(0)];
    body.extend(name);
    body.extend(text);
    let mut bytes = b"\0asm\x01\0\0\0\0".to_vec();
    let mut length = body.len();
    while length > 0x7f {
        bytes.push(u8::try_from(length & 0x7f).unwrap_or(0) | 0x80);
        length >>= 7;
    }
    bytes.push(u8::try_from(length).unwrap_or(0));
    bytes.extend(body);
    bytes
}

/// A configuration.
pub fn config(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    match parsed(text) {
        Ok(config) => config.jobs().iter().for_each(|job| drop(job.values())),
        Err(report) => drop(report.to_string()),
    }
}

/// Ticks of a cron expression, the text before a NUL, in a time zone, the text after it.
pub fn cron(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let (cron, tz) = text.split_once('\0').unwrap_or((text, "UTC"));
    let quoted = |text: &str| toml::Value::String(text.to_owned()).to_string();
    let text = format!("{BASE}cron = {}\ntz = {}\n", quoted(cron), quoted(tz));
    let config = match parsed(&text) {
        Ok(config) => config,
        Err(report) => {
            let report = report.to_string();
            assert!(report.contains("cron") || report.contains("tz"), "{report}");
            return;
        }
    };
    for job in config.jobs() {
        if let config::Schedule::Ticks(ticks) = job.schedule() {
            let mut at = wall::UnixMs::new(1_700_000_000_000);
            for _ in 0..8 {
                let Some(next) = ticks.beat().next(at) else {
                    break;
                };
                assert!(next > at, "a tick comes after the moment before it");
                at = next;
            }
        }
    }
}

/// A record: the first byte chooses its kind.
pub fn records(data: &[u8]) {
    let Some((kind, json)) = data.split_first() else {
        return;
    };
    macro_rules! again {
        ($kind:ty) => {
            if let Ok(record) = <$kind>::from_json(json) {
                let again = <$kind>::from_json(&record.to_json());
                assert!(again.is_ok_and(|again| again == record));
            }
        };
    }
    match kind % 7 {
        0 => again!(HolderRecord),
        1 => again!(HostRecord),
        2 => again!(IdRecord),
        3 => again!(JobRecord),
        4 => again!(RunRecord),
        5 => again!(TickRecord),
        _ => again!(AdminActionRecord),
    }
}

/// A recording of the dashboard.
pub fn recording(data: &[u8]) {
    let Ok(mut file) = tempfile::NamedTempFile::new_in(memory()) else {
        return;
    };
    if file.write_all(data).and_then(|()| file.flush()).is_ok() {
        drop(leasehold_tui::probe::recording(file.path()));
    }
}

/// A directory that costs no disk, where there is one.
fn memory() -> std::path::PathBuf {
    let shared = Path::new("/dev/shm");
    if shared.is_dir() {
        shared.to_owned()
    } else {
        std::env::temp_dir()
    }
}

/// The dashboard's settings, and the same text as a filter.
pub fn settings(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    drop(leasehold_tui::probe::settings(text));
    let _ = leasehold_tui::probe::filter(text, "team/ledger");
}

/// Origins, networks, keys of records and text for a terminal.
pub fn names(data: &[u8]) {
    let shown = printable::bytes(data);
    assert_eq!(printable::line(&shown), shown, "printable text stays");
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    if let Ok(origin) = allow::Origin::parse(text) {
        let again = allow::Origin::parse(&origin.to_string());
        assert!(again.is_ok_and(|again| again == origin), "{origin}");
    }
    if let Ok(network) = allow::Network::parse(text) {
        let again = allow::Network::parse(&network.to_string());
        assert!(again.is_ok_and(|again| again == network), "{network}");
        assert!(network.covers(&network), "{network}");
    }
    drop(allow::guest_path(text));
    if let Ok(root) = leasehold_records::Root::new(text) {
        if let Some(key) = root.parse_run(text) {
            assert_eq!(root.parse_run(&root.run(&key)), Some(key));
        }
        let _ = root.lock_name(text);
    }
}
