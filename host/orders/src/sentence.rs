//! Lists of hosts and runs, for sentences.

use leasehold_records::HoldMark;

use crate::held_run::HeldRun;

/// Joins names as in a sentence: `a`, `a and b`, `a, b and c`.
pub(crate) fn join(names: &[String]) -> String {
    match names {
        [] => String::new(),
        [one] => one.clone(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

/// Returns the form of a verb for so many runs.
pub(crate) const fn pick_verb<'a>(
    runs: &[HeldRun],
    of_one: &'a str,
    of_several: &'a str,
) -> &'a str {
    match runs {
        [_] => of_one,
        _ => of_several,
    }
}

/// Lists runs, as in `ledger on web1 (token 42)`.
pub(crate) fn list_runs(runs: &[HeldRun]) -> String {
    let runs: Vec<String> = runs
        .iter()
        .map(|run| {
            let HeldRun {
                job, host, token, ..
            } = run;
            format!("{job} on {host} (token {token})")
        })
        .collect();
    join(&runs)
}

/// States the pause of a job, and its remedy.
pub(crate) fn state_pause(job: &str, mark: &HoldMark) -> String {
    format!("{job} is paused {mark}: `leasehold resume {job}` ends that")
}

/// States the pause of all jobs, and its remedy.
pub(crate) fn state_pause_of_all(mark: &HoldMark) -> String {
    format!("all jobs are paused {mark}: `leasehold resume --all` ends that")
}

/// States the drain of a host, and its remedy.
pub(crate) fn state_drain(host: &str, mark: &HoldMark) -> String {
    format!("{host} is drained {mark}: `leasehold undrain {host}` ends that")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_joined_as_in_a_sentence() {
        let names = ["a", "b", "c"].map(String::from);
        assert_eq!(join(&names[..0]), "");
        assert_eq!(join(&names[..1]), "a");
        assert_eq!(join(&names[..2]), "a and b");
        assert_eq!(join(&names), "a, b and c");
    }
}
