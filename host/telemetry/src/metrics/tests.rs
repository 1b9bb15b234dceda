//! The table of metrics against its documentation, and against what a scrape shows.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use leasehold_lock::{BootTime, ManualClock};
use leasehold_records::JobState;

use super::*;
use crate::sample;
use crate::telemetry::Telemetry;

const DOCUMENT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/METRICS.md");

fn scrape(telemetry: &Telemetry, format: TextFormat) -> String {
    let body = render(telemetry, format).expect("every value can be formatted");
    String::from_utf8(body.to_vec()).expect("UTF-8")
}

/// Set `UPDATE_METRICS` to write the table anew.
#[test]
fn document_has_the_table_of_the_code() {
    let text = std::fs::read_to_string(DOCUMENT).expect("METRICS.md");
    let (head, _) = text.split_once("| name |").expect("the table");
    let wanted = format!("{head}{}", describe_metrics());
    if std::env::var_os("UPDATE_METRICS").is_some() {
        std::fs::write(DOCUMENT, &wanted).expect("METRICS.md");
        return;
    }
    assert_eq!(
        text, wanted,
        "run this test again with UPDATE_METRICS=1, and look at the difference"
    );
}

/// Name and labels of a line, without `le`.
fn series(line: &str) -> (String, BTreeSet<String>) {
    let (name, rest) = line.split_once(['{', ' ']).expect("a series");
    let labels = rest.split_once('}').map_or("", |(labels, _)| labels);
    let labels = labels.split(',').filter_map(|label| {
        let (key, _) = label.split_once('=')?;
        (key != "le").then(|| key.to_owned())
    });
    (name.to_owned(), labels.collect())
}

#[test]
fn scrape_shows_each_metric_with_its_labels() {
    let telemetry = sample::telemetry(2);
    let text = scrape(&telemetry, TextFormat::OpenMetrics);
    let mut found: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let (name, labels) = series(line);
        let known = found.entry(name).or_insert_with(|| labels.clone());
        assert_eq!(*known, labels, "{line}");
    }
    for info in metric_infos() {
        let name = match info.kind {
            "histogram" => format!("{}_bucket", info.name),
            _ => info.name.clone(),
        };
        let labels = found.get(&name).unwrap_or_else(|| panic!("no {name}"));
        let wanted: BTreeSet<String> = info.labels.iter().map(ToString::to_string).collect();
        assert_eq!(*labels, wanted, "{name}");
    }
    assert!(text.ends_with("# EOF\n"));
}

#[test]
fn names_follow_the_conventions_and_are_unique() {
    let infos = metric_infos();
    let names: BTreeSet<&String> = infos.iter().map(|info| &info.name).collect();
    assert_eq!(names.len(), infos.len());
    for info in &infos {
        let name = &info.name;
        assert!(
            name.starts_with("leasehold_") || name.starts_with("process_"),
            "{name}"
        );
        assert_eq!(name.ends_with("_total"), info.kind == "counter", "{name}");
        assert_eq!(name.ends_with("_info"), info.kind == "info", "{name}");
        assert!(info.help.ends_with('.'), "{name}");
    }
}

/// The cost of a scrape is the number of its lines. A thousand jobs cost a thousand times one, and no more.
#[test]
fn scrape_grows_with_the_jobs_alone() {
    let lines = |jobs| {
        let text = scrape(&sample::telemetry(jobs), TextFormat::OpenMetrics);
        (text.lines().count(), text.len())
    };
    let (one, ten, thousand) = (lines(1), lines(10), lines(1000));
    let per_job = (ten.0 - one.0) / 9;
    assert!(per_job <= 90, "{per_job} lines a job");
    assert_eq!(thousand.0 - one.0, 999 * per_job);
    assert!(
        thousand.1 / 1000 <= 10_000,
        "{} bytes a job",
        thousand.1 / 1000
    );
}

