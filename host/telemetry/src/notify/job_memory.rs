//! [`JobMemory`]: failures of one job, until its next success. Pure.

use std::sync::Arc;

use leasehold_lock::Token;

use super::limit::HourlyLimit;

/// The run that started last.
#[derive(Clone, Debug)]
pub(super) struct StartedRun {
    pub(super) id: Option<Arc<str>>,
    pub(super) attempt: u32,
    pub(super) tick: Option<Arc<str>>,
}

/// True if a message about a failure was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FailureReport {
    /// A message was sent.
    Sent,
    /// It was left out.
    LeftOut,
    /// This host does not send them, or the failure was on another host.
    Unknown,
}

/// Failures in a row.
#[derive(Clone, Debug)]
pub(super) struct FailureStreak {
    /// The newest run among them, if it had a token.
    pub(super) token: Option<Token>,
    pub(super) count: u64,
    pub(super) report: FailureReport,
}

/// The state of one job.
#[derive(Debug)]
pub(super) struct JobMemory {
    pub(super) limit: HourlyLimit,
    pub(super) started: Option<StartedRun>,
    streak: Option<FailureStreak>,
    /// The first and the last success on this host.
    successes: Option<(Token, Token)>,
    /// The newest failure before a success.
    recovered_from: Option<Token>,
}

impl JobMemory {
    pub(super) const fn new(limit: HourlyLimit) -> Self {
        Self {
            limit,
            started: None,
            streak: None,
            successes: None,
            recovered_from: None,
        }
    }

    /// True if the last run failed.
    pub(super) const fn is_failing(&self) -> bool {
        self.streak.is_some()
    }

    /// Notes a failure, and returns the number of failures in a row.
    pub(super) fn fail(&mut self, token: Option<Token>) -> u64 {
        let streak = self.streak.get_or_insert(FailureStreak {
            token,
            count: 0,
            report: FailureReport::Unknown,
        });
        streak.token = streak.token.max(token);
        streak.count += 1;
        streak.count
    }

    /// Notes if the message about the last failure was sent. A streak counts as sent with its first message.
    pub(super) fn set_report(&mut self, report: FailureReport) {
        if let Some(streak) = &mut self.streak
            && streak.report != FailureReport::Sent
        {
            streak.report = report;
        }
    }

    /// Notes a success, and returns the failures that it ends.
    pub(super) fn succeed(&mut self, token: Option<Token>) -> Option<FailureStreak> {
        if let Some(token) = token {
            let first = self.successes.map_or(token, |(first, _)| first);
            self.successes = Some((first, token));
        }
        let streak = self.streak.take()?;
        self.recovered_from = self.recovered_from.max(streak.token);
        Some(streak)
    }

    /// Notes a failure that was found after a success had ended it. Returns the token of that success if the failure
    /// was not known: it was a recovery.
    pub(super) fn find_failed(&mut self, token: Token, success: Option<Token>) -> Option<Token> {
        let is_known = self.recovered_from >= Some(token)
            || self
                .streak
                .as_ref()
                .is_some_and(|streak| streak.token >= Some(token));
        // A success before the start of this process was reported by the process before it.
        let is_of_before =
            success.is_some_and(|success| self.successes.is_none_or(|(first, _)| success < first));
        if is_known || is_of_before {
            return None;
        }
        match self.successes {
            Some((_, last)) if last > token => {
                self.recovered_from = Some(token);
                Some(success.unwrap_or(last))
            }
            _ => {
                self.fail(Some(token));
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn token(number: u64) -> Token {
        Token::new(number)
    }

    fn memory() -> JobMemory {
        JobMemory::new(HourlyLimit::new(6))
    }

    #[test]
    fn success_ends_the_failures_before_it_once() {
        let mut job = memory();
        assert!(job.succeed(Some(token(1))).is_none());
        assert_eq!(job.fail(Some(token(2))), 1);
        job.set_report(FailureReport::Sent);
        assert_eq!(job.fail(Some(token(3))), 2);
        job.set_report(FailureReport::LeftOut);
        let streak = job.succeed(Some(token(4))).expect("a recovery");
        assert_eq!((streak.count, streak.report), (2, FailureReport::Sent));
        assert!(job.succeed(Some(token(5))).is_none());
    }

    /// The failure of another host is found before, during or after the run that ends it, and perhaps twice.
    #[test]
    fn failure_elsewhere_makes_one_recovery() {
        let mut early = memory();
        assert_eq!(early.find_failed(token(5), None), None);
        assert_eq!(early.find_failed(token(5), None), None);
        assert_eq!(early.succeed(Some(token(6))).expect("a recovery").count, 1);
        assert_eq!(early.find_failed(token(5), Some(token(6))), None);

        let mut late = memory();
        assert!(late.succeed(Some(token(6))).is_none());
        assert!(late.succeed(Some(token(7))).is_none());
        assert_eq!(late.find_failed(token(5), Some(token(6))), Some(token(6)));
        assert_eq!(late.find_failed(token(5), Some(token(6))), None);
    }

    #[test]
    fn success_of_an_earlier_process_makes_no_recovery() {
        let mut job = memory();
        assert_eq!(job.find_failed(token(5), Some(token(6))), None);
        assert!(job.succeed(Some(token(9))).is_none());
        assert_eq!(job.find_failed(token(5), Some(token(6))), None);
    }
}
