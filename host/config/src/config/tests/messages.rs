//! Every error message of a configuration, as it is printed.

use std::path::Path;

use insta::assert_snapshot;

use super::parse;
use crate::config::Config;
use crate::config::environment::Environment;

fn refusal(text: &str) -> String {
    match parse(text) {
        Ok(_) => panic!("it must be refused"),
        Err(report) => report.to_string(),
    }
}

/// Renders the report about a file that is valid except for these lines.
fn refusal_of_job(lines: &str) -> String {
    refusal(&format!(
        "[store]\nendpoints = [\"localhost:2379\"]\n[jobs.a]\nplugin = \"a.wasm\"\n{lines}\n"
    ))
}

/// Renders the report about jobs that are valid except for these lines.
fn refusal_of_jobs(jobs: &[&str]) -> String {
    let tables = jobs
        .iter()
        .enumerate()
        .map(|(at, lines)| format!("[jobs.j{}]\nplugin = \"a.wasm\"\n{lines}\n", at + 1));
    let tables: String = tables.collect();
    refusal(&format!(
        "[store]\nendpoints = [\"localhost:2379\"]\n{tables}"
    ))
}

#[test]
fn one_error_is_said_in_full() {
    assert_snapshot!("one_error", refusal_of_job("tmeout = \"5m\""));
}

#[test]
fn an_empty_file_says_what_is_needed() {
    assert_snapshot!("empty", refusal(""));
}

#[test]
fn unknown_keys_and_tables_name_what_is_near() {
    assert_snapshot!(
        "unknown",
        refusal(
            r#"
ttl = "5s"
hots = 1
[plugins]
dir = "x"
[host]
gracee = "1s"
request_timeout = "1s"
[store]
endpoints = ["localhost:2379"]
password = "hunter2"
embeded = true
[store.tls]
ca = "ca.pem"
certt = "c.pem"
[defaults]
memory = "1MiB"
plugin = "x.wasm"
[jobs.a]
plugin = "a.wasm"
Timeout = "5m"
crom = "0 3 * * *"
secrets = { a = "b" }
kv = ["a/"]
"odd \u001b[31m key" = 1
[jobs.a.allow]
http = ["https://example.com"]
dirs = []
[jobs.a.limits]
mem = "1MiB"
memroy = "1MiB"
[jobs.a.restart]
mni = "1s"
"#
        )
    );
}

#[test]
fn wrong_kinds_show_the_right_form() {
    assert_snapshot!(
        "wrong_kinds",
        refusal(
            r#"
host = 5
[store]
endpoints = "localhost:2379"
root = 1
user = true
tls = "ca.pem"
allow_plaintext = "yes"
connect_timeout = 3
[defaults]
restart = "1s"
[jobs.a]
plugin = ["a.wasm"]
sha256 = 12
lock = 3.5
wait = 5
every = 30
once = 1
timeout = false
ttl = -1
retries = "3"
args = "one"
env = ["A=1"]
config = "x"
allow = ["kv"]
limits = []
[jobs.b]
plugin = "b.wasm"
args = ["ok", 5, true]
env = { A = 1, B = 1.5, C = 2024-01-01 }
[jobs.b.allow]
kv = "x/"
[jobs.b.limits]
memory = 1.5
handles = "many"
compile_time = 30
"#
        )
    );
}

#[test]
fn tables_of_the_wrong_shape_show_the_right_one() {
    assert_snapshot!(
        "wrong_shapes",
        [
            refusal("jobs = 5\n[[store]]\nendpoints = []\n[defaults]\nrestart = 5\n"),
            refusal("[store]\nendpoints = [\"localhost:1\"]\n[[jobs]]\nname = \"x\"\n"),
            refusal("[store]\nendpoints = [\"localhost:1\"]\n[jobs]\nplugin = \"x\"\n"),
            refusal("[store]\nendpoints = [\"localhost:1\"]\n[jobs]\n"),
            refusal("[store]\n[jobs.a]\n"),
        ]
        .join("\n\n")
    );
}

