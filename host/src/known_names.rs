//! Message about a name that nothing has: the nearest name, and those that exist.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use leasehold_config::suggest;
use leasehold_records::printable::line as printable;

/// Names that a message lists.
const MOST_LISTED: usize = 20;

/// Names of one kind.
pub(crate) struct KnownNames<'a> {
    /// The kind, as in `job`.
    pub(crate) noun: &'static str,
    /// The sentence for no name at all.
    pub(crate) none: &'static str,
    pub(crate) known: &'a BTreeSet<String>,
}

/// Returns the message for a name that is not among the known ones.
pub(crate) fn describe(name: &str, names: &KnownNames<'_>) -> String {
    let noun = names.noun;
    let mut text = format!("there is no {noun} `{}`", printable(name));
    let known: Vec<&str> = names.known.iter().map(String::as_str).collect();
    if let Some(near) = suggest(name, known.iter().copied()) {
        let _ = write!(text, "\n  = help: did you mean `{}`?", printable(near));
    }
    let listed: Vec<String> = known
        .iter()
        .take(MOST_LISTED)
        .map(|name| printable(name))
        .collect();
    let listed = listed.join(", ");
    // Writing to a string cannot fail.
    let _ = match known.len() {
        0 => write!(text, "\n  = help: {}", names.none),
        count if count > MOST_LISTED => {
            write!(
                text,
                "\n  = help: {count} {noun}s are known, the first of them: {listed}"
            )
        }
        _ => write!(text, "\n  = help: the {noun}s are: {listed}"),
    };
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_name_is_refused_with_near_names_and_all_there_are() {
        let describe = |name, known: &[&str]| {
            let known: BTreeSet<String> = known.iter().map(|name| (*name).to_owned()).collect();
            let names = KnownNames {
                noun: "job",
                none: "neither the configuration nor the store has any job",
                known: &known,
            };
            describe(name, &names)
        };
        insta::assert_snapshot!(describe("ledgr", &["ledger", "nightly"]), @r"
        there is no job `ledgr`
          = help: did you mean `ledger`?
          = help: the jobs are: ledger, nightly
        ");
        insta::assert_snapshot!(describe("x\u{1b}[31m", &[]), @r"
        there is no job `x�[31m`
          = help: neither the configuration nor the store has any job
        ");
        let many: Vec<String> = (0..30).map(|n| format!("job-{n:02}")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        let text = describe("zzz", &many);
        assert!(
            text.contains("30 jobs are known, the first of them: job-00, "),
            "{text}"
        );
    }
}
