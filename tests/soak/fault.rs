//! The faults and how they are drawn. Pure: a generator in, a fault out.

use std::fmt;
use std::time::Duration;

use fastrand::Rng;

use crate::world::{HOSTS, LONG_TTL, MEMBERS, TTL};

/// One fault. Members and hosts go by their numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The leader is frozen (SIGSTOP) for a while.
    LeaderPaused(Duration),
    /// The leader is frozen, and a host loses it and its network when it resumes.
    LeaderDeposed {
        paused: Duration,
        host: usize,
        cut: Duration,
    },
    /// Every member is frozen.
    AllMembersPaused(Duration),
    /// A member is killed (SIGKILL) and started again.
    MemberKilled { member: usize, down: Duration },
    /// A member is cut off from the others; clients reach it.
    MemberIsolated { member: usize, cut: Duration },
    /// Clients are cut off from a member.
    ClientsCut {
        member: usize,
        cut: Duration,
        way: Way,
    },
    /// A host is cut off from all members.
    HostCut {
        host: usize,
        cut: Duration,
        way: Way,
    },
    /// A host's network delays every chunk at random.
    HostJitter {
        host: usize,
        most: Duration,
        span: Duration,
    },
    /// A host is frozen.
    HostPaused { host: usize, paused: Duration },
    /// A host is killed and started again.
    HostKilled { host: usize, down: Duration },
}

/// Direction in which a network is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    Both,
    Responses,
    Requests,
    Refused,
}

impl Fault {
    /// Draws a fault. Those that break most weigh most.
    pub(crate) fn choose(rng: &mut Rng) -> Self {
        let member = rng.usize(..MEMBERS);
        let host = rng.usize(..HOSTS);
        let most = TTL.mul_f64(1.8);
        match rng.u32(..100) {
            0..15 => Self::LeaderPaused(span(rng, 500, most)),
            15..25 => Self::LeaderDeposed {
                // Past an election, and less than a client's patience with one member.
                paused: span(rng, 2_000, LONG_TTL / 3),
                host,
                cut: span(rng, 14_000, LONG_TTL + TTL),
            },
            25..33 => Self::AllMembersPaused(span(rng, 500, TTL.mul_f64(1.5))),
            33..45 => Self::MemberKilled {
                member,
                down: span(rng, 200, Duration::from_secs(4)),
            },
            45..53 => Self::MemberIsolated {
                member,
                cut: span(rng, 500, most),
            },
            53..60 => Self::ClientsCut {
                member,
                cut: span(rng, 500, most),
                way: Way::choose(rng),
            },
            60..70 => Self::HostCut {
                host,
                cut: span(rng, 300, most),
                way: Way::choose(rng),
            },
            70..76 => Self::HostJitter {
                host,
                most: span(rng, 100, TTL / 2),
                span: span(rng, 1_000, most),
            },
            76..88 => Self::HostPaused {
                host,
                paused: span(rng, 200, most),
            },
            _ => Self::HostKilled {
                host,
                down: span(rng, 100, Duration::from_secs(3)),
            },
        }
    }
}

impl Way {
    fn choose(rng: &mut Rng) -> Self {
        [Self::Both, Self::Responses, Self::Requests, Self::Refused][rng.usize(..4)]
    }
}

fn span(rng: &mut Rng, least_ms: u64, most: Duration) -> Duration {
    let least = Duration::from_millis(least_ms);
    let span = least + most.saturating_sub(least).mul_f64(rng.f64());
    Duration::from_millis(u64::try_from(span.as_millis()).unwrap_or(least_ms))
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::LeaderPaused(span) => write!(f, "leader paused for {span:?}"),
            Self::LeaderDeposed { paused, host, cut } => write!(
                f,
                "leader paused for {paused:?}, then host {host} cut off for {cut:?}"
            ),
            Self::AllMembersPaused(span) => write!(f, "all members paused for {span:?}"),
            Self::MemberKilled { member, down } => {
                write!(f, "member {member} killed, down for {down:?}")
            }
            Self::MemberIsolated { member, cut } => {
                write!(f, "member {member} isolated for {cut:?}")
            }
            Self::ClientsCut { member, cut, way } => {
                write!(
                    f,
                    "clients cut off from member {member} for {cut:?} ({way:?})"
                )
            }
            Self::HostCut { host, cut, way } => {
                write!(f, "host {host} cut off for {cut:?} ({way:?})")
            }
            Self::HostJitter { host, most, span } => {
                write!(f, "host {host} delayed up to {most:?} for {span:?}")
            }
            Self::HostPaused { host, paused } => write!(f, "host {host} paused for {paused:?}"),
            Self::HostKilled { host, down } => write!(f, "host {host} killed, down for {down:?}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;
    use std::mem::discriminant;

    fn draw(seed: u64, count: usize) -> Vec<Fault> {
        let mut rng = Rng::with_seed(seed);
        (0..count).map(|_| Fault::choose(&mut rng)).collect()
    }

    #[test]
    fn a_seed_draws_the_same_faults_again_and_another_seed_others() {
        assert_eq!(draw(7, 50), draw(7, 50));
        assert_ne!(draw(7, 50), draw(8, 50));
    }

    #[test]
    fn every_kind_of_fault_is_drawn() {
        let drawn = draw(1, 500);
        let kinds: Vec<_> = drawn.iter().map(discriminant).collect();
        let distinct = kinds
            .iter()
            .enumerate()
            .filter(|(at, kind)| !kinds[..*at].contains(kind))
            .count();
        assert_eq!(distinct, 10);
        let words: BTreeSet<String> = drawn.iter().map(Fault::to_string).collect();
        assert!(words.iter().all(|word| !word.is_empty()));
    }
}
