//! `Config::load` on real files: faults of the file itself and of the files it names.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;

use insta::assert_snapshot;
use rustix::fs::{CWD, FileType, Mode};
use tempfile::TempDir;

use crate::config::Config;

fn folder() -> TempDir {
    tempfile::tempdir().expect("a folder can be made")
}

fn write(folder: &TempDir, name: &str, bytes: impl AsRef<[u8]>, mode: u32) {
    let path = folder.path().join(name);
    fs::write(&path, bytes).expect("the file can be written");
    fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("the mode can be set");
}

fn fifo(path: &Path) {
    rustix::fs::mknodat(CWD, path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0)
        .expect("a FIFO can be made");
}

/// The report about `name`, with the folder's name made stable.
fn refusal(folder: &TempDir, name: &str) -> String {
    let report = Config::load(&folder.path().join(name)).expect_err("it must be refused");
    let path = folder.path().to_string_lossy().into_owned();
    report.to_string().replace(&path, "DIR")
}

#[test]
fn a_file_that_cannot_be_read_as_text_says_why() {
    let folder = folder();
    fs::create_dir(folder.path().join("folder.toml")).expect("a folder can be made");
    fifo(&folder.path().join("fifo.toml"));
    write(
        &folder,
        "large.toml",
        vec![b'#'; 16 * 1024 * 1024 + 1],
        0o600,
    );
    write(&folder, "utf16.toml", b"\xff\xfe[\0h\0", 0o600);
    symlink("nowhere", folder.path().join("dangling.toml")).expect("a link can be made");
    let names = [
        "missing.toml",
        "dangling.toml",
        "folder.toml",
        "fifo.toml",
        "large.toml",
        "utf16.toml",
    ];
    let reports = names.map(|name| refusal(&folder, name)).join("\n\n");
    assert_snapshot!("unreadable_files", reports);
}

#[test]
fn a_file_of_exactly_the_cap_is_read() {
    let folder = folder();
    let mut text = String::from(
        "[host]\nid = \"a\"\n[store]\nendpoints = [\"localhost:1\"]\n[jobs.a]\nplugin = \"p\"\n#",
    );
    text.push_str(&"x".repeat(16 * 1024 * 1024 - text.len()));
    write(&folder, "full.toml", text, 0o600);
    write(&folder, "p", "", 0o600);
    assert!(Config::load(&folder.path().join("full.toml")).is_ok());
}

#[test]
fn bytes_that_are_not_utf_8_are_placed_and_the_rest_checked() {
    let folder = folder();
    let text = b"[host]\nid = \"a\"\n# caf\xe9 \xe9\n[store]\nendpoints = [\"localhost:1\"]\n\
        [jobs.a]\nplugin = \"a\xff.wasm\"\ntmeout = \"5m\"\n";
    write(&folder, "latin1.toml", text, 0o600);
    assert_snapshot!("not_utf_8", refusal(&folder, "latin1.toml"));
}

const NAMING_FILES: &str = r#"
[host]
id = "a"
[store]
endpoints = ["https://etcd:2379"]
user = "me"
password_file = "password"
tls = { ca = "ca.pem", cert = "cert.pem", key = "key.pem" }
[jobs.plain]
plugin = "plain.wasm"
[jobs.absent]
plugin = "absent.wasm"
[jobs.folder]
plugin = "folder.wasm"
[jobs.fifo]
plugin = "fifo.wasm"
tmeout = "5m"
"#;

#[test]
fn named_files_that_are_absent_or_open_are_refused() {
    let folder = folder();
    write(&folder, "jobs.toml", NAMING_FILES, 0o600);
    write(&folder, "password", "x", 0o644);
    write(&folder, "cert.pem", "x", 0o644);
    write(&folder, "key.pem", "x", 0o640);
    write(&folder, "plain.wasm", "x", 0o644);
    fs::create_dir(folder.path().join("folder.wasm")).expect("a folder can be made");
    fifo(&folder.path().join("fifo.wasm"));
    assert_snapshot!("named_files", refusal(&folder, "jobs.toml"));
}

