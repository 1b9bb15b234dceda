//! Changes: a secret, a plugin and the program, on one host after the other.

use std::fs;

use anyhow::{Result, ensure};
use leasehold_tests::wat_plugins::section;

use crate::Day;
use crate::operator::{answer, answer_at_last, answer_with_code, headline};

/// The next run on each host has the new secret, without a restart.
pub(crate) fn rotate_a_secret(day: &Day) -> Result<()> {
    headline("Rotate a secret");
    for machine in &day.machines {
        machine.write_secret("etc/leasehold/secrets/api_key", "the-second-key-3c\n")?;
        let args = ["trigger", "billing", "--wait", "--host", machine.name];
        answer_with_code(day.desk(), &args, 0, &["the key ends in 3c", machine.name])?;
    }
    Ok(())
}

/// Another version of a plugin: hosts that have it are marked until all have it, and the run under way takes it when an
/// operator restarts it.
pub(crate) fn roll_a_plugin(day: &Day) -> Result<()> {
    headline("Roll a new version of a plugin over the hosts");
    let path = "etc/leasehold/pulse.wasm";
    let mut version = fs::read(day.desk().path(path))?;
    section(&mut version, "version", b"2");
    let (_, before) = day.pulse()?;
    for (number, machine) in day.machines.iter().enumerate() {
        machine.write(path, &version, 0o644)?;
        if number == 0 {
            answer_at_last(day.desk(), &["status"], &["*"])?;
        }
    }
    answer_at_last(
        day.desk(),
        &["explain", "pulse"],
        &["a new version (plugin sha256 "],
    )?;
    answer(
        day.desk(),
        &["restart", "pulse", "--why", "version 2"],
        &["pulse"],
    )?;
    day.pulse_after(before)?;
    let shown = answer(day.desk(), &["status"], &["pulse"])?;
    ensure!(!shown.contains('*'), "a host differs:\n{shown}");
    answer(day.desk(), &["runs", "pulse", "-n", "2"], &["pulse"])?;
    Ok(())
}

/// An upgrade of the package: the program is replaced, and the service restarted, on one machine after the other.
pub(crate) fn roll_the_program(day: &mut Day) -> Result<()> {
    headline("Upgrade the program, host by host");
    for place in 0..day.machines.len() {
        let machine = &mut day.machines[place];
        machine.upgrade()?;
        machine.stop()?;
        machine.start()?;
        day.pulse()?;
    }
    day.wait_hosts()?;
    answer(day.desk(), &["status"], &["running"])?;
    Ok(())
}
