//! Layers: which one provides the value of each key, and how far dropped-in plugins may go.

use std::path::Path;
use std::rc::Rc;

use insta::assert_snapshot;

use super::{parse, valid};
use crate::config::context::{PluginReader, ReadPlugin};
use crate::config::environment::Environment;
use crate::config::file_claim::LoadPurpose;
use crate::config::{Config, DropIn, Job, Report, clash, input, schema};
use crate::limits::{KIB, LimitAmount, LimitKey, LimitUnit};
use crate::manifest::Manifest;

/// Returns this manifest for every plugin.
struct Inside<'a>(&'a str);

impl PluginReader for Inside<'_> {
    fn peek(&self, _: &Path, _: u64) -> Option<Rc<ReadPlugin>> {
        Some(Rc::new(ReadPlugin {
            digest: [7; 32],
            manifest: Ok(Some(manifest(self.0))),
        }))
    }
}

fn manifest(text: &str) -> Manifest {
    let mut bytes = wat::parse_str("(module)").expect("it is a module");
    let name = crate::manifest::SECTION;
    let length = 1 + name.len() + text.len();
    // A custom section: its length in two bytes of seven bits, its name after that name's length.
    let low = u8::try_from(length % 128).expect("seven bits") | 0x80;
    let high = u8::try_from(length / 128).expect("the manifest of a test is short");
    bytes.extend([0, low, high, u8::try_from(name.len()).expect("it is short")]);
    bytes.extend([name.as_bytes(), text.as_bytes()].concat());
    let found = Manifest::read(&bytes).expect("it has one manifest");
    found.expect("it has a manifest")
}

/// Parses a file with these lines, all of whose plugins have this manifest.
fn with_manifest(text: &str, manifest: &str) -> Result<Config, Report> {
    let around = Environment {
        hostname: Some("test-host".into()),
        state_home: None,
        home: Some("/home/test".into()),
    };
    let input = input::decode(text.as_bytes()).expect("it is text");
    let path = Path::new("jobs.toml");
    Config::check(
        vec![crate::config::parts::NamedText::new(path.to_owned(), input)],
        path,
        LoadPurpose::Run,
        &around,
        &Inside(manifest),
        |_| None,
    )
}

pub(super) const STORE: &str = "[store]\nendpoints = [\"localhost:2379\"]\n";

/// A job `a` with these lines and these `[defaults]`, whose plugin has this manifest.
fn job(lines: &str, manifest: &str, defaults: &str) -> Job {
    let text = format!("{STORE}[defaults]\n{defaults}\n[jobs.a]\nplugin = \"a.wasm\"\n{lines}\n");
    match with_manifest(&text, manifest) {
        Ok(config) => config.jobs()[0].clone(),
        Err(report) => panic!("{report}"),
    }
}

/// The value under a key and its origin.
fn value_and_origin(job: &Job, key: &str) -> (String, String) {
    let values = job.values();
    let value = values.iter().find(|value| value.key() == key);
    let value = value.unwrap_or_else(|| panic!("no `{key}` in {values:?}"));
    (value.text().to_owned(), value.origin().to_string())
}

/// Keys that a job, a manifest and the defaults may all set, besides limits, with three values each.
const SHARED: &[(&str, [&str; 3])] = &[
    ("wait", ["\"1s\"", "\"2s\"", "\"3s\""]),
    ("timeout", ["\"1m\"", "\"2m\"", "\"3m\""]),
    ("ttl", ["\"11s\"", "\"12s\"", "\"13s\""]),
    ("retries", ["1", "2", "3"]),
    ("restart.min", ["\"1s\"", "\"2s\"", "\"3s\""]),
    ("restart.max", ["\"1h\"", "\"2h\"", "\"3h\""]),
];

