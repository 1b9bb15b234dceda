//! Values of a valid file, one by one, and no panic for any text.

mod folder;
mod layers;
mod loading;
mod locks;
mod messages;
mod reference;
mod sharing;

use std::path::Path;
use std::time::Duration;

use super::context::NoPlugins;
use super::environment::Environment;
use super::file_claim::LoadPurpose;
use super::{
    Beat, Config, Data, Embedded, History, MissedTicks, Remote, Report, Restart, Schedule,
    StorePlace, UpdateTime, Wait,
};
use crate::allow::{Allow, Dir, EnvValue, Network, Origin, SecretRef};
use crate::limits::{KIB, Limits, MIB};

/// Parses without reading the machine that the test runs on.
pub(super) fn parse(text: &str) -> Result<Config, Report> {
    let surroundings = Environment {
        hostname: Some("test-host".into()),
        state_home: None,
        home: Some("/home/test".into()),
    };
    Config::parse_in(text, Path::new("jobs.toml"), &surroundings)
}

/// Parses a text that must be valid.
pub(super) fn valid(text: &str) -> Config {
    match parse(text) {
        Ok(config) => config,
        Err(report) => panic!("{report}"),
    }
}

/// A file with one job and these lines in its table.
fn with_job(lines: &str) -> String {
    format!("[store]\nendpoints = [\"localhost:2379\"]\n[jobs.a]\nplugin = \"a.wasm\"\n{lines}\n")
}

fn remote(config: &Config) -> &Remote {
    match config.store().place() {
        StorePlace::Remote(remote) => remote,
        StorePlace::Embedded(embedded) => panic!("{embedded:?}"),
    }
}

fn embedded(config: &Config) -> &Embedded {
    match config.store().place() {
        StorePlace::Embedded(embedded) => embedded,
        StorePlace::Remote(remote) => panic!("{remote:?}"),
    }
}

/// A file with one job and these lines in its store.
fn with_store(lines: &str) -> String {
    format!("[host]\ndata_dir = \"/data\"\n[store]\n{lines}\n[jobs.a]\nplugin = \"a.wasm\"\n")
}

#[test]
fn embedded_store_without_a_folder_is_in_the_data_dir() {
    let config = valid(&with_store("embedded = true"));
    let store = embedded(&config);
    assert_eq!(store.data(), &Data::Directory("/data/store".into()));
    assert_eq!(store.socket(), Some(Path::new("/data/store/store.sock")));
    assert_eq!(store.listen(), None);
    assert_eq!(store.history(), History::default());

    let config = valid(&with_store(
        "embedded = true\ndir = \"/var/x\"\nlisten = \"localhost:2379\"\nroot = \"/r/\"",
    ));
    let store = embedded(&config);
    assert_eq!(store.data(), &Data::Directory("/var/x".into()));
    assert_eq!(store.socket(), Some(Path::new("/var/x/store.sock")));
    assert_eq!(store.listen(), "127.0.0.1:2379".parse().ok());
    assert_eq!(config.store().root(), "/r/");

    let config = valid(&with_store("embedded = true\nmemory = true"));
    let store = embedded(&config);
    assert_eq!(store.data(), &Data::Memory);
    assert_eq!(store.socket(), Some(Path::new("/data/store.sock")));

    let config = valid(&with_store(
        "embedded = true\nhistory = 1000\nhistory_size = \"8MiB\"",
    ));
    let history = History {
        revisions: Some(1000),
        bytes: Some(8 << 20),
    };
    assert_eq!(embedded(&config).history(), history);
}

