//! A host that an operator drained and that does not run. It has no record; its drain alone is left of it.

use leasehold_records::wall_text::{ZoneOffset, age, clock};
use leasehold_records::{HoldMark, UnixMs, printable};
use serde::Serialize;

/// A drained host that does not run.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct AbsentHost {
    pub(crate) host: String,
    /// The operator, the time and the reason.
    pub(crate) drain: HoldMark,
}

impl AbsentHost {
    /// Returns the sentence about it, at this moment.
    pub(crate) fn describe(&self, now: UnixMs) -> String {
        let host = printable::line(&self.host);
        let at = self.drain.at_unix_ms;
        let why = if self.drain.why.is_empty() {
            String::new()
        } else {
            format!(": \"{}\"", printable::line(&self.drain.why))
        };
        format!(
            "{host} does not run: drained by {}{why}, since {} ({}); `leasehold undrain {host}` ends that",
            printable::line(&self.drain.by),
            clock(at, ZoneOffset::UTC, now),
            age(now.since(at)),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sentence_has_the_operator_the_time_and_the_way_back() {
        let mut absent = AbsentHost {
            host: "web3".into(),
            drain: HoldMark {
                by: "ada@desk".into(),
                why: "a new disk".into(),
                at_unix_ms: UnixMs::new(3_600_000),
                until_unix_ms: None,
            },
        };
        let now = UnixMs::new(3_660_000);
        insta::assert_snapshot!(
            absent.describe(now),
            @r#"web3 does not run: drained by ada@desk: "a new disk", since 01:00 UTC (1m00s); `leasehold undrain web3` ends that"#
        );
        absent.drain.why.clear();
        insta::assert_snapshot!(
            absent.describe(now),
            @"web3 does not run: drained by ada@desk, since 01:00 UTC (1m00s); `leasehold undrain web3` ends that"
        );
    }
}