/// Every key that a job, a manifest and the defaults may all set, with three values each.
fn shared() -> Vec<(String, [String; 3])> {
    let plain = SHARED
        .iter()
        .map(|(key, values)| ((*key).to_owned(), values.map(str::to_owned)));
    let limits = LimitKey::ALL.into_iter().map(|key| {
        let (least, _) = key.bounds();
        let step = match key.unit() {
            LimitUnit::Bytes => KIB,
            LimitUnit::Count => 1,
            LimitUnit::Time => 1_000_000_000,
        };
        let value = |steps| LimitAmount {
            unit: least.unit,
            number: least.number + steps * step,
        };
        let values = [1, 2, 3].map(|steps| value(steps).to_string());
        (format!("limits.{key}"), values)
    });
    plain.chain(limits).collect()
}

#[test]
fn shared_key_in_three_layers_has_the_jobs_value() {
    for (key, [own, inner, default]) in shared() {
        let line = |value: &str| format!("{key} = {value}");
        let all = job(&line(&own), &line(&inner), &line(&default));
        let job_line = "[jobs.a] jobs.toml:7".to_owned();
        assert_eq!(value_and_origin(&all, &key), (own, job_line));
        let two = job("", &line(&inner), &line(&default));
        let inner_line = "manifest of a.wasm:1".to_owned();
        assert_eq!(value_and_origin(&two, &key), (inner, inner_line));
        let one = job("", "", &line(&default));
        let default_line = "[defaults] jobs.toml:4".to_owned();
        assert_eq!(value_and_origin(&one, &key), (default, default_line));
        let values = job("", "", "").values();
        let built_in = values.iter().filter(|value| value.key() == key);
        for value in built_in {
            assert_eq!(value.origin().to_string(), "built in", "{key}");
        }
    }
}

#[test]
fn key_of_job_and_manifest_has_the_jobs_value() {
    for (key, own, inner) in [("lock", "\"x\"", "\"y\""), ("every", "\"1s\"", "\"2s\"")] {
        let both = job(&format!("{key} = {own}"), &format!("{key} = {inner}"), "");
        assert_eq!(
            value_and_origin(&both, key),
            (own.into(), "[jobs.a] jobs.toml:7".into())
        );
        let one = job("", &format!("{key} = {inner}"), "");
        assert_eq!(
            value_and_origin(&one, key),
            (inner.into(), "manifest of a.wasm:1".into())
        );
    }
}

#[test]
fn choosing_when_to_run_replaces_the_manifests_choice() {
    let keys = ["every", "cron", "tz", "jitter", "missed", "once"];
    let runs = |lines, manifest| {
        let values = job(lines, manifest, "").values();
        let raw = values.iter().filter(|value| keys.contains(&value.key()));
        let raw = raw.map(|value| format!("{}={}", value.key(), value.text()));
        raw.collect::<Vec<_>>().join(" ")
    };
    let every = r#"every="1s" jitter="0s" missed="skip" once=false"#;
    assert_eq!(runs("every = \"1s\"", "once = true"), every);
    assert_eq!(runs("once = true", "every = \"1s\""), "once=true");
    assert_eq!(runs("once = false", "once = true"), "once=false");
    assert_eq!(runs("once = false", "every = \"1s\""), every);
    assert_eq!(runs("", "once = true"), "once=true");
    let cron = "cron = \"0 3 * * *\"\ntz = \"Europe/Berlin\"\nmissed = \"catch-up\"";
    // Keys of both kinds of schedule are kept; a zone belongs to `cron` alone.
    assert_eq!(
        runs("every = \"1s\"", cron),
        r#"every="1s" jitter="0s" missed="catch-up" once=false"#
    );
    assert_eq!(
        runs("tz = \"UTC\"\njitter = \"1m\"\nmissed = \"skip\"", cron),
        r#"cron="0 3 * * *" tz="UTC" jitter="1m" missed="skip" once=false"#
    );
    assert_eq!(
        runs("cron = \"0 4 * * *\"", cron),
        r#"cron="0 4 * * *" tz="Europe/Berlin" jitter="0s" missed="catch-up" once=false"#
    );
}