#[test]
fn values_of_the_host_and_store_are_bounded() {
    assert_snapshot!(
        "host_and_store_values",
        refusal(
            r#"
[host]
id = "-bad name"
data_dir = "~/leasehold"
grace = "2h"
drift = "30%"
max_runs = 0
[store]
endpoints = []
root = "leasehold"
user = ""
password_file = "pw"
connect_timeout = "1ms"
request_timeout = "2m"
[store.tls]
cert = "c.pem"
[jobs.a]
plugin = "a.wasm"
"#
        )
    );
    let roots = ["/a//b/", "/a b/", "/a", &format!("/{}/", "x".repeat(300))];
    let root = |root| format!("endpoints = [\"localhost:1\"]\nroot = \"{root}\"\nuser = \"u\"");
    let report = |root: String| refusal(&format!("[store]\n{root}\n[jobs.a]\nplugin = \"p\"\n"));
    assert_snapshot!("store_roots", roots.map(root).map(report).join("\n\n"));
}

#[test]
fn addresses_are_judged_one_by_one_and_never_repeat_a_password() {
    let report = refusal(
        r#"
[store]
endpoints = [
    "http://localhost:2379",
    "http://10.0.0.1:2379",
    "etcd.example.com:2379",
    "https://etcd.example.com:2379",
]
[jobs.a]
plugin = "a.wasm"
"#,
    );
    assert_snapshot!("plaintext", report);
    let report = refusal(
        r#"
[store]
endpoints = [
    "localhost", "http://me:hunter2@10.0.0.1:2379", "ftp://x:1", "http://x:1/v3",
    "::1:2379", "http://127.1:2379", "http://[1]:1", "http://x:99999", "http://a b:1", 5,
]
[jobs.a]
plugin = "a.wasm"
"#,
    );
    assert!(!report.contains("hunter2"), "{report}");
    assert_snapshot!("addresses", report);
    assert_snapshot!(
        "http_with_tls",
        refusal(
            "[store]\nendpoints = [\"http://localhost:1\"]\ntls = { ca = \"ca.pem\" }\n\
             [jobs.a]\nplugin = \"a.wasm\"\n"
        )
    );
}

fn refusal_of_store(lines: &str) -> String {
    refusal(&format!(
        "[store]\n{lines}\n[jobs.a]\nplugin = \"a.wasm\"\n"
    ))
}

#[test]
fn an_embedded_store_and_one_elsewhere_exclude_each_other() {
    assert_snapshot!(
        "embedded_and_remote",
        refusal_of_store(
            r#"endpoints = ["http://localhost:2379"]
embedded = true
user = "runner"
password_file = "hunter2"
tls = { ca = "ca.pem" }
allow_plaintext = false"#
        )
    );
    assert_snapshot!(
        "embedded_keys_alone",
        [
            "endpoints = [\"localhost:1\"]\ndir = \"store\"\nmemory = false\nlisten = \"127.0.0.1:1\"",
            "embedded = false\nmemory = true\nhistory = 1000\nhistory_size = \"8MiB\"",
            "root = \"/r/\"",
            "embedded = \"yes\"\ndir = \"store\"",
        ]
        .map(refusal_of_store)
        .join("\n\n")
    );
}

#[test]
fn an_embedded_store_is_for_this_machine_only() {
    assert_snapshot!(
        "embedded_values",
        [
            "embedded = true\ndir = \"store\"\nmemory = true\nlisten = \"0.0.0.0:2379\"",
            "embedded = true\ndir = \"~/store\"\nlisten = \"2379\"",
            "embedded = true\ndir = 5\nmemory = \"yes\"\nlisten = [\"127.0.0.1:1\"]",
            "embedded = true\nhistory = 99\nhistory_size = \"1KiB\"",
            "embedded = true\nhistory = \"all\"\nhistory_size = \"much\"",
        ]
        .map(refusal_of_store)
        .join("\n\n")
    );
}

#[test]
fn a_socket_has_a_full_path_and_no_certificates() {
    assert_snapshot!(
        "sockets",
        [
            "endpoints = [\"unix://store.sock\", \"unix:///run/\", \"fd://3\"]",
            "endpoints = [\"unix:///run/store.sock\"]\ntls = { ca = \"ca.pem\" }",
            "endpoints = [\"http://localhost:1\", \"unix:///run/store.sock\"]",
        ]
        .map(refusal_of_store)
        .join("\n\n")
    );
}

