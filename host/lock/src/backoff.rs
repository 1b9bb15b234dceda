//! Pauses that grow after each failure, with jitter.

use std::time::Duration;

/// Exponential backoff with full jitter over its upper half.
///
/// After "Exponential Backoff And Jitter" (AWS Architecture Blog, 2015): without jitter, all clients that lost the
/// store at the same moment return at the same moment.
#[derive(Clone, Debug)]
pub struct Backoff {
    least: Duration,
    most: Duration,
    next: Duration,
}

impl Backoff {
    /// Starts at `least`, doubles, stays at `most`.
    pub const fn new(least: Duration, most: Duration) -> Self {
        Self {
            least,
            most,
            next: least,
        }
    }

    /// Pauses for a lost connection: short at first, because a lease is running out.
    pub(crate) const fn reconnect() -> Self {
        Self::new(Duration::from_millis(20), Duration::from_secs(1))
    }

    /// The next pause: between half of the current step and all of it.
    #[expect(
        clippy::should_implement_trait,
        reason = "an endless iterator of pauses would invite collecting it"
    )]
    pub fn next(&mut self) -> Duration {
        let step = self.next;
        self.next = (step * 2).min(self.most);
        step.mul_f64(0.5 + fastrand::f64() / 2.0)
    }

    /// Starts over, after the operation has worked for a while.
    pub const fn reset(&mut self) {
        self.next = self.least;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_most_and_start_over_on_reset() {
        let second = Duration::from_secs(1);
        let mut backoff = Backoff::new(second, second * 5);
        for step in [1, 2, 4, 5, 5] {
            let pause = backoff.next();
            assert!(
                pause >= second * step / 2 && pause <= second * step,
                "{pause:?}"
            );
        }
        backoff.reset();
        assert!(backoff.next() <= second);
    }
}