#[test]
fn counted_events_are_shown_for_their_job() {
    let telemetry = sample::telemetry(1);
    let text = scrape(&telemetry, TextFormat::Prometheus);
    for line in [
        r#"leasehold_runs_total{host="web1",job_name="job-0",outcome="done"} 1"#,
        r#"leasehold_runs_total{host="web1",job_name="job-0",outcome="trap"} 1"#,
        r#"leasehold_lock_losses_total{host="web1",job_name="job-0",reason="deadline-passed"} 1"#,
        r#"leasehold_ticks_total{host="web1",job_name="job-0",result="run"} 1"#,
        r#"leasehold_ticks_total{host="web1",job_name="job-0",result="missed"} 1"#,
        r#"leasehold_lock_wait_duration_seconds_count{host="web1",job_name="job-0"} 1"#,
        r#"leasehold_lock_hold_duration_seconds_sum{host="web1",job_name="job-0"} 4.0"#,
        r#"leasehold_lock_hold_duration_seconds_count{host="web1",job_name="job-0"} 1"#,
        r#"leasehold_guest_calls_total{host="web1",job_name="job-0"} 14"#,
        r#"leasehold_guest_calls_refused_total{host="web1",job_name="job-0"} 1"#,
        r#"leasehold_guest_writes_refused_total{host="web1",job_name="job-0"} 2"#,
        r#"leasehold_guest_memory_peak_bytes{host="web1",job_name="job-0"} 65536.0"#,
        r#"leasehold_lock_awaited{host="web1",job_name="job-0",lock="lock-0"} 1.0"#,
        r#"leasehold_lock_held{host="web1",job_name="job-0",lock="lock-0"} 0.0"#,
        r#"leasehold_lock_awaited_since_timestamp_seconds{host="web1",job_name="job-0",lock="lock-0"} 1700000000.0"#,
        r#"leasehold_renewal_margin_seconds_bucket{host="web1",le="8"} 1"#,
        r#"leasehold_store_requests_total{host="web1",result="unanswered"} 1"#,
        r#"leasehold_check_ok{host="web1",check="store"} 1.0"#,
        r#"leasehold_records_dropped_total{host="web1"} 3"#,
        r#"leasehold_job_quarantined{host="web1",job_name="job-0"} 0.0"#,
    ] {
        assert!(text.lines().any(|found| found == line), "{line}\n{text}");
    }
}

#[test]
fn late_events_of_a_removed_job_make_no_series() {
    let telemetry = sample::telemetry(2);
    let sink = telemetry.sink();
    sink.job_gone(&"web1".into(), "job-0");
    for event in sample::late_events("job-0") {
        sink.receive(&event);
    }
    let text = scrape(&telemetry, TextFormat::Prometheus);
    assert!(!text.contains(r#"job_name="job-0""#), "{text}");
    assert!(text.contains(r#"job_name="job-1""#), "{text}");
}

/// Fails when a host that was killed, and finds its own cut-off run at its start, counts nothing.
#[test]
fn abandoned_run_counts_once_its_job_is_known() {
    let telemetry = sample::telemetry(0);
    let sink = telemetry.sink();
    for event in sample::late_events("job-0") {
        sink.receive(&event);
    }
    let before = scrape(&telemetry, TextFormat::Prometheus);
    assert!(!before.contains("job-0"), "{before}");
    for state in [JobState::Waiting, JobState::Sleeping] {
        sample::report_state(&*sink, "job-0", "lock-0", state);
    }
    let text = scrape(&telemetry, TextFormat::Prometheus);
    for (outcome, runs) in [("abandoned", 1), ("done", 0)] {
        let line = format!(
            r#"leasehold_runs_total{{host="web1",job_name="job-0",outcome="{outcome}"}} {runs}"#
        );
        assert!(text.lines().any(|found| found == line), "{line}\n{text}");
    }
}

#[test]
fn host_under_another_name_keeps_its_counters() {
    let telemetry = sample::telemetry(1);
    let sink = telemetry.sink();
    sink.receive(&sample::id_taken("web1", "web1-2"));
    let text = scrape(&telemetry, TextFormat::Prometheus);
    assert!(text.contains(r#"leasehold_records_dropped_total{host="web1-2"} 3"#));
    assert!(!text.contains(r#"host="web1""#));
}

/// Names in the files of `configs/monitoring` that no scrape shows would make alerts that never fire.
#[test]
fn monitoring_files_use_metrics_that_exist() {
    let mut known: BTreeSet<String> = BTreeSet::new();
    for info in metric_infos() {
        if info.kind == "histogram" {
            known.extend(["_bucket", "_sum", "_count"].map(|end| format!("{}{end}", info.name)));
        }
        known.insert(info.name);
    }
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../configs/monitoring");
    let mut used = BTreeSet::new();
    for file in [
        "leasehold.rules.yml",
        "leasehold.rules.test.yml",
        "grafana.json",
    ] {
        let text = std::fs::read_to_string(dir.join(file)).expect(file);
        let names = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        for name in names.filter(|name| name.starts_with("leasehold_")) {
            assert!(known.contains(name), "{file}: no metric is named {name}");
            used.insert(name.to_owned());
        }
    }
    assert!(used.len() >= 20, "{used:?}");
}

#[test]
fn stuck_runtime_is_noticed_by_the_heartbeat() {
    let clock = Arc::new(ManualClock::at(BootTime::from_nanos(1)));
    let telemetry = Telemetry::new(sample::BUILD, clock.clone());
    clock.advance(std::time::Duration::from_secs(29));
    assert_eq!(telemetry.0.stuck_for(), None);
    clock.advance(std::time::Duration::from_secs(1));
    assert!(telemetry.0.stuck_for().is_some());
    telemetry.0.beat();
    assert_eq!(telemetry.0.stuck_for(), None);
}