#[test]
fn development_without_or_with_another_store_is_valid() {
    let surroundings = Environment {
        hostname: Some("test-host".into()),
        state_home: None,
        home: Some("/home/test".into()),
    };
    let develop = |text: &str| {
        let input = super::input::decode(text.as_bytes()).expect("it is text");
        let path = Path::new("jobs.toml");
        match Config::check(
            vec![super::parts::NamedText::new(path.to_owned(), input)],
            path,
            LoadPurpose::Develop,
            &surroundings,
            &NoPlugins,
            |_| None,
        ) {
            Ok(config) => config.for_host("dev-1"),
            Err(report) => panic!("{report}"),
        }
    };
    let config = develop("[jobs.a]\nplugin = \"a.wasm\"\n");
    assert_eq!(config.host().id(), "dev-1");
    assert_eq!(embedded(&config), &Embedded::in_memory());
    let config = develop(&with_store("endpoints = [\"localhost:1\"]\nroot = \"/r/\""));
    assert_eq!(remote(&config).endpoints().len(), 1);
    let config = config.on_embedded(Embedded::in_memory());
    assert_eq!(embedded(&config).data(), &Data::Memory);
    assert_eq!(config.store().root(), "/r/");
    let config = develop(&with_store("embedded = true"));
    let stays = Data::Directory("/data/store".into());
    assert_eq!(embedded(&config).data(), &stays);
}

#[test]
fn a_minimal_file_gets_every_documented_default() {
    let config = valid(&with_job(""));
    let host = config.host();
    assert_eq!(host.id(), "test-host");
    assert_eq!(
        host.data_dir(),
        Path::new("/home/test/.local/state/leasehold")
    );
    assert_eq!(host.grace(), Duration::from_secs(10));
    assert_eq!(host.drift().ppm(), 10_000);
    assert_eq!(host.max_runs(), 32);
    assert!(host.listen().is_none());
    let (store, remote) = (config.store(), remote(&config));
    assert_eq!(remote.endpoints()[0].to_string(), "http://localhost:2379");
    assert_eq!(store.root(), "/leasehold/");
    assert!(remote.login().is_none() && remote.tls().is_none() && !remote.allow_plaintext());
    assert_eq!(store.connect_timeout(), Duration::from_secs(3));
    assert_eq!(store.request_timeout(), Duration::from_secs(5));
    let job = config.job("a").expect("the job is there");
    assert_eq!((job.name(), &*job.locks().label()), ("a", "a"));
    assert_eq!(job.plugin(), Path::new("a.wasm"));
    assert_eq!(
        (job.wait(), job.schedule().clone()),
        (Wait::Forever, Schedule::KeepRunning)
    );
    assert_eq!(
        (job.timeout(), job.sha256(), job.retries()),
        (None, None, 0)
    );
    assert_eq!(job.ttl(), Duration::from_secs(10));
    assert_eq!(job.stop_margin(), Duration::from_millis(250));
    assert_eq!(job.update(), UpdateTime::NextRun);
    assert_eq!(job.restart().min(), Duration::from_secs(1));
    assert_eq!(job.restart().max(), Duration::from_mins(1));
    assert!(job.args().is_empty() && job.env().is_empty() && job.secrets().is_empty());
    assert_eq!(job.allow(), &Allow::default());
    assert_eq!(job.config_json(), "{}");
    assert_eq!(job.limits(), &Limits::default());
}