#[test]
fn a_guests_config_is_merged_key_by_key_also_inside_tables() {
    let job = job(
        "config = { a = 1, deep = { x = 1 }, list = [1] }",
        "[config]\na = 2\nb = 2\nlist = [2, 3]\ndeep = { x = 2, y = 2 }\n",
        "",
    );
    assert_eq!(
        job.config_json(),
        r#"{"a":1,"b":2,"deep":{"x":1,"y":2},"list":[1]}"#
    );
    assert_eq!(value_and_origin(&job, "config.a").1, "[jobs.a] jobs.toml:7");
    assert_eq!(
        value_and_origin(&job, "config.b"),
        ("2".into(), "manifest of a.wasm:3".into())
    );
    assert_eq!(value_and_origin(&job, "config.deep").0, "{ x = 1, y = 2 }");
}

#[test]
fn manifest_of_a_configured_job_gives_only_a_description() {
    let job = job(
        "allow.kv = [\"a/\"]",
        "name = \"other\"\ndescription = \"Counts.\"\nneeds.kv = [\"a/b/\", \"{job}/\"]",
        "",
    );
    assert_eq!((job.name(), &*job.locks().label()), ("a", "a"));
    assert_eq!(job.description(), Some("Counts."));
    assert_eq!(job.allow().kv, ["a/"]);
    assert_eq!(job.manifest_digest(), Some(&[7; 32]));
    assert!(!job.is_dropped());
}

#[test]
fn where_a_value_came_from_does_not_change_a_job() {
    let inner = job("", "ttl = \"12s\"", "");
    let own = job("ttl = \"12s\"", "", "");
    assert_eq!(inner, own);
    assert_ne!(inner, job("", "ttl = \"13s\"", ""));
}

/// Renders the error for a file with this job and a plugin with this manifest.
fn refusal_of(lines: &str, manifest: &str) -> String {
    let text = format!("{STORE}[jobs.a]\nplugin = \"a.wasm\"\n{lines}\n");
    match with_manifest(&text, manifest) {
        Ok(config) => panic!("it must be refused: {:?}", config.jobs()),
        Err(report) => report.to_string(),
    }
}

#[test]
fn errors_in_a_manifest_are_shown_in_the_manifest() {
    assert_snapshot!(
        "manifest_values",
        refusal_of(
            "tmeout = \"5m\"",
            "name = \"no good\"\ndescription = 3\nplugin = \"x.wasm\"\nttl = \"1s\"\nallow.kv = [\"a/\"]\n\
             every = \"1s\"\nonce = true\n[limits]\nmemory = \"lots\"\nmem = 1\n[needs]\nkv = [\"a\"]\nfs = []\n\
             [config]\nx = nan\n"
        )
    );
    assert_snapshot!(
        "manifest_syntax",
        refusal_of("", "name = a\n[limits\nmemory = 3\n")
    );
    assert_snapshot!(
        "manifest_ticks",
        refusal_of("", "tz = \"UTC\"\njitter = \"1h\"\nmissed = \"skip\"")
    );
    assert_snapshot!(
        "manifest_jitter",
        refusal_of("every = \"1s\"", "every = \"1h\"\njitter = \"1m\"")
    );
}

#[test]
fn layers_that_do_not_fit_are_refused_at_the_upper_one() {
    assert_snapshot!(
        "manifest_does_not_fit",
        refusal_of(
            "stop_margin = \"5s\"",
            "ttl = \"2s\"\nrestart.min = \"2h\"\n[limits]\nmemory = \"1GiB\""
        )
    );
}

#[test]
fn a_need_that_is_not_granted_names_the_line_to_add() {
    assert_snapshot!(
        "needs_not_granted",
        refusal_of(
            "allow.kv = [\"b/\"]",
            "[needs]\nkv = [\"b/c/\", \"{job}/\", \"shared/\"]"
        )
    );
}

