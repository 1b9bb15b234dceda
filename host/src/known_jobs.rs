//! Error for an unknown job's name: neither the configuration nor any record has it.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use leasehold_lock::{Kv, StoreError};
use leasehold_records::Root;
use leasehold_records::printable::line as printable;

use crate::exit::Exit;
use crate::failure::Failure;
use leasehold_config::suggest;

/// Names that a message lists.
const MOST_LISTED: usize = 20;

/// Returns the failure to report if no configuration and no record has a job of this name.
///
/// # Errors
///
/// The store cannot be read.
pub(crate) async fn unknown_job(
    kv: &Kv,
    root: &Root,
    configured: &[String],
    job: &str,
) -> Result<Option<Failure>, StoreError> {
    let mut known: BTreeSet<String> = configured.iter().cloned().collect();
    for prefix in [root.jobs(), root.ticks(), root.runs()] {
        let keys = kv.keys(&prefix).await?;
        let names = keys.iter().filter_map(|key| {
            let name = key.strip_prefix(&prefix)?;
            Some(name.split('/').next().unwrap_or(name).to_owned())
        });
        known.extend(names);
    }
    Ok((!known.contains(job)).then(|| Failure::new(Exit::Usage, message(job, &known))))
}

fn message(job: &str, known: &BTreeSet<String>) -> String {
    let mut text = format!("there is no job `{}`", printable(job));
    let names: Vec<&str> = known.iter().map(String::as_str).collect();
    if let Some(near) = suggest(job, names.iter().copied()) {
        let _ = write!(text, "\n  = help: did you mean `{}`?", printable(near));
    }
    let listed: Vec<String> = names
        .iter()
        .take(MOST_LISTED)
        .map(|name| printable(name))
        .collect();
    let listed = listed.join(", ");
    // Writing to a string cannot fail.
    let _ = match names.len() {
        0 => write!(
            text,
            "\n  = help: neither the configuration nor the store has any job"
        ),
        count if count > MOST_LISTED => {
            write!(
                text,
                "\n  = help: {count} jobs are known, the first of them: {listed}"
            )
        }
        _ => write!(text, "\n  = help: the jobs are: {listed}"),
    };
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_job_is_refused_with_near_names_and_all_there_are() {
        let known: BTreeSet<String> = ["ledger", "nightly"].map(Into::into).into();
        insta::assert_snapshot!(message("ledgr", &known), @r"
        there is no job `ledgr`
          = help: did you mean `ledger`?
          = help: the jobs are: ledger, nightly
        ");
        insta::assert_snapshot!(message("x\u{1b}[31m", &BTreeSet::new()), @r"
        there is no job `x�[31m`
          = help: neither the configuration nor the store has any job
        ");
        let many: BTreeSet<String> = (0..30).map(|n| format!("job-{n:02}")).collect();
        let text = message("zzz", &many);
        assert!(
            text.contains("30 jobs are known, the first of them: job-00, "),
            "{text}"
        );
    }
}
