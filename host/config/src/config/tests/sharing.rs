//! Exclusive resources of a dropped-in job, and those it shares by the operator's policy alone.

use insta::assert_snapshot;

use super::layers::{STORE, joins, refused};
use super::{parse, valid};
use crate::config::Job;

#[test]
fn a_drop_in_named_like_a_configured_job_has_nothing_of_it() {
    let config = valid(&format!(
        "{STORE}[jobs.book]\nplugin = \"a.wasm\"\nlock = \"x\"\nallow.kv = [\"book/\"]\n[plugins]\ndir = \"plugins\"\n"
    ));
    let (with, clashes) = config.with_dropped([joins(&config, "name = \"book\"", "")]);
    assert_eq!(clashes, []);
    let names: Vec<&str> = with.jobs().iter().map(Job::name).collect();
    assert_eq!(names, ["book", "dropped.book"]);
    // A request for the other's resources is refused with both remedies.
    assert_snapshot!(
        "namespace_refused",
        refused(
            &config,
            "lock = \"x\"\nttl = \"1h\"\n[needs]\nkv = [\"book/\"]",
            ""
        )
    );
    let raw = refused(&config, "", "lock = \"dropped.other\"");
    assert!(raw.contains("its own is `dropped.book`"), "{raw}");
    joins(&config, "", "lock = \"dropped.book/inner\"\nttl = \"1m\"");
}

#[test]
fn what_the_operator_shares_on_purpose_is_had() {
    let text = |lines: &str| {
        format!(
            "{STORE}[defaults]\nttl = \"3m\"\n[jobs.book]\nplugin = \"a.wasm\"\nlock = \"x\"\nallow.kv = [\"book/\"]\n\
             [plugins]\ndir = \"plugins\"\n{lines}\n"
        )
    };
    let config = valid(&text(
        "locks = [\"x\", \"team/*\"]\nallow.kv = [\"book/\", \"{job}/\"]",
    ));
    let inner = "lock = \"x\"\nttl = \"3m\"\n[needs]\nkv = [\"book/\"]";
    let (with, clashes) = config.with_dropped([joins(&config, inner, "")]);
    assert_eq!((with.jobs().len(), clashes), (2, Vec::new()));
    assert_eq!(with.jobs()[1].locks().label(), "x");
    // A name alone shares nothing: lock and keys that follow from it are still the other job's.
    let config = valid(&text("names = [\"x\", \"book\"]"));
    let job = |name: &str| joins(&config, &format!("name = {name:?}"), "");
    let clashes = |job| config.with_dropped([job]).1;
    let keys = joins(&config, "name = \"x\"\nlock = \"x/own\"", "");
    assert_eq!(clashes(keys).len(), 1);
    let raw: Vec<String> = [job("x"), job("book")]
        .into_iter()
        .flat_map(clashes)
        .map(|clash| clash.to_string())
        .collect();
    assert_snapshot!("shared_by_name", raw.join("\n"));
    let config = valid(&format!(
        "{STORE}[jobs.a]\nplugin = \"a.wasm\"\nallow.kv = [\"book/x/\"]\n[plugins]\ndir = \"plugins\"\nnames = [\"book\"]\n"
    ));
    let (_, clashes) = config.with_dropped([joins(&config, "", "")]);
    assert_snapshot!("shared_keys", clashes[0].to_string());
    // The operator names the namespace: a job that reports on the data of a dropped-in one.
    let config = valid(&format!(
        "{STORE}[jobs.a]\nplugin = \"a.wasm\"\nlock = \"dropped.book\"\nallow.kv = [\"dropped.book/\"]\n[plugins]\ndir = \"plugins\"\n"
    ));
    let (_, clashes) = config.with_dropped([joins(&config, "", "")]);
    assert_eq!(clashes, []);
}

#[test]
fn a_configured_job_cannot_have_a_name_of_the_namespace() {
    let raw = parse(&format!(
        "{STORE}[jobs.\"dropped.x\"]\nplugin = \"a.wasm\"\n"
    ));
    assert_snapshot!(
        "namespace_reserved",
        raw.expect_err("it is reserved").to_string()
    );
}

#[test]
fn operators_header_carries_the_token_beside_the_requested() {
    let config = valid(&format!(
        "{STORE}[defaults]\nallow.http_token = \"X-Default\"\n[jobs.a]\nplugin = \"a.wasm\"\nallow.http_token = \"X-Own\"\n\
         [plugins]\ndir = \"plugins\"\nallow.http_token = \"X-Fencing-Token\"\n"
    ));
    let headers = |job: &Job| job.allow().token_headers().collect::<Vec<_>>().join(" ");
    let asking = |header| joins(&config, "", &format!("allow.http_token = {header:?}"));
    assert_eq!(
        headers(&asking("X-Whatever")),
        "X-Whatever X-Fencing-Token X-Default"
    );
    assert_eq!(
        headers(&asking("x-fencing-token")),
        "x-fencing-token X-Default"
    );
    assert_eq!(
        headers(&joins(&config, "", "")),
        "X-Fencing-Token X-Default"
    );
    assert_eq!(headers(&config.jobs()[0]), "X-Own X-Default");
}