#[test]
fn a_thousand_jobs_of_one_bad_plugin_say_it_once() {
    let jobs: Vec<String> = (0..1_000)
        .map(|n| format!("[jobs.j{n}]\nplugin = \"a.wasm\"\n"))
        .collect();
    let text = format!("{STORE}{}", jobs.concat());
    let report = with_manifest(&text, "tll = \"5s\"").expect_err("it has an error");
    assert_eq!(report.errors().len(), 1, "{report}");
    assert_eq!(report.errors()[0].file(), Some("manifest of a.wasm"));
}

#[test]
fn locks_out_of_manifests_may_not_lie_inside_others() {
    let text = format!(
        "{STORE}[jobs.a]\nplugin = \"a.wasm\"\n[jobs.b]\nplugin = \"b.wasm\"\nlock = \"x\"\n"
    );
    let report = with_manifest(&text, "lock = \"x/y\"").expect_err("one lies in the other");
    assert_snapshot!("manifest_lock_nested", report.to_string());
}

/// A configuration with this `[plugins]`.
pub(super) fn policy(lines: &str) -> Config {
    valid(&format!("{STORE}[plugins]\ndir = \"plugins\"\n{lines}\n"))
}

fn drop_in<'a>(manifest: Option<&'a Manifest>, sidecar: &'a str) -> DropIn<'a> {
    DropIn {
        wasm: Path::new("plugins/book.wasm"),
        digest: Some([9; 32]),
        manifest,
        sidecar: (!sidecar.is_empty()).then_some((Path::new("plugins/book.toml"), sidecar)),
    }
}

fn dropped(config: &Config, inner: &str, sidecar: &str) -> Result<Job, Report> {
    let manifest = (!inner.is_empty()).then(|| manifest(inner));
    config.dropped(&drop_in(manifest.as_ref(), sidecar))
}

pub(super) fn joins(config: &Config, inner: &str, sidecar: &str) -> Job {
    match dropped(config, inner, sidecar) {
        Ok(job) => job,
        Err(report) => panic!("{report}"),
    }
}

pub(super) fn refused(config: &Config, inner: &str, sidecar: &str) -> String {
    match dropped(config, inner, sidecar) {
        Ok(job) => panic!("it must be refused: {job:?}"),
        Err(report) => report.to_string(),
    }
}

#[test]
fn a_folder_for_plugins_is_enough_of_a_configuration() {
    let config = policy("");
    assert!(config.jobs().is_empty());
    let plugins = config.plugins().expect("there is a folder");
    assert_eq!(plugins.dir(), Path::new("plugins"));
    assert_eq!(plugins.allow_for("x").kv, ["x/"]);
    assert_eq!(plugins.limits(), &crate::limits::Limits::default());
    assert!(
        valid(&format!("{STORE}[jobs.a]\nplugin = \"a\"\n"))
            .plugins()
            .is_none()
    );
}

#[test]
fn plugin_without_manifest_gets_its_files_name_and_own_keys() {
    let job = joins(&policy(""), "", "");
    assert_eq!(
        (job.name(), &*job.locks().label()),
        ("dropped.book", "dropped.book")
    );
    assert_eq!(job.plugin(), Path::new("plugins/book.wasm"));
    assert_eq!(job.allow().kv, ["dropped.book/"]);
    assert_eq!(job.manifest_digest(), Some(&[9; 32]));
    assert!(job.is_dropped());
    let none = policy("allow.kv = [\"shared/\"]");
    assert_eq!(joins(&none, "", "").allow().kv, [""; 0]);
}

#[test]
fn shared_key_in_three_layers_has_the_sidecars_value() {
    // Wide enough for all three.
    let most = LimitKey::ALL.iter().fold(String::new(), |text, key| {
        format!("{text}limits.{key} = {}\n", key.bounds().1)
    });
    for (key, [own, inner, default]) in shared() {
        let line = |value: &str| format!("{key} = {value}");
        let config = valid(&format!(
            "{STORE}[defaults]\n{}\n[plugins]\ndir = \"plugins\"\n{most}\n",
            line(&default)
        ));
        let all = joins(&config, &line(&inner), &line(&own));
        assert_eq!(
            value_and_origin(&all, &key),
            (own, "plugins/book.toml:1".into())
        );
        let two = joins(&config, &line(&inner), "");
        let inner_line = "manifest of plugins/book.wasm:1".to_owned();
        assert_eq!(value_and_origin(&two, &key), (inner, inner_line));
        let one = joins(&config, "", "");
        let default_line = "[defaults] jobs.toml:4".to_owned();
        assert_eq!(value_and_origin(&one, &key), (default, default_line));
    }
}