#[test]
fn every_key_of_a_job_arrives() {
    let config = valid(&with_job(
        r#"
        sha256 = "00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00FF"
        lock = "billing/a"
        wait = "30s"
        every = "1m 30s"
        jitter = "5s"
        missed = "catch-up"
        timeout = "5m"
        ttl = "20s"
        stop_margin = "300ms"
        retries = 3
        update = "restart"
        restart = { min = "2s", max = "4s" }
        args = ["-v", "two words"]
        env = { MODE = "fast", KEY = { secret = "api_key" } }
        secrets = { api_key = { file = "key.txt" }, other = { env = "OTHER" } }
        allow = { kv = ["ledger/", "a/b/"], kv_shared = true, http = ["https://API.example.com:443/", "http://[::1]:8080"],
            http_networks = ["10.0.0.0/8", "::1"], http_token = "X-Fencing-Token", http_ca = "ca.pem",
            dirs = [{ host = "in", guest = "/in/" }, { host = "/srv/out", guest = "/out", write = true }] }
        limits = { memory = "1MiB", table_elements = 7, instances = 8, stack = "64KiB", output = 2048, output_kept = "2KiB",
            log_rate = 9, host_call = "8KiB", handles = 16, random = "64B", kv_value = "1KiB",
            kv_total = "2MiB", disk = "3MiB", disk_files = 5, open_files = 6, http_body = "2KiB", http_requests = 3, http_fields = "4KiB", http_timeout = "5s",
            plugin_size = "1MiB", compile_time = "1s", compile_memory = "128MiB" }
        "#,
    ));
    let job = &config.jobs()[0];
    assert_eq!(
        job.sha256().map(|digest| (digest[0], digest[31])),
        Some((0, 0xff))
    );
    assert_eq!(job.locks().label(), "billing/a");
    assert_eq!(job.wait(), Wait::AtMost(Duration::from_secs(30)));
    let Schedule::Ticks(ticks) = job.schedule() else {
        panic!("{:?}", job.schedule());
    };
    assert_eq!(ticks.beat(), &Beat::Every(Duration::from_secs(90)));
    assert_eq!(ticks.jitter(), Duration::from_secs(5));
    assert_eq!(ticks.missed(), MissedTicks::CatchUp);
    assert_eq!(job.timeout(), Some(Duration::from_mins(5)));
    assert_eq!(job.ttl(), Duration::from_secs(20));
    assert_eq!(job.stop_margin(), Duration::from_millis(300));
    assert_eq!(job.retries(), 3);
    assert_eq!(job.update(), UpdateTime::Restart);
    assert_eq!(pauses(job.restart()), (2, 4));
    assert_eq!(job.args(), ["-v", "two words"]);
    assert_eq!(job.env()["MODE"], EnvValue::Text("fast".into()));
    assert_eq!(job.env()["KEY"], EnvValue::Secret("api_key".into()));
    assert_eq!(job.secrets()["api_key"], SecretRef::File("key.txt".into()));
    assert_eq!(job.secrets()["other"], SecretRef::Env("OTHER".into()));
    let dir = |host: &str, guest: &str, write| Dir {
        host: host.into(),
        guest: guest.into(),
        write,
    };
    let origins = ["https://api.example.com", "http://[::1]:8080"];
    let networks = ["10.0.0.0/8", "::1"];
    let allow = Allow {
        kv: vec!["ledger/".into(), "a/b/".into()],
        kv_shared: true,
        http: origins
            .map(|text| Origin::parse(text).expect("it is one"))
            .into(),
        http_networks: networks
            .map(|text| Network::parse(text).expect("it is one"))
            .into(),
        http_token: Some("X-Fencing-Token".into()),
        http_tokens_always: Vec::new(),
        http_ca: Some("ca.pem".into()),
        dirs: vec![dir("in", "/in", false), dir("/srv/out", "/out", true)],
    };
    assert_eq!(job.allow(), &allow);
    let limits = Limits {
        memory_bytes: MIB,
        table_elements: 7,
        instances: 8,
        stack_bytes: 64 * KIB,
        output_bytes: 2048,
        output_kept_bytes: 2 * KIB,
        log_lines_per_second: 9,
        host_call_bytes: 8 * KIB,
        handles: 16,
        random_bytes: 64,
        kv_value_bytes: KIB,
        kv_total_bytes: 2 * MIB,
        disk_bytes: 3 * MIB,
        disk_files: 5,
        open_files: 6,
        http_body_bytes: 2 * KIB,
        http_requests: 3,
        http_field_bytes: 4 * KIB,
        http_timeout: Duration::from_secs(5),
        plugin_bytes: MIB,
        compile_time: Duration::from_secs(1),
        compile_memory_bytes: 128 * MIB,
    };
    assert_eq!(job.limits(), &limits);
}

fn pauses(restart: Restart) -> (u64, u64) {
    (restart.min().as_secs(), restart.max().as_secs())
}