#[test]
fn values_of_a_job_are_bounded() {
    assert_snapshot!(
        "job_values",
        refusal(
            r#"
[store]
endpoints = ["localhost:2379"]
[jobs.a]
plugin = ""
sha256 = "abc"
wait = "soon"
every = "50ms"
once = true
timeout = "1ms"
ttl = "1s"
stop_margin = "0s"
retries = -1
restart = { min = "5m" }
args = ["a\u0000b"]
[jobs.a.env]
"1A" = "x"
LEASEHOLD_JOB = "x"
ETCD_LOCK_KEY = "x"
FINE = "x"
[jobs.b]
plugin = "~/b.wasm"
every = "1s"
once = true
wait = "5 parsecs"
timeout = "400days"
ttl = "2h"
[jobs.c]
plugin = "c.wasm"
ttl = "2500ms"
every = "-1s"
[jobs.d]
plugin = "d.wasm"
ttl = "0s"
timeout = ""
[jobs."bad name"]
plugin = "e.wasm"
[jobs.once-and-every]
plugin = "e.wasm"
every = "1s"
once = true
"#
        )
    );
}

#[test]
fn schedules_say_which_field_is_wrong_and_what_it_wants() {
    let jobs = [
        "cron = 5",
        "cron = \"\"",
        "cron = \"* * * *\"",
        "cron = \"0 0 3 * * * 2030\"",
        "cron = \"61 * * * *\"",
        "cron = \"0 24 * * *\"",
        "cron = \"99 0 3 * * *\"",
        "cron = \"0 3 0 * *\"",
        "cron = \"0 3 * MON *\"",
        "cron = \"0 3 * 13 *\"",
        "cron = \"0 3 * * FRI-MON\"",
        "cron = \"0 3 * * NOON\"",
        "cron = \"1,,2 * * * *\"",
        "cron = \"5/15 * * * *\"",
        "cron = \"0 0 30 2 *\"",
        "cron = \"@reboot\"",
        "cron = \"@every 5m\"",
        "cron = \"@daily\"\ntz = \"Berlin\"",
        "cron = \"@daily\"\ntz = \"europe/berlin\"",
        "cron = \"@daily\"\ntz = \"Mars/Olympus\"",
        "cron = \"@daily\"\ntz = 2",
    ];
    assert_snapshot!("cron_values", refusal_of_jobs(&jobs));
}

#[test]
fn keys_of_a_schedule_fit_together() {
    let jobs = [
        "every = \"1s\"\ncron = \"0 3 * * *\"",
        "every = \"1s\"\ncron = \"0 3 * * *\"\nonce = true",
        "cron = \"0 3 * * *\"\nonce = true",
        "tz = \"UTC\"",
        "every = \"1s\"\ntz = \"UTC\"",
        "jitter = \"1s\"",
        "once = true\nmissed = \"skip\"",
        "every = \"30s\"\njitter = \"30s\"",
        "cron = \"0,59 * * * *\"\njitter = \"2m\"",
        "every = \"1s\"\njitter = \"soon\"",
        "every = \"1s\"\nmissed = \"later\"",
        "every = \"1s\"\nmissed = true",
        "every = \"150500us\"",
    ];
    assert_snapshot!("schedules", refusal_of_jobs(&jobs));
}

#[test]
fn update_is_one_of_two_words() {
    let jobs = ["update = \"later\"", "update = true"];
    assert_snapshot!("update", refusal_of_jobs(&jobs));
}

#[test]
fn limits_are_bounded() {
    assert_snapshot!(
        "limits",
        refusal_of_job(
            r#"[jobs.a.limits]
memory = "4GiB"
table_elements = 0
instances = 99999
stack = "16MiB"
output = "64MB"
log_rate = 0
host_call = 1
handles = 1
random = -1
kv_value = "2MiB"
kv_total = "1KiB"
disk = 0
disk_files = 0
open_files = 0
plugin_size = "99999999999999999999GiB"
compile_time = "1h"
compile_memory = "1MiB"
http_body = "1B"
http_requests = 0
http_fields = "2MiB"
http_timeout = "2h""#
        )
    );
}