#[test]
fn policy_below_the_defaults_lowers_them_for_dropped_jobs() {
    let config = policy("limits = { memory = \"1MiB\", handles = 99 }");
    let job = joins(&config, "", "limits.handles = 50");
    assert_eq!(
        value_and_origin(&job, "limits.memory"),
        ("\"1MiB\"".into(), "[plugins.limits] jobs.toml:5".into())
    );
    assert_eq!(value_and_origin(&job, "limits.handles").0, "50");
}

#[test]
fn what_is_needed_and_allowed_is_granted_and_nothing_else() {
    let config = policy("allow.kv = [\"{job}/\", \"shared/\"]");
    let kv = |inner, sidecar| joins(&config, inner, sidecar).allow().kv.join(" ");
    assert_eq!(
        kv("[needs]\nkv = [\"shared/a/\", \"{job}/\"]", ""),
        "shared/a/ dropped.book/"
    );
    // The sidecar has the last word on the requests.
    assert_eq!(
        kv(
            "[needs]\nkv = [\"shared/a/\"]",
            "allow.kv = [\"dropped.book/x/\"]"
        ),
        "dropped.book/x/"
    );
    assert_eq!(kv("[needs]\nkv = [\"shared/a/\"]", "allow.kv = []"), "");
    // No layer lists needs: the plugin gets a prefix of its own. A layer that lists needs replaces
    // it.
    assert_eq!(kv("ttl = \"5s\"", "retries = 1"), "dropped.book/");
    assert_eq!(kv("[needs]", ""), "");
    assert_eq!(kv("", "[allow]"), "");
    // Grants of configured jobs do not apply to dropped-in ones.
    let defaults = valid(&format!(
        "{STORE}[defaults]\nallow.kv = [\"x/\"]\n[plugins]\ndir = \"plugins\"\n"
    ));
    assert_eq!(joins(&defaults, "", "").allow().kv, ["dropped.book/"]);
}

#[test]
fn request_beyond_the_policy_is_refused_with_the_line_to_add() {
    let config = policy("allow.kv = [\"{job}/\"]\nlimits.memory = \"32MiB\"");
    assert_snapshot!(
        "policy_needs",
        refused(
            &config,
            "[needs]\nkv = [\"{job}/\", \"shared/\", \"boo/\"]\n[limits]\nmemory = \"33MiB\"\nhandles = 1001",
            ""
        )
    );
    assert_snapshot!(
        "policy_sidecar",
        refused(
            &config,
            "[needs]\nkv = [\"{job}/\"]",
            "allow.kv = [\"shared/{job}/\"]\n[limits]\ncompile_time = \"9m\"\n"
        )
    );
}

#[test]
fn every_limit_beyond_the_policy_is_refused_with_its_line() {
    for (key, [one, _, three]) in shared() {
        let Some(limit) = key.strip_prefix("limits.") else {
            continue;
        };
        let config = policy(&format!("limits.{limit} = {one}"));
        let line = format!("`{limit} = {three}` under [plugins.limits] in jobs.toml");
        for (inner, sidecar) in [
            (format!("{key} = {three}"), String::new()),
            (String::new(), format!("{key} = {three}")),
        ] {
            let raw = refused(&config, &inner, &sidecar);
            assert!(raw.contains(&line), "{raw}");
        }
        joins(&config, &format!("{key} = {one}"), "");
    }
}

