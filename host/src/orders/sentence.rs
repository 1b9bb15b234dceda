//! Lists of hosts and runs, for sentences.

use leasehold_records::JobRecord;

use super::is_running;

/// Joins names as in a sentence: `a`, `a and b`, `a, b and c`.
pub(crate) fn join(names: &[String]) -> String {
    match names {
        [] => String::new(),
        [one] => one.clone(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

/// Lists the runs under way, as in `ledger on web1 (token 42)`.
pub(crate) fn list_runs(jobs: &[JobRecord]) -> String {
    let running = jobs.iter().filter(|job| is_running(job));
    let runs: Vec<String> = running
        .map(|job| {
            let token = job
                .token
                .map_or_else(String::new, |token| format!(" (token {token})"));
            format!("{} on {}{token}", job.job, job.host)
        })
        .collect();
    join(&runs)
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