#[test]
fn grants_are_judged_one_by_one_and_never_repeat_a_password() {
    assert_snapshot!(
        "grants",
        refusal_of_job(
            r#"[jobs.a.allow]
http = ["api.example.com", "https://me:hunter2@api.example.com", "https://*.example.com",
  "http://2130706433", "http://0x7f.1", "https://api.example.com/v1", "https://api.example.com.", 1]
http_networks = ["10.0.0.1/8", "everywhere", "::ffff:10.0.0.0/104"]
http_token = "Host"
http_ca = ""
dirs = [{ host = "/srv" }, { guest = "/in" }, { host = "/srv", guest = "../etc" }, "/srv",
  { host = "/srv", guest = "/a", wirte = true }, { host = "/srv", guest = "/b", write = "yes" },
  { host = "/srv", guest = "/b" }, { host = "/x", guest = "/b/" }]
[jobs.b]
plugin = "b.wasm"
allow = { http = "https://api.example.com", http_token = "X Token", dirs = {} }
"#
        )
    );
}

#[test]
fn secrets_are_references_and_no_line_of_theirs_is_ever_shown() {
    let refusal = refusal_of_job(
        r#"env = { A = { secret = "api_key" }, B = { secret = "unknown" }, C = { sceret = "x" } }
[jobs.a.secrets]
api_key = { file = "key.txt" }
plain = "hunter2"
both = { file = "hunter2", env = "X" }
none = {}
"bad name" = { env = "X" }
other = { value = "hunter2" }
odd = { env = "HUNTER2=x" }
[jobs.a.secrets.long]
value = "hunter2"
[jobs.b]
plugin = "b.wasm"
secrets = "hunter2"
"#,
    );
    assert!(!refusal.contains("hunter2"), "{refusal}");
    assert_snapshot!("secrets", refusal);
}

#[test]
fn names_of_locks_and_prefixes_are_plain_and_do_not_nest() {
    assert_snapshot!(
        "locks",
        refusal(
            r#"
[store]
endpoints = ["localhost:2379"]
[jobs.a]
plugin = "a.wasm"
lock = "/a"
allow = { kv = ["ledger", "/x/", "a//b/", "", "/", "ok/", "a b/"] }
[jobs.b]
plugin = "a.wasm"
lock = "a//b"
[jobs.c]
plugin = "a.wasm"
lock = "a b"
[jobs.d]
plugin = "a.wasm"
lock = ""
[jobs.e]
plugin = "a.wasm"
lock = "billing"
[jobs.f]
plugin = "a.wasm"
lock = "billing/ledger"
[jobs.g]
plugin = "a.wasm"
lock = "billing/ledger/eu"
[jobs.h]
plugin = "a.wasm"
[jobs.i]
plugin = "a.wasm"
lock = "h/x"
"#
        )
    );
}

#[test]
fn times_that_do_not_fit_name_numbers_that_would() {
    assert_snapshot!(
        "times",
        refusal(
            r#"
[host]
drift = "2%"
[store]
endpoints = ["localhost:2379"]
[jobs.margin-below-the-least]
plugin = "a.wasm"
stop_margin = "30ms"
[jobs.memory-above-the-margin]
plugin = "a.wasm"
stop_margin = "250ms"
limits = { memory = "1GiB" }
[jobs.margin-beyond-the-ttl]
plugin = "a.wasm"
stop_margin = "20s"
[jobs.ttl-too-short]
plugin = "a.wasm"
ttl = "2s"
stop_margin = "1500ms"
[jobs.nothing-fits]
plugin = "a.wasm"
ttl = "2s"
stop_margin = "1h"
limits = { memory = "4000MiB" }
[jobs.fine]
plugin = "a.wasm"
"#
        )
    );
}

#[test]
fn what_the_defaults_get_wrong_is_said_once_and_at_its_place() {
    assert_snapshot!(
        "defaults",
        refusal(
            r#"
[store]
endpoints = ["localhost:2379"]
[defaults]
stop_margin = "9s"
restart = { min = "2m" }
retries = "x"
[jobs.a]
plugin = "a.wasm"
[jobs.b]
plugin = "b.wasm"
[jobs.own]
plugin = "b.wasm"
ttl = "3s"
"#
        )
    );
}

#[test]
fn what_json_cannot_express_is_refused_in_its_place() {
    assert_snapshot!(
        "config_values",
        refusal_of_job(
            "[jobs.a.config]\na = nan\nb = [1, [inf]]\nc = { d = -inf }\n\
             e = 99999999999999999999\nf = 1e999\n"
        )
    );
}