#[test]
fn sidecar_with_the_operators_keys_is_refused() {
    assert_snapshot!(
        "sidecar_values",
        refused(
            &policy(""),
            "tll = \"5s\"",
            "plugin = \"/etc/passwd\"\nttl = \"1s\"\nname = \"x\"\n[limits]\nmemory = 1\n[needs]\nkv = []\n"
        )
    );
    assert_snapshot!(
        "sidecar_syntax",
        refused(&policy(""), "", "ttl = 5s\nretries = [\n")
    );
}

#[test]
fn name_comes_from_the_manifest_else_from_the_file() {
    let config = policy("");
    let job = joins(&config, "name = \"ledger\"", "");
    assert_eq!(
        (job.name(), &*job.locks().label()),
        ("dropped.ledger", "dropped.ledger")
    );
    assert_eq!(job.allow().kv, ["dropped.ledger/"]);
    let odd = DropIn {
        wasm: Path::new("plugins/my job.wasm"),
        digest: None,
        manifest: None,
        sidecar: None,
    };
    let report = config.dropped(&odd).expect_err("no job has such a name");
    assert_snapshot!("dropped_name", report.to_string());
}

#[test]
fn first_of_two_clashing_jobs_stays_and_configured_ones_too() {
    let config = valid(&format!(
        "{STORE}[jobs.book]\nplugin = \"a.wasm\"\nlock = \"x/y\"\n[plugins]\ndir = \"plugins\"\nnames = [\"*\"]\nlocks = [\"*\"]\n"
    ));
    let job = |name: &str, lock: &str| {
        joins(
            &config,
            &format!("name = \"{name}\"\nlock = \"{lock}\""),
            "",
        )
    };
    let (with, clashes) = config.with_dropped([
        job("one", "z"),
        job("book", "w"),
        job("two", "x/y/z"),
        job("three", "x"),
        job("one", "v"),
        job("four", "z"),
    ]);
    let names: Vec<&str> = with.jobs().iter().map(Job::name).collect();
    assert_eq!(names, ["book", "four", "one"]);
    let raw: Vec<String> = clashes.iter().map(ToString::to_string).collect();
    assert_snapshot!("clashes", raw.join("\n"));
    assert_eq!(clash(with.jobs(), &job("five", "x/y")), None);
}

#[test]
fn the_table_for_plugins_is_read_with_the_rest() {
    let raw = parse(&format!(
        "{STORE}[plugins]\ndirr = \"x\"\nallow = {{ kv = [\"{{name}}/\", \"x\"] }}\nlimits.mem = 1\nsecrets = 3\n\
         names = [\"a b\", \"dropped.x\", \"team-*\"]\nlocks = [\"a/../b\", \"team/*\", \"*\"]\nmax_ttl = \"2h\"\n"
    ));
    assert_snapshot!("plugins_values", raw.expect_err("it is wrong").to_string());
}

/// A key that is added to a job must be shown too.
#[test]
fn every_key_of_a_job_is_among_its_values() {
    let text = super::reference::reference_with_examples();
    let config = valid(&text);
    let mut shown = String::new();
    for job in config.jobs() {
        for value in job.values() {
            shown.push_str(value.key());
            shown.push('\n');
        }
    }
    let tables = [
        ("", schema::JOB),
        ("restart.", schema::RESTART),
        ("history.", schema::HISTORY),
        ("allow.", schema::ALLOW),
        ("limits.", schema::LIMITS),
    ];
    for (table, keys) in tables {
        for key in keys {
            let name = format!("{table}{key}");
            let is_there = shown.lines().any(|line| line == name);
            let is_a_table = ["restart", "history", "allow", "limits", "config"].contains(key);
            assert!(is_there || is_a_table, "`{name}` is not among the values");
        }
    }
}