#[test]
fn a_job_overrides_the_defaults_key_by_key() {
    let config = valid(
        r#"
        [store]
        endpoints = ["localhost:2379"]
        [defaults]
        ttl = "30s"
        wait = "never"
        timeout = "1m"
        retries = 2
        stop_margin = "400ms"
        restart = { min = "5s", max = "6s" }
        limits = { memory = "1MiB", handles = 99 }
        allow = { kv = ["shared/"], http = ["https://x.example"] }
        [jobs.plain]
        plugin = "a.wasm"
        [jobs.special]
        plugin = "a.wasm"
        ttl = "3s"
        wait = "forever"
        retries = 5
        restart = { min = "1s" }
        limits = { memory = "2MiB" }
        allow = { kv = [] }
        "#,
    );
    let [plain, special] = config.jobs() else {
        panic!("there are two jobs")
    };
    assert_eq!((plain.ttl().as_secs(), special.ttl().as_secs()), (30, 3));
    assert_eq!((plain.wait(), special.wait()), (Wait::Never, Wait::Forever));
    assert_eq!(special.timeout(), Some(Duration::from_mins(1)));
    assert_eq!((plain.retries(), special.retries()), (2, 5));
    assert_eq!(special.stop_margin(), Duration::from_millis(400));
    assert_eq!(
        (pauses(plain.restart()), pauses(special.restart())),
        ((5, 6), (1, 6))
    );
    let memory = |job: &super::Job| (job.limits().memory_bytes / MIB, job.limits().handles);
    assert_eq!((memory(plain), memory(special)), ((1, 99), (2, 99)));
    assert_eq!(plain.allow().kv, ["shared/"]);
    assert!(special.allow().kv.is_empty());
    assert_eq!(special.allow().http, plain.allow().http);
}

#[test]
fn a_job_runs_once_only_if_it_says_true() {
    let schedule = |lines| valid(&with_job(lines)).jobs()[0].schedule().clone();
    assert_eq!(schedule("once = true"), Schedule::Once);
    assert_eq!(schedule("once = false"), Schedule::KeepRunning);
    let Schedule::Ticks(ticks) = schedule("once = false\nevery = \"1s\"") else {
        panic!("no ticks");
    };
    assert_eq!(ticks.beat(), &Beat::Every(Duration::from_secs(1)));
    assert_eq!(
        (ticks.jitter(), ticks.missed()),
        (Duration::ZERO, MissedTicks::Skip)
    );
}

#[test]
fn the_guest_gets_its_config_as_json_with_dates_as_text() {
    let config = valid(&with_job(
        r#"
        [jobs.a.config]
        text = "é\"\\"
        whole = -9223372036854775808
        hex = 0xff
        grouped = 1_000_000
        fraction = 1_0.5e1
        yes = true
        day = 2024-02-29
        instant = 1979-05-27T07:32:00Z
        list = [1, "two", [3.0], { four = 4 }]
        dotted.deep.key = ""
        "#,
    ));
    let json: serde_json::Value =
        serde_json::from_str(config.jobs()[0].config_json()).expect("it is JSON");
    let expected = serde_json::json!({
        "text": "é\"\\", "whole": i64::MIN, "hex": 255, "grouped": 1_000_000, "fraction": 105.0,
        "yes": true, "day": "2024-02-29", "instant": "1979-05-27T07:32:00Z",
        "list": [1, "two", [3.0], { "four": 4 }], "dotted": { "deep": { "key": "" } },
    });
    assert_eq!(json, expected);
}

#[test]
fn locks_that_are_shared_or_begin_alike_are_valid() {
    let config = valid(
        "[store]\nendpoints = [\"localhost:1\"]\n\
         [jobs.a]\nplugin = \"p\"\nlock = \"x/y\"\n\
         [jobs.b]\nplugin = \"p\"\nlock = \"x/y\"\n\
         [jobs.c]\nplugin = \"p\"\nlock = \"x/y2\"\n\
         [jobs.d]\nplugin = \"p\"\nlock = \"x2\"\n",
    );
    assert_eq!(config.jobs().len(), 4);
}

