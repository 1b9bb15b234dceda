//! `leasehold explain`: the reasons for which a job runs or does not, as sentences.

use std::time::SystemTime;

use clap::Args;
use leasehold_config::wall::UnixMs;
use leasehold_records::explain::{Explanation, ReasonKind, explain};
use leasehold_records::printable;

use crate::config_place::ConfigArg;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::look::Look;
use crate::record_reader::{RecordReader, unread};
use crate::show_format::{ShowFormat, print, print_json};
use crate::store_reading::StoreReading;
use crate::wrap::wrap;

/// Arguments of `leasehold explain`.
#[derive(Args)]
pub(crate) struct ExplainArgs {
    /// The job.
    job: String,
    #[command(flatten)]
    config: ConfigArg,
    /// Only the reasons on this host.
    #[arg(long, value_name = "HOST")]
    host: Option<String>,
    /// Output format.
    #[arg(long, value_enum, default_value = "table")]
    format: ShowFormat,
}

/// Prints the reasons for which a job runs or does not.
pub(crate) async fn run(args: ExplainArgs) -> Result<Exit, Failure> {
    let reader = RecordReader::open(&args.config.find()?).await?;
    let reading = read(&reader, &args).await;
    reader.locks.close().await;
    let reading = reading?;
    reading.warn_not_permitted();
    let now = UnixMs::from_system(SystemTime::now());
    let mut explanation = explain(&reading.facts(), &args.job, now);
    if let Some(host) = &args.host {
        explanation.keep_only(host);
    }
    match args.format {
        ShowFormat::Json => print_json(&explanation),
        ShowFormat::Table => {
            let mut absent = reading.absent_hosts().into_iter();
            let absent = absent.find(|absent| args.host.as_ref() == Some(&absent.host));
            let absent = absent.map(|absent| absent.describe(now));
            let place = (args.host.as_deref(), absent.as_deref());
            print(&render(&explanation, place, Look::of_stdout()))
        }
    }
}

/// Reads the store, and returns an error for a job or a host that nothing knows.
async fn read(reader: &RecordReader, args: &ExplainArgs) -> Result<StoreReading, Failure> {
    let reading = StoreReading::read(reader)
        .await
        .map_err(|error| unread(&error))?;
    let host = args.host.as_deref();
    reading
        .refuse_unknown(reader, std::slice::from_ref(&args.job), host)
        .await?;
    Ok(reading)
}

/// Renders the explanation: a line about the job, and one for each reason. `absent` is the sentence about a host that does
/// not run.
fn render(
    explanation: &Explanation,
    (host, absent): (Option<&str>, Option<&str>),
    look: Look,
) -> String {
    let job = printable::line(&explanation.job);
    let place = host.map_or_else(String::new, |host| format!(" on {}", printable::line(host)));
    let mut lines = vec![if !explanation.running {
        format!("{job} does not run{place}.")
    } else if explanation.paused {
        format!("{job} runs{place}; no run starts after this one.")
    } else if runs_on_drained(explanation) {
        format!("{job} runs{place}.")
    } else {
        format!("{job} runs{place}; nothing hinders it.")
    }];
    for reason in &explanation.reasons {
        let hosts: Vec<String> = reason
            .hosts
            .iter()
            .map(|host| printable::line(host))
            .collect();
        let line = if hosts.is_empty() {
            format!("  {}", reason.text)
        } else {
            format!("  {}: {}", hosts.join(", "), reason.text)
        };
        lines.push(wrap(&line, look.width, 4));
    }
    if explanation.reasons.is_empty() {
        let line = format!("  {}", absent.unwrap_or("the host does not have it"));
        lines.push(wrap(&line, look.width, 4));
    }
    let mut text = lines.join("\n");
    text.push('\n');
    text
}

/// Returns true if the job runs on a host that is drained.
fn runs_on_drained(explanation: &Explanation) -> bool {
    let reasons = explanation.reasons.iter();
    let mut runs = reasons.filter(|reason| reason.kind.is_run());
    let is_drained = |host: &String| {
        let mut reasons = explanation.on(host);
        reasons.any(|reason| matches!(reason.kind, ReasonKind::Drained { .. }))
    };
    runs.any(|run| run.hosts.iter().any(is_drained))
}