/// A key that is added to `[host]` or `[store]` must be shown and compared too.
#[test]
fn every_key_of_host_and_store_is_among_the_host_values() {
    let on_etcd = super::reference::reference_with_examples();
    let embedded = super::reference::reference_without_etcd();
    let in_memory = "[store]\nembedded = true\nmemory = true\n[jobs.a]\nplugin = \"a.wasm\"\n";
    let shown: Vec<String> = [on_etcd.as_str(), embedded.as_str(), in_memory]
        .iter()
        .flat_map(|text| valid(text).host_values())
        .map(|(key, _)| key)
        .collect();
    for (table, keys) in [
        ("host", schema::HOST),
        ("store", schema::STORE),
        ("store.tls", schema::TLS),
    ] {
        for key in keys.iter().filter(|key| **key != "tls") {
            let name = format!("{table}.{key}");
            assert!(shown.contains(&name), "`{name}` is not among {shown:?}");
        }
    }
}

#[test]
fn values_that_sound_like_secrets_are_hidden() {
    let job = job(
        "env = { MODE = \"fast\", API_TOKEN = \"hunter2\" }\nargs = [\"--password=hunter2\"]\n\
         config = { url = \"http://me:hunter2@x/\", deep = { secret = \"hunter2\" } }",
        "",
        "",
    );
    let values = job.values();
    let shown: Vec<String> = values
        .iter()
        .map(|v| format!("{} = {}", v.key(), v.text()))
        .collect();
    assert!(!shown.join("\n").contains("hunter2"), "{shown:#?}");
    let hidden = values.iter().filter(|value| value.hidden().is_some());
    assert_eq!(hidden.count(), 4, "{values:#?}");
    assert_eq!(
        value_and_origin(&job, "env").0,
        "{ API_TOKEN = \"<hidden>\", MODE = \"fast\" }"
    );
}

/// One of each kind of request.
const EVERYTHING: &str = r#"
kv = ["{job}/"]
http = ["https://api.example.com", "http://10.0.0.5:80"]
http_networks = ["10.0.0.0/24"]
dirs = ["/in", { guest = "/out", write = true }]
"#;

#[test]
fn a_configured_job_that_lacks_everything_is_told_every_line() {
    let needs = format!("[needs]{EVERYTHING}secrets = [\"api_key\"]\n");
    assert_snapshot!(
        "needs_everything",
        refusal_of(
            "allow = { http = [\"https://x.example\"], dirs = [{ host = \"/srv/out\", guest = \"/out\" }] }",
            &needs
        )
    );
    let granted = job(
        "allow = { kv = [\"a/\"], http = [\"https://api.example.com\", \"http://10.0.0.5:80\"],\n\
         http_networks = [\"10.0.0.0/8\"], dirs = [{ host = \"/srv/in\", guest = \"/in\", write = true },\n\
         { host = \"/srv/out\", guest = \"/out\", write = true }] }\n\
         secrets = { api_key = { env = \"KEY\" } }",
        &needs,
        "",
    );
    // The configuration's value stays unchanged.
    assert!(granted.allow().dirs[0].write);
}

#[test]
fn dropped_plugin_gets_its_requests_with_the_hosts_paths() {
    let config = policy(
        "allow = { http = [\"https://api.example.com\", \"http://10.0.0.5:80\"],\n\
         http_networks = [\"10.0.0.0/8\"], http_token = \"X-Token\", dirs = [\n\
         { host = \"/srv/in\", guest = \"/in\", write = true },\n\
         { host = \"/srv/out\", guest = \"/out\", write = true }] }\n\
         secrets = { api_key = { env = \"KEY\" }, other = { env = \"OTHER\" } }",
    );
    let inside = format!("[needs]{EVERYTHING}secrets = [\"api_key\"]\n");
    let beside = format!(
        "secrets = [\"api_key\"]\nenv = {{ KEY = {{ secret = \"api_key\" }} }}\n[allow]{EVERYTHING}"
    );
    for (inner, sidecar) in [(inside.as_str(), ""), ("", beside.as_str())] {
        let job = joins(&config, inner, sidecar);
        let text = |key| value_and_origin(&job, key).0;
        assert_eq!(text("allow.kv"), "[\"dropped.book/\"]");
        assert_eq!(
            text("allow.http"),
            "[\"https://api.example.com\", \"http://10.0.0.5\"]"
        );
        assert_eq!(text("allow.http_networks"), "[\"10.0.0.0/24\"]");
        assert_eq!(text("allow.http_token"), "\"X-Token\"");
        assert_eq!(
            text("allow.dirs"),
            "[{ host = \"/srv/in\", guest = \"/in\", write = false }, \
             { host = \"/srv/out\", guest = \"/out\", write = true }]"
        );
        assert_eq!(text("secrets"), "{ api_key = { env = \"KEY\" } }");
    }
    // Nothing is granted without a request.
    let job = joins(&config, "", "");
    assert!(job.allow().http.is_empty() && job.allow().dirs.is_empty() && job.secrets().is_empty());
}

