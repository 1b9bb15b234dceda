//! Ticks that passed between two claims, without a run on any host. Pure.
//!
//! The holder that claims the later tick finds them. Claims follow one another under the fence, so that each passed
//! tick is found once over all hosts.

use leasehold_config::Beat;
use leasehold_config::wall::UnixMs;

/// Most ticks that are counted one by one.
const MOST: u64 = 1_000;

/// Ticks that no host has begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PassedTicks {
    pub(crate) first: UnixMs,
    pub(crate) last: UnixMs,
    /// Their number; 1000 stands for that many or more.
    pub(crate) count: u64,
}

/// The tick that was claimed last, under the schedule of that time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ClaimedBefore {
    pub(crate) tick: UnixMs,
    /// Empty if it was claimed by a host that did not record its schedule.
    pub(crate) schedule: String,
}

/// Returns the ticks after the one that was claimed `before` and before the `claimed` one. Those until `held_until`
/// passed by an operator's order and do not count, nor do those of another schedule.
pub(crate) fn find_passed(
    beat: &Beat,
    before: &ClaimedBefore,
    claimed: UnixMs,
    held_until: Option<UnixMs>,
) -> Option<PassedTicks> {
    if before.schedule != beat.to_string() {
        return None;
    }
    let after = before.tick.max(held_until.unwrap_or_default());
    let first = beat.next(after).filter(|first| *first < claimed)?;
    let mut passed = PassedTicks {
        first,
        last: first,
        count: 1,
    };
    while passed.count < MOST
        && let Some(next) = beat.next(passed.last).filter(|next| *next < claimed)
    {
        passed.last = next;
        passed.count += 1;
    }
    Some(passed)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const SECOND: Beat = Beat::Every(Duration::from_secs(1));

    fn at(seconds: u64) -> UnixMs {
        UnixMs::new(seconds * 1_000)
    }

    fn before(seconds: u64) -> ClaimedBefore {
        ClaimedBefore {
            tick: at(seconds),
            schedule: SECOND.to_string(),
        }
    }

    #[test]
    fn ticks_between_two_claims_are_found() {
        let found = |claimed| find_passed(&SECOND, &before(5), at(claimed), None);
        assert_eq!(found(5), None, "the tick was taken over");
        assert_eq!(found(6), None);
        let passed = |last, count| PassedTicks {
            first: at(6),
            last: at(last),
            count,
        };
        assert_eq!(found(7), Some(passed(6, 1)));
        assert_eq!(found(10), Some(passed(9, 4)));
        assert_eq!(found(9_000), Some(passed(1_005, 1_000)));
    }

    #[test]
    fn ticks_that_passed_by_order_do_not_count() {
        let found = |held| find_passed(&SECOND, &before(5), at(10), Some(at(held)));
        assert_eq!(found(9), None);
        let two = PassedTicks {
            first: at(8),
            last: at(9),
            count: 2,
        };
        assert_eq!(found(7), Some(two));
        assert_eq!(found(3).map(|passed| passed.count), Some(4));
    }

    #[test]
    fn ticks_of_another_schedule_do_not_count() {
        for schedule in ["", "every 1h"] {
            let before = ClaimedBefore {
                schedule: schedule.into(),
                ..before(5)
            };
            assert_eq!(find_passed(&SECOND, &before, at(10), None), None);
        }
    }
}