#[test]
fn a_file_whose_files_are_all_in_order_loads() {
    let folder = folder();
    let text = NAMING_FILES.replace("tmeout", "timeout");
    write(&folder, "jobs.toml", text, 0o600);
    for (name, mode) in [
        ("password", 0o600),
        ("ca.pem", 0o644),
        ("cert.pem", 0o644),
        ("key.pem", 0o400),
        ("plain.wasm", 0o644),
        ("absent.wasm", 0o644),
        ("folder.wasm", 0o644),
    ] {
        write(&folder, name, "x", mode);
    }
    symlink("plain.wasm", folder.path().join("fifo.wasm")).expect("a link can be made");
    let config = Config::load(&folder.path().join("jobs.toml"));
    let config = config.unwrap_or_else(|report| panic!("{report}"));
    assert_eq!(config.jobs().len(), 4);
    assert_eq!(
        config.job("plain").map(crate::config::Job::plugin),
        Some(folder.path().join("plain.wasm").as_path())
    );
}

/// A module that consists of these manifests only.
fn module(manifests: &[&str]) -> Vec<u8> {
    let mut bytes = wat::parse_str("(module)").expect("it is a module");
    for text in manifests {
        let name = crate::manifest::SECTION;
        let length = 1 + name.len() + text.len();
        let length = u8::try_from(length).expect("a manifest of these tests is short");
        let named = u8::try_from(name.len()).expect("it is short");
        bytes.extend([0, length | 0x80, 0, named]);
        bytes.extend([name.as_bytes(), text.as_bytes()].concat());
    }
    bytes
}

#[test]
fn manifest_is_read_from_a_readable_file_only() {
    let folder = folder();
    let text = "[host]\nid = \"a\"\n[store]\nendpoints = [\"localhost:1\"]\n\
        [jobs.bare]\nplugin = \"bare.wasm\"\n[jobs.no]\nplugin = \"no.wasm\"\n\
        [jobs.large]\nplugin = \"large.wasm\"\nlimits = { plugin_size = \"1KiB\" }\n\
        [jobs.says]\nplugin = \"says.wasm\"\n[jobs.same]\nplugin = \"large.wasm\"\n";
    write(&folder, "jobs.toml", text, 0o600);
    write(&folder, "says.wasm", module(&["retries = 7"]), 0o644);
    write(&folder, "bare.wasm", module(&[]), 0o644);
    write(&folder, "no.wasm", "hello", 0o644);
    // The bytes after it are not a section, which the loader reports.
    let large = [module(&["retries = 7"]), vec![b'x'; 2_000]].concat();
    write(&folder, "large.wasm", large, 0o644);
    let config = Config::load(&folder.path().join("jobs.toml"));
    let config = config.unwrap_or_else(|report| panic!("{report}"));
    let value_and_origin = |name: &str| {
        let job = config.job(name).expect("it is there");
        (job.retries(), job.manifest_digest().is_some())
    };
    assert_eq!(value_and_origin("says"), (7, true));
    assert_eq!(value_and_origin("bare"), (0, true));
    assert_eq!(value_and_origin("no"), (0, true));
    assert_eq!(
        value_and_origin("large"),
        (0, false),
        "more was read than the limit"
    );
    assert_eq!(value_and_origin("same"), (0, true));
}

#[test]
fn what_is_no_manifest_is_refused_where_the_plugin_is_named() {
    let folder = folder();
    let text = "[host]\nid = \"a\"\n[store]\nendpoints = [\"localhost:1\"]\n\
        [jobs.two]\nplugin = \"two.wasm\"\n[jobs.latin]\nplugin = \"latin.wasm\"\n";
    write(&folder, "jobs.toml", text, 0o600);
    write(&folder, "two.wasm", module(&["", ""]), 0o644);
    let mut latin = module(&["name = \"?\""]);
    let at = latin
        .iter()
        .rposition(|byte| *byte == b'?')
        .expect("it is there");
    latin[at] = 0xff;
    write(&folder, "latin.wasm", latin, 0o644);
    assert_snapshot!("no_manifests", refusal(&folder, "jobs.toml"));
}