#[test]
fn everything_beyond_the_policy_is_refused_with_its_line() {
    let inside = format!("[needs]{EVERYTHING}secrets = [\"api_key\"]\n");
    let beside = format!("secrets = [\"api_key\"]\n[allow]{EVERYTHING}");
    let config = policy("allow.kv = []\nallow.dirs = [{ host = \"/srv/out\", guest = \"/out\" }]");
    assert_snapshot!("policy_everything", refused(&config, &inside, ""));
    assert_snapshot!("policy_everything_beside", refused(&config, "", &beside));
}

#[test]
fn a_file_beside_a_plugin_cannot_name_what_is_the_hosts() {
    assert_snapshot!(
        "sidecar_grants",
        refused(
            &policy(""),
            "[needs]\ndirs = [{ host = \"/etc\", guest = \"/etc\" }, \"in\"]\nsecrets = { a = { file = \"/etc/shadow\" } }",
            "secrets = { a = { file = \"/etc/shadow\" } }\nenv = { A = { secret = \"a\" } }\n[allow]\nhttp_ca = \"/etc/x\"\n\
             dirs = [{ host = \"/etc\", guest = \"/etc\" }]"
        )
    );
}

/// The keys that the reference for manifests explains are the ones that are read.
#[test]
fn every_key_of_a_manifest_is_explained() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../plugins/MANIFEST.md");
    let text = std::fs::read_to_string(path).expect("it can be read");
    let block = text
        .split("```toml\n")
        .nth(1)
        .and_then(|rest| rest.split("```").next());
    let example: toml::Table = block
        .expect("it has an example")
        .parse()
        .expect("the example is TOML");
    let explained = |table: &toml::Table, keys: &[&str]| {
        let mut raw: Vec<&str> = table.keys().map(String::as_str).collect();
        let mut keys = keys.to_vec();
        raw.sort_unstable();
        keys.sort_unstable();
        assert_eq!(raw, keys);
    };
    explained(&example, schema::MANIFEST);
    let needs = example.get("needs").and_then(toml::Value::as_table);
    explained(needs.expect("it has needs"), schema::NEEDS);
}

#[test]
fn mutated_manifest_or_sidecar_never_panics() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../plugins/MANIFEST.md");
    let text = std::fs::read_to_string(path).expect("it can be read");
    let block = text
        .split("```toml\n")
        .nth(1)
        .and_then(|rest| rest.split("```").next());
    let text: Vec<char> = block.expect("it has an example").chars().collect();
    let config = policy("");
    let mut random = fastrand::Rng::with_seed(0x1ea5_e402);
    let pieces = [
        '"', '[', ']', '{', '}', '=', '.', '\n', '#', '\\', '\u{202e}',
    ];
    for _ in 0..500 {
        let mut mutant = text.clone();
        for _ in 0..random.usize(1..4) {
            let at = random.usize(..mutant.len());
            let end = (at + random.usize(..40)).min(mutant.len());
            if random.bool() {
                mutant.drain(at..end);
            } else {
                mutant.insert(at, pieces[random.usize(..pieces.len())]);
            }
        }
        let mutant: String = mutant.into_iter().collect();
        let report = dropped(&config, &mutant, &mutant).expect_err("it has two schedules at least");
        assert!(!report.to_string().contains('\u{202e}'), "{report}");
    }
}
