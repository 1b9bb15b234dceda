//! Addresses, and reports of mistakes in `[notify]`.

use super::*;

#[test]
fn addresses_come_out_with_server_and_target() {
    for (text, server, target) in [
        ("https://a.example.com", "https://a.example.com:443", "/"),
        (
            "https://a.example.com/x/y?z=1",
            "https://a.example.com:443",
            "/x/y?z=1",
        ),
        (
            "https://a.example.com:8443?z",
            "https://a.example.com:8443",
            "/?z",
        ),
        ("http://127.0.0.1:9/x", "http://127.0.0.1:9", "/x"),
        ("http://localhost/x", "http://localhost:80", "/x"),
        ("https://[::1]/x", "https://[::1]:443", "/x"),
    ] {
        let url = parse_url(text).expect(text);
        assert_eq!((url.to_string().as_str(), url.target()), (server, target));
    }
}

#[test]
fn addresses_that_cannot_be_posted_to_are_refused() {
    for text in [
        "alerts.example.com",
        "ftp://a.example.com",
        "http://a.example.com/",
        "https://me:pw@a.example.com/",
        "https://a.example.com/#x",
        "https://a.example.com/ x",
        "https:///x",
        "https://a..b/",
        "https://a:0/",
    ] {
        assert!(parse_url(text).is_err(), "{text}");
    }
}

#[test]
fn an_address_shows_no_path() {
    let url = parse_url("https://a.example.com/services/hunter2");
    let url = url.expect("an address");
    assert!(!format!("{url} {url:?}").contains("hunter2"));
}

fn refusals(table: &str) -> String {
    let text = format!(
        "[host]\nid = \"a\"\n[store]\nendpoints = [\"http://127.0.0.1:1\"]\n[jobs.a]\nplugin = \"a.wasm\"\n{table}"
    );
    let report = crate::Config::parse(&text, Path::new("a.toml")).expect_err("a refusal");
    report.to_string()
}

#[test]
fn mistakes_are_reported_together_and_without_the_address() {
    let text = refusals(
        "[notify]\non = [\"failures\"]\ncommand = []\nhttp = \"http://x.example.com/hunter2\"\n\
         timeout = \"1h\"\nper_hour = 0\nurl = 1\n",
    );
    assert!(!text.contains("hunter2"), "{text}");
    insta::assert_snapshot!(text);
}

#[test]
fn program_of_a_relative_configuration_has_a_full_path() {
    let text = "[host]\nid = \"a\"\n[store]\nendpoints = [\"http://127.0.0.1:1\"]\n[jobs.a]\nplugin = \"a.wasm\"\n\
                [notify]\ncommand = [\"alert.sh\"]\n";
    let config = crate::Config::parse(text, Path::new("a.toml")).expect("a valid table");
    let command = config
        .notify()
        .and_then(Notify::command)
        .expect("it is there");
    assert!(command.program().is_absolute() && command.program().ends_with("alert.sh"));
}

#[test]
fn table_without_a_recipient_is_refused() {
    insta::assert_snapshot!(refusals("[notify]\n"));
    insta::assert_snapshot!(refusals("[notify]\nheaders_file = \"h\"\n"));
}