#[cfg(test)]
mod tests {
    use super::*;
    use leasehold_lock::Token;
    use leasehold_records::explain::StoreFacts;
    use leasehold_records::fixtures::job_record;
    use leasehold_records::{HoldMark, JobPlan, JobRecord, JobState};

    fn record(host: &str, state: JobState) -> JobRecord {
        JobRecord {
            lock: "billing".into(),
            since_unix_ms: UnixMs::new(3_600_000),
            token: (state == JobState::Running).then_some(Token::new(7)),
            ..job_record("ledger", host, state)
        }
    }

    #[test]
    fn explanation_is_a_line_and_its_reasons() {
        let now = UnixMs::new(3_660_000);
        let records = vec![
            record("web1", JobState::Running),
            record("web2", JobState::Waiting),
        ];
        let facts = StoreFacts::new(vec![], records);
        let mut explanation = explain(&facts, "ledger", now);
        insta::assert_snapshot!(render(&explanation, (None, None), Look::plain()), @r"
        ledger runs; nothing hinders it.
          web1: runs since 01:00 UTC (1m00s), lock `billing`, token 7
          web2: is joining the queue of lock `billing` since 01:00 UTC (1m00s)
        ");
        explanation.keep_only("web2");
        insta::assert_snapshot!(render(&explanation, (Some("web2"), None), Look::wide(40)), @r"
        ledger does not run on web2.
          web2: is joining the queue of lock
            `billing` since 01:00 UTC (1m00s)
        ");
        explanation.keep_only("web3");
        let absent = (Some("web3"), Some("web3 does not run: drained by ada@desk"));
        insta::assert_snapshot!(render(&explanation, absent, Look::plain()), @r"
        ledger does not run on web3.
          web3 does not run: drained by ada@desk
        ");
        insta::assert_snapshot!(render(&explanation, (Some("web3"), None), Look::plain()), @r"
        ledger does not run on web3.
          the host does not have it
        ");
    }

    #[test]
    fn run_of_a_paused_job_is_explained_as_its_last() {
        let facts = StoreFacts::new(vec![], vec![record("web1", JobState::Running)]);
        let mut explanation = explain(&facts, "ledger", UnixMs::new(3_660_000));
        explanation.paused = true;
        let text = render(&explanation, (None, None), Look::plain());
        assert!(
            text.starts_with("ledger runs; no run starts after this one.\n"),
            "{text}"
        );
    }

    #[test]
    fn run_on_a_drained_host_is_not_free_of_hindrances() {
        let mut facts = StoreFacts::new(vec![], vec![record("web1", JobState::Running)]);
        let mark = HoldMark {
            by: "ada@desk".into(),
            why: "kernel".into(),
            at_unix_ms: UnixMs::new(3_600_000),
            until_unix_ms: None,
        };
        facts.drains.insert("web1".into(), mark);
        let explanation = explain(&facts, "ledger", UnixMs::new(3_660_000));
        insta::assert_snapshot!(render(&explanation, (Some("web1"), None), Look::plain()), @r#"
        ledger runs on web1.
          web1: runs since 01:00 UTC (1m00s), lock `billing`, token 7
          web1: the host is drained by ada@desk: "kernel", since 01:00 UTC (1m00s); it lasts until `leasehold undrain web1`
        "#);
    }

    #[test]
    fn job_that_waits_for_a_tick_is_explained_once_for_all_hosts() {
        let sleeping = |host| JobRecord {
            next_unix_ms: Some(UnixMs::new(7_200_000)),
            plan: Some(JobPlan {
                schedule: "every = \"1h\"".into(),
                tick_unix_ms: Some(UnixMs::new(7_200_000)),
                ..JobPlan::default()
            }),
            ..record(host, JobState::Sleeping)
        };
        let facts = StoreFacts::new(vec![], vec![sleeping("web1"), sleeping("web2")]);
        let explanation = explain(&facts, "ledger", UnixMs::new(3_660_000));
        insta::assert_snapshot!(render(&explanation, (None, None), Look::plain()), @r#"
        ledger does not run.
          web1, web2: next tick at 02:00 UTC (in 59m00s), by every = "1h"
        "#);
    }
}
