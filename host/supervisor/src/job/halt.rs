//! Requests to end one run alone: by an operator, or for a new version of the job.

use std::fmt;

use leasehold_lock::Token;
use leasehold_records::StopKind;

use super::context::JobContext;

/// A request to end one run, which names its origin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct HaltRequest {
    pub(crate) kind: StopKind,
    /// The operator; empty for a new version of the job.
    pub(crate) by: String,
    /// The reason; may be empty.
    pub(crate) why: String,
}

impl fmt::Display for HaltRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.kind {
            StopKind::Stop => "stopped",
            StopKind::Restart => "restarted",
        })?;
        if !self.by.is_empty() {
            write!(f, " by {}", self.by)?;
        }
        if !self.why.is_empty() {
            write!(f, ": {}", self.why)?;
        }
        Ok(())
    }
}

/// Resolves when the end of the run under this token is requested.
pub(crate) async fn wait(context: &JobContext, token: Token) -> HaltRequest {
    tokio::select! {
        request = context.control.stop_of(&context.name, token) => HaltRequest {
            kind: request.kind,
            by: request.by,
            why: request.why,
        },
        () = context.update.cancelled() => HaltRequest {
            kind: StopKind::Restart,
            by: String::new(),
            why: "a new version of the job, which has update = \"restart\"".into(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halt_reads_with_operator_and_reason() {
        let text = |kind, by: &str, why: &str| {
            let (by, why) = (by.into(), why.into());
            HaltRequest { kind, by, why }.to_string()
        };
        assert_eq!(text(StopKind::Stop, "ann@vm", ""), "stopped by ann@vm");
        assert_eq!(
            text(StopKind::Restart, "", "a new version"),
            "restarted: a new version"
        );
    }
}
