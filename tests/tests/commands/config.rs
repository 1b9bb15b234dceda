//! A file with every kind of mistake: all of them in one report on standard error, nothing on standard output,
//! and nothing started.

use anyhow::{Result, ensure};

use leasehold_tests::command::leasehold;

/// One mistake on each line marked as bad.
const BAD: &str = r#"[host]
id = "no spaces please"          # bad
grase = "3s"                     # bad
drift = "50%"                    # bad

[store]
endpoints = ["ftp://127.0.0.1:1", "http://etcd.example:2379"]
root = "leasehold"               # bad
user = "nobody"                  # bad

[defaults]
ttl = "0s"                       # bad
wait = "sometimes"               # bad

[jobs.a]
plugin = "missing.wasm"          # bad
lock = "billing"
every = "1ms"                    # bad

[jobs.b]
plugin = "missing.wasm"          # bad
lock = "billing/ledger"
ttl = "-1s"                      # bad
once = "yes"                     # bad

[jobs.c]
plugin = "missing.wasm"          # bad
ttl = "1s"                       # bad
stop_margin = "5 parsecs"        # bad
limits = { memory = "lots" }     # bad
retries = -1                     # bad

[jobz.d]
plugin = "missing.wasm"
"#;

#[test]
fn one_report_holds_every_mistake_and_nothing_is_started() -> Result<()> {
    let mut reports = Vec::new();
    for command in ["check", "run"] {
        let output = leasehold(&BAD, &[command])?;
        ensure!(output.code == Some(3), "{output:?}");
        ensure!(output.stdout.is_empty(), "{}", output.stdout);
        reports.push(output.stderr);
    }
    ensure!(reports[0] == reports[1], "check and run differ");
    let report = &reports[0];
    println!("{report}");
    for (number, line) in BAD.lines().enumerate() {
        let place = format!("--> leasehold.toml:{}:", number + 1);
        let is_bad = line.ends_with("# bad") || line.starts_with("[jobz");
        ensure!(
            !is_bad || report.contains(&place),
            "nothing about line {}: {line}",
            number + 1
        );
    }
    // Both bad endpoints, each at its own place.
    let endpoints = report.matches("--> leasehold.toml:7:").count();
    ensure!(endpoints == 2, "{endpoints} errors about the endpoints");
    let errors = report.lines().filter(|line| line.starts_with("error: "));
    let last = format!(
        "{} errors in leasehold.toml; nothing was started.",
        errors.clone().count()
    );
    ensure!(report.ends_with(&last), "the report does not end: {last}");
    // Each mistake has a remedy.
    let helps = report.lines().filter(|line| line.contains("= help: "));
    ensure!(helps.count() >= errors.count());
    Ok(())
}

#[test]
fn text_that_is_not_toml_is_refused_with_its_position() -> Result<()> {
    for (text, place) in [
        ("[store\n", "leasehold.toml:1:"),
        ("[host]\nid = \"a\"\nid = \"b\"\n", "leasehold.toml:3:"),
        ("\u{feff}[host]\nid = 3\n", "leasehold.toml:2:"),
    ] {
        let output = leasehold(&text, &["check"])?;
        ensure!(
            output.code == Some(3) && output.stdout.is_empty(),
            "{output:?}"
        );
        ensure!(output.stderr.contains(place), "{text:?}: {}", output.stderr);
    }
    Ok(())
}
