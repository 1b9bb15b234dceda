//! One measured round, and the one in the middle of several.

use std::time::Duration;

/// One measured round.
#[derive(Clone, Copy)]
pub(super) struct Round {
    pub(super) per_second: f64,
    p50: Duration,
    p99: Duration,
}

impl Round {
    #[expect(clippy::cast_precision_loss, reason = "some thousands of samples")]
    pub(super) fn of(mut times: Vec<Duration>, took: Duration) -> Self {
        times.sort_unstable();
        Self {
            per_second: times.len() as f64 / took.as_secs_f64(),
            p50: times[times.len() / 2],
            p99: times[times.len() * 99 / 100],
        }
    }

    pub(super) fn show(self) -> String {
        format!(
            "{:7.0}/s p50 {:6.2} p99 {:6.2} ms",
            self.per_second,
            self.p50.as_secs_f64() * 1e3,
            self.p99.as_secs_f64() * 1e3
        )
    }
}

pub(super) fn median(mut rounds: Vec<Round>) -> Round {
    rounds.sort_by(|a, b| a.per_second.total_cmp(&b.per_second));
    rounds[rounds.len() / 2]
}
