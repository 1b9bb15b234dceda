//! The operator at the shell of a machine: commands, answers and their transcript.

use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, ensure};
use leasehold_tests::command::CommandOutput;
use leasehold_tests::process::Process;
use leasehold_tests::tail::Tail;
use leasehold_tests::wait::eventually;
use rustix::process::Signal;
use serde_json::Value;

use crate::machine::Machine;

/// For things that will happen.
pub(crate) const SLACK: Duration = Duration::from_secs(40);

/// Lines of an output from which on the transcript leaves out the middle.
const LONG: usize = 40;

/// Prints a headline of the transcript.
pub(crate) fn headline(text: &str) {
    println!("\n## {text}\n");
}

fn print(machine: &Machine, args: &[&str], output: &CommandOutput) {
    println!("{}$ leasehold {}", machine.name, shell_line(args));
    for text in [&output.stdout, &output.stderr] {
        let lines: Vec<&str> = text.lines().collect();
        if lines.len() > LONG {
            let (first, last) = (&lines[..2], &lines[lines.len() - 2..]);
            println!("{}\n[…]\n{}", first.join("\n"), last.join("\n"));
        } else if !text.is_empty() {
            println!("{text}");
        }
    }
    if let Some(code @ 1..) = output.code {
        println!("(exit code {code})");
    }
}

/// The words as they are typed.
fn shell_line(args: &[&str]) -> String {
    let words = args.iter().map(|word| {
        let is_plain = !word.contains(' ');
        if is_plain {
            (*word).to_owned()
        } else {
            format!("{word:?}")
        }
    });
    words.collect::<Vec<_>>().join(" ")
}

fn has_parts(output: &CommandOutput, code: i32, parts: &[&str]) -> Result<()> {
    ensure!(output.code == Some(code), "{output:?}");
    let text = format!("{}\n{}", output.stdout, output.stderr);
    for part in parts {
        ensure!(text.contains(part), "no {part:?} in:\n{text}");
    }
    Ok(())
}

/// Types a command once; it must succeed without a warning, with these parts in its output.
pub(crate) fn answer(machine: &Machine, args: &[&str], parts: &[&str]) -> Result<String> {
    let output = machine.leasehold(args)?;
    print(machine, args, &output);
    has_parts(&output, 0, parts).with_context(|| shell_line(args))?;
    ensure!(output.stderr.is_empty(), "{args:?}: {output:?}");
    Ok(output.stdout)
}

/// Types a command that ends with this code, with these parts in its output or its errors.
pub(crate) fn answer_with_code(
    machine: &Machine,
    args: &[&str],
    code: i32,
    parts: &[&str],
) -> Result<CommandOutput> {
    let output = machine.leasehold(args)?;
    print(machine, args, &output);
    has_parts(&output, code, parts).with_context(|| shell_line(args))?;
    Ok(output)
}

/// Types a command until its output has these parts.
pub(crate) fn answer_at_last(machine: &Machine, args: &[&str], parts: &[&str]) -> Result<String> {
    let output = eventually(SLACK, &shell_line(args), || {
        let output = machine.leasehold(args)?;
        has_parts(&output, 0, parts)?;
        Ok(output)
    })?;
    print(machine, args, &output);
    ensure!(output.stderr.is_empty(), "{args:?}: {output:?}");
    Ok(output.stdout)
}

/// Types a command that goes on, and Ctrl-C once a line with this part came.
pub(crate) fn answer_until(machine: &Machine, args: &[&str], part: &str) -> Result<()> {
    let mut command = machine.command(args);
    command.stdout(Stdio::piped());
    let mut process = Process::spawn(shell_line(args), &mut command)?;
    let stdout = process.take_stdout().context("no standard output")?;
    let lines = Tail::read(stdout, str::to_owned)?;
    let line = lines.wait_from(0, SLACK, |line| line.contains(part));
    let line = line.map_err(|_| anyhow!("no {part:?} in {:?}", lines.all()))?;
    println!(
        "{}$ leasehold {}\n[…]\n{line}\n^C",
        machine.name,
        shell_line(args)
    );
    process.signal(Signal::INT)?;
    process.wait_exit(SLACK)?;
    Ok(())
}

/// Reads a command's JSON, which is no part of the transcript.
pub(crate) fn json(machine: &Machine, args: &[&str]) -> Result<Value> {
    let output = machine.leasehold(&[args, &["--format", "json"]].concat())?;
    ensure!(output.code == Some(0), "{args:?}: {output:?}");
    serde_json::from_str(&output.stdout).with_context(|| format!("{args:?}: {output:?}"))
}

/// Reads a command's JSON until `find` returns something in it.
pub(crate) fn json_at_last<T>(
    machine: &Machine,
    args: &[&str],
    find: impl Fn(&Value) -> Option<T>,
) -> Result<T> {
    eventually(SLACK, &shell_line(args), || {
        let value = json(machine, args)?;
        find(&value).with_context(|| format!("not in {value}"))
    })
}