#[test]
fn syntax_errors_are_all_reported_without_later_guesses() {
    assert_snapshot!(
        "syntax",
        refusal(
            r#"
[store]
endpoints = ["localhost:2379"]
root = /leasehold/
password = hunter2
[jobs.a]
plugin = "a.wasm"
every = 30s
timeout "5m"
tmeout = "not judged: a line of this section was not understood"
[jobs.b
plugin = "b.wasm"
[jobs.c]
plugin = "c.wasm"
[jobs.d]
plugin = "C:\xyz"
[jobs.e]
plugin = "e.wasm" ttl = "5s"
[jobs.f]
plugin = "f.wasm
[jobs.g]
plugin = "g.wasm"
job name = 1
[jobs.h]
plugin = "h.wasm"
tmeout = "judged"
[jobs.i]
config = { day = 2024-13-45 }
restart = { min = "1s"
"#
        )
    );
}

#[test]
fn an_unclosed_text_is_placed_where_it_ends() {
    assert_snapshot!(
        "unclosed",
        [
            "[store]\nendpoints = [\"localhost:1\"\n[jobs.a]\nplugin = \"a\"\n",
            "[store]\nendpoints = [\"localhost:1\"]\n[jobs.a]\nplugin = \"\"\"a\n",
            "[store]\nroot = \"\u{1b}[31m\"\n",
            "\u{0}\u{1}\u{2}",
            "job \"x\" {\n}\n",
        ]
        .map(refusal)
        .join("\n\n")
    );
}

#[test]
fn a_duplicate_shows_both_places() {
    assert_snapshot!(
        "duplicates",
        refusal(
            r#"
[store]
endpoints = ["localhost:2379"]
root = "/a/"
connect_timeout = "1s"
root = "/b/"
[jobs.a]
plugin = "a.wasm"
env = { A = "1", A = "2" }
limits.memory = "1MiB"
limits.memory = "2MiB"
tmeout = "5m"
[jobs.b]
plugin = "b.wasm"
[jobs.a]
plugin = "a2.wasm"
every = "5s"
[jobs.c]
plugin = "c.wasm"
plugin = "c2.wasm"
plugin.x = 1
"#
        )
    );
}

#[test]
fn a_machine_without_a_usable_name_is_told_to_choose_one() {
    let text = "[store]\nendpoints = [\"localhost:1\"]\n[jobs.a]\nplugin = \"a\"\n";
    let report = |hostname: Option<&str>, text: &str| {
        let surroundings = Environment {
            hostname: hostname.map(Into::into),
            ..Environment::default()
        };
        match Config::parse_in(text, Path::new("jobs.toml"), &surroundings) {
            Ok(_) => panic!("it must be refused"),
            Err(report) => report.to_string(),
        }
    };
    let reports = [
        report(None, text),
        report(Some("my host"), &format!("[host]\ngrace = \"1s\"\n{text}")),
    ];
    assert_snapshot!("no_host_name", reports.join("\n\n"));
}

#[test]
fn a_flood_of_errors_is_counted_and_cut() {
    let keys: Vec<String> = (0..5_000).map(|n| format!("k{n} = 1")).collect();
    let lines = format!("[host]\n{}", keys.join("\n"));
    let report = parse(&lines).expect_err("no key is known");
    assert_eq!(report.errors().len(), 1_000);
    let text = report.to_string();
    assert!(text.contains("… and 4902 more."), "{}", text.len());
    assert!(text.lines().count() < 1_000);
}

fn keys_on_one_line() -> String {
    let keys: Vec<String> = (0..10_000).map(|n| format!("k{n} = 1")).collect();
    keys.join(", ")
}

#[test]
fn text_that_is_no_toml_at_all_is_refused_without_end_or_panic() {
    for text in [
        "[".repeat(300_000),
        "a.".repeat(200_000),
        "a={".repeat(100_000),
        "x = 1\n".repeat(100_000),
        "[a]\n".repeat(100_000),
        "\"".repeat(500_000),
        "=\n".repeat(200_000),
        "x\n".repeat(200_000),
        format!("host = {{ {} }}", keys_on_one_line()),
    ] {
        let report = parse(&text).expect_err("it is no configuration");
        assert!(!report.errors().is_empty());
    }
}
