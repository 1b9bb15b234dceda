//! The alert rules of `configs/monitoring`, with Prometheus' own tool.

use std::process::Command;

use anyhow::{Result, ensure};
use leasehold_tests::binaries;

fn promtool(args: &[&str]) -> Result<()> {
    let mut command = Command::new(binaries::prometheus("promtool")?);
    let command = command
        .args(args)
        .current_dir(binaries::workspace().join("configs/monitoring"));
    let output = command.output()?;
    let (out, error) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    ensure!(output.status.success(), "promtool {args:?}:\n{out}{error}");
    Ok(())
}

#[test]
fn rules_and_the_example_are_valid() -> Result<()> {
    promtool(&["check", "rules", "leasehold.rules.yml"])?;
    promtool(&["check", "config", "prometheus.yml"])
}

#[test]
fn each_alert_fires_for_its_fault_alone() -> Result<()> {
    promtool(&["test", "rules", "leasehold.rules.test.yml"])
}

/// Fails for an alert without a test, or without the texts for the person on call.
#[test]
fn each_alert_has_a_test_a_sentence_and_a_command() -> Result<()> {
    let dir = binaries::workspace().join("configs/monitoring");
    let rules = std::fs::read_to_string(dir.join("leasehold.rules.yml"))?;
    let tests = std::fs::read_to_string(dir.join("leasehold.rules.test.yml"))?;
    let alerts: Vec<&str> = rules.split("- alert: ").skip(1).collect();
    ensure!(alerts.len() >= 10, "{} alerts", alerts.len());
    for alert in alerts {
        let name = alert.lines().next().unwrap_or_default();
        for wanted in ["summary: ", "run: ", "severity: "] {
            ensure!(alert.contains(wanted), "{name} has no {wanted}");
        }
        let tested = format!("alertname: {name}\n        exp_alerts:\n");
        ensure!(
            tests.contains(&tested),
            "{name} has no test in which it fires"
        );
    }
    Ok(())
}