#[test]
fn certificates_turn_addresses_without_a_scheme_into_https() {
    let config = valid(
        "[store]\nendpoints = [\"etcd-1:2379\", \"https://etcd-2:2379\"]\n\
         user = \"u\"\npassword_file = \"pw\"\n\
         tls = { ca = \"ca.pem\", cert = \"c.pem\", key = \"k.pem\" }\n\
         [jobs.a]\nplugin = \"p\"\n",
    );
    let store = remote(&config);
    assert!(store.endpoints().iter().all(super::Endpoint::is_secure));
    let tls = store.tls().expect("tls is set");
    assert_eq!(tls.ca(), Path::new("ca.pem"));
    assert_eq!(
        tls.identity(),
        Some((Path::new("c.pem"), Path::new("k.pem")))
    );
    let login = store.login().expect("a user is set");
    assert_eq!(
        (login.user(), login.password_file()),
        ("u", Path::new("pw"))
    );
}

#[test]
fn paths_are_relative_to_the_folder_of_the_file() {
    let text = with_job("").replace("a.wasm", "../a.wasm");
    let config = Config::parse(
        &format!("[host]\nid = \"x\"\n{text}"),
        Path::new("/etc/lh/j.toml"),
    );
    let plugin = config.map(|config| config.jobs()[0].plugin().to_owned());
    assert_eq!(plugin.expect("it is valid"), Path::new("/etc/lh/../a.wasm"));
}

#[test]
fn a_byte_order_mark_is_accepted_and_shifts_no_place() {
    valid(&format!("\u{feff}{}", with_job("")));
    let report = parse("\u{feff}hots = 1\n").expect_err("a key is unknown");
    let error = report.errors().iter().find(|error| error.line().is_some());
    let place = error.map(|error| (error.line(), error.column()));
    assert_eq!(place, Some((Some(1), Some(1))));
}

#[test]
fn windows_line_ends_are_accepted() {
    valid(&with_job("every = \"1s\"").replace('\n', "\r\n"));
}

#[test]
fn no_mutation_of_a_file_makes_the_parser_panic() {
    let text = reference::reference_with_examples().into_bytes();
    // The unchanged text must be valid, or the mutants would all stop at the same error.
    valid(&String::from_utf8_lossy(&text));
    let mut random = fastrand::Rng::with_seed(0x1ea5_e401);
    let pieces: [&[u8]; 16] = [
        b"\"",
        b"'",
        b"[",
        b"]",
        b"{",
        b"}",
        b"=",
        b".",
        b",",
        b"\n",
        b"#",
        b"\\",
        b"\"\"\"",
        b"-1",
        b"\xff",
        b"\xef\xbb\xbf",
    ];
    let (mut accepted, mut refused) = (0, 0);
    for _ in 0..2_000 {
        let mut mutant = text.clone();
        for _ in 0..random.usize(1..4) {
            let at = random.usize(..mutant.len());
            let end = (at + random.usize(..40)).min(mutant.len());
            match random.u8(..4) {
                0 => mutant[at] = random.u8(..),
                1 => drop(mutant.drain(at..end)),
                2 => drop(
                    mutant.splice(at..at, pieces[random.usize(..pieces.len())].iter().copied()),
                ),
                _ => {
                    let copy = mutant[at..end].to_vec();
                    let to = random.usize(..mutant.len());
                    mutant.splice(to..to, copy);
                }
            }
        }
        match parse(&String::from_utf8_lossy(&mutant)) {
            Ok(_) => accepted += 1,
            Err(report) => {
                refused += 1;
                assert!(!report.errors().is_empty(), "a refusal says why");
                assert!(report.errors().iter().all(|error| !error.help().is_empty()));
                assert!(report.to_string().ends_with("nothing was started."));
            }
        }
    }
    assert!(
        accepted > 100 && refused > 100,
        "{accepted} accepted, {refused} refused"
    );
}
